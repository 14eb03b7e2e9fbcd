"""The environments that a requirements file names."""

import pytest

from tests.clients.requirements import Environment, parse_environments

TEXT = """# Environment 1: one_client, two_client, fake
requests==2.34.2
aiohttp[speedups]==3.14.5
# Environment 2, of its own (another pydantic): three_client
#   mcp==2.3.0 httpx2==2.16.2
"""


def test_each_environment_has_its_scripts_and_packages() -> None:
    assert parse_environments(TEXT) == [
        Environment(
            "1",
            ("one_client", "two_client", "fake"),
            ("requests==2.34.2", "aiohttp[speedups]==3.14.5"),
        ),
        Environment("2", ("three_client",), ("mcp==2.3.0", "httpx2==2.16.2")),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no line"),
        ("requests==2.34.2\n", "has no line"),
        ("# Environment 1: one_client\nrequests>=2\n", "environment 1 has no package"),
    ],
)
def test_a_file_without_pins_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_environments(text)
