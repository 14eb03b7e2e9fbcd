"""A secret is found in every spelling."""

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.redaction import Redactor, spellings

ENCODERS: tuple[Callable[[str], str], ...] = (
    str,
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    lambda text: json.dumps(text).replace("/", "\\/"),
    quote,
    quote_plus,
    lambda text: urlencode({"key": text}),
    html.escape,
    repr,
)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@pytest.mark.parametrize("encode", ENCODERS)
@given(SECRETS.filter(lambda text: "'" not in text and "\\" not in text and "redact" not in text))
def test_no_common_encoder_hides_it(encode: Callable[[str], str], secret: str) -> None:
    text = Redactor([secret])(f"before {encode(secret)} after")
    assert secret not in text
    assert encode(secret) not in text


@pytest.mark.parametrize(
    "text", [r"a\u002db\u002fc-123", r"a\u002Db\u002Fc\u002D123", "a%2db%2fc%2d123", r"a-b\/c-123"]
)
def test_escapes_of_punctuation_are_known(text: str) -> None:
    is_half_escaped = text == r"a\u002db\u002fc-123"  # no encoder does that
    assert any(way in text for way in spellings("a-b/c-123")) is not is_half_escaped


def test_a_key_of_letters_and_digits_has_one_spelling() -> None:
    assert spellings("ABCdef123") == {"ABCdef123"}
