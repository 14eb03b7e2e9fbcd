"""Which part of a refused value is shown: never what may be a key or a password."""

import pytest

from backend.environment.problem_lines import but_not, shown, shown_path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("many", "'many'"),
        ("", "''"),
        ("/etc/ssl/ca.pem", "'/etc/ssl/ca.pem'"),
        ("a\nb\x07", r"'a\nb\x07'"),
        ("word " * 20, f"'{('word ' * 20)[:64]}…'"),
        ("ftp://elsewhere", "'ftp://elsewhere'"),
        ("ftp://host:80/", "'ftp://host:80/…'"),
        ("https://node.example:70000/v3/secret", "'https://node.example:70000/…'"),
        ("https://node.example?apikey=secret", "'https://node.example/…'"),
        ("wss://one.example#secret", "'wss://one.example/…'"),
        ("http://anna:secret@proxy:port", ""),
        ("anna:secret@proxy", ""),
        ("notarealsecret01", ""),
        ("CG-AbCdEfGhIjKlMnOpQrStUvWx1", ""),
        ("7860,CG-AbCdEfGhIjKlMnOp1", ""),
        ("x" * 65, f"'{'x' * 64}…'"),
    ],
)
def test_a_value_is_shown_without_secrets(value: str, expected: str) -> None:
    assert shown(value) == expected
    assert but_not(value) == (f", not {expected}" if expected else "")


def test_of_a_file_name_everything_is_shown_that_can_be_one() -> None:
    assert shown_path("/etc/gateway/authority-20261130.pem") == (
        "'/etc/gateway/authority-20261130.pem'"
    )
    assert shown_path("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n") == ""
