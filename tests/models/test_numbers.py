"""Texts that can be shown, and addresses."""

import sys
import unicodedata
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from backend.models.numbers import LONGEST_NAME, Name, Text, Url, has_host, printable

TEXT, NAME = TypeAdapter[str](Text), TypeAdapter[str](Name)
#: Unassigned when this Python was made; pydantic's tables may be newer, and know it as a letter.
NEWER = "Cn"


def is_taken(text: str) -> bool:
    try:
        return bool(TEXT.validate_python(text, strict=True) == text)
    except ValidationError:
        return False


def test_an_identifier_is_made_of_the_characters_that_python_calls_printable() -> None:
    looked_at = (*range(0x10000), *range(0x10000, sys.maxunicode + 1, 97))
    odd = [
        char
        for char in map(chr, looked_at)
        if is_taken(char) is not char.isprintable() and unicodedata.category(char) != NEWER
    ]
    assert odd == []


@pytest.mark.parametrize("text", ["", "x" * (LONGEST_NAME + 1), "a\n", "\na", "a\n\n"])
def test_an_identifier_has_a_length_and_one_line(text: str) -> None:
    assert not is_taken(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bitcoin", "Bitcoin"),
        ("a\tb\r\nc", "a b  c"),
        ("\u202eabc\u202c", "abc"),
        ("a\u00a0b\u3000c", "a b c"),
        ("\x00\x1b\x7f\x9bx\u200d\ufeff", "x"),
        ("\ud83dx\ude80", "x"),
        ("\n x \n", "x"),
    ],
    ids=ascii,
)
def test_unprintable_characters_are_removed_from_a_name(text: str, shown: str) -> None:
    assert NAME.validate_python(text) == shown


@pytest.mark.parametrize(
    "value", [None, 7, b"x", "\n", "\x00" * LONGEST_NAME, "\n" * 10**6, "x" * 201]
)
def test_a_malformed_name_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        NAME.validate_python(value, strict=True)


def test_a_text_that_is_too_long_for_a_name_is_not_scanned() -> None:
    text = "\x00" * 10**6
    assert printable(text) is text


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://a.example/x", True),
        ("https://[::1]/x", True),
        ("https://[::1", False),
        ("https:///x", False),
        ("https://user@/x", False),
    ],
)
def test_an_address_has_a_host(url: str, is_one: bool) -> None:
    assert has_host(url) is is_one
    if not is_one:
        with pytest.raises(ValidationError):
            TypeAdapter[str](Url).validate_python(url)
