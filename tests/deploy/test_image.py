"""The container image can be one of several processes."""

import re
import tomllib

from tests.readme.document import ROOT, text_of


def test_the_image_has_the_extra_of_the_cluster() -> None:
    (extras,) = re.findall(r'pip install .* "\.\[(\w+)\]"$', text_of("Dockerfile"), re.MULTILINE)
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert extras == "cluster"
    assert [one for one in project["optional-dependencies"][extras] if one.startswith("redis")]


def test_the_constraints_pin_what_the_extra_needs() -> None:
    assert re.search(r"^redis==\d", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
