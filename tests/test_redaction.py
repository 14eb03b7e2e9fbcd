"""API keys are removed from texts."""

import logging
import string
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from backend.observability.logs import LineFormatter
from backend.redaction import REDACTED, Redactor

KEY = "CG-AbCdEfGhIjKlMnOpQrStUvWx"
ODD_KEY = "k3y/with+odd=chars&more"
KEYS = st.text(string.ascii_letters + string.digits + "-_.~+/=&%!", min_size=6, max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ODD_KEY, REDACTED),
        (f"<{ODD_KEY}>", f"<{REDACTED}>"),
        (f"{ODD_KEY}{ODD_KEY}", REDACTED * 2),
        (f"one {ODD_KEY}\ntwo {ODD_KEY}", f"one {REDACTED}\ntwo {REDACTED}"),
        (f"https://h.example/p?q={quote(ODD_KEY, safe='')}&x=1", None),
        (f"https://h.example/p?q={quote_plus(ODD_KEY)}&x=1", None),
    ],
)
def test_a_known_key_is_replaced_also_url_encoded(text: str, expected: str | None) -> None:
    expected = expected or f"https://h.example/p?q={REDACTED}&x=1"
    assert Redactor([ODD_KEY])(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?api_key=hunter22", f"?api_key={REDACTED}"),
        ("?apikey=hunter22&limit=5", f"?apikey={REDACTED}&limit=5"),
        ("?apiKey=hunter22", f"?apiKey={REDACTED}"),
        ("auth_token=hunter22", f"auth_token={REDACTED}"),
        ("?x_cg_demo_api_key=hunter22", f"?x_cg_demo_api_key={REDACTED}"),
        ("x-cg-pro-api-key: hunter22", f"x-cg-pro-api-key: {REDACTED}"),
        ("{'x-cg-demo-api-key': 'hunter22'}", f"{{'x-cg-demo-api-key': '{REDACTED}'}}"),
        ('{"api_key":"hunter22","a":1}', f'{{"api_key":"{REDACTED}","a":1}}'),
        ("Authorization: Bearer hunter22", f"Authorization: Bearer {REDACTED}"),
        (f"wrong key {KEY}.", f"wrong key {REDACTED}."),
        (f"keys {KEY},{KEY}", f"keys {REDACTED},{REDACTED}"),
    ],
)
def test_an_unknown_text_that_looks_like_a_key_is_replaced(text: str, expected: str) -> None:
    assert Redactor()(text) == expected


@pytest.mark.parametrize("secrets", [[], [KEY], ["abc"]])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /api/market?symbols=BTC,abc&limit=5 200",
        "API Key Missing",
        "CG-short is no key",
        "binance answered 451 in 12.5 ms: abc",
        "a JSON body: {'symbol': 'BTC', 'price': 1.5}",
        "[redacted]",
        "密钥 🔑",
    ],
)
def test_text_without_a_key_stays_as_it_is(secrets: list[str], text: str) -> None:
    assert Redactor(secrets)(text) == text


def test_a_secret_too_short_to_be_a_key_removes_no_words() -> None:
    assert Redactor(["price", ""])("the price of it") == "the price of it"
    assert Redactor(["prices"])("the prices of it") == f"the {REDACTED} of it"


def test_of_nested_keys_the_longest_is_replaced() -> None:
    assert Redactor(["abcdef", "abcdefghij", "defghi"])("abcdefghij") == REDACTED


def test_a_key_is_literal_text_not_a_pattern() -> None:
    redact = Redactor(["a.c*e(f)[g"])
    assert redact("a.c*e(f)[g") == REDACTED
    assert redact("abcccef") == "abcccef"


def test_redacting_twice_changes_nothing_more() -> None:
    redact = Redactor([ODD_KEY])
    once = redact(f"api_key={ODD_KEY}&token: {KEY} Authorization: Bearer {ODD_KEY}")
    assert redact(once) == once


def test_a_redactor_does_not_show_its_keys() -> None:
    assert repr(Redactor([KEY])) == "<Redactor>"


@given(KEYS, st.text(), st.text(), st.lists(KEYS, max_size=3))
@example("ababab", "abab", "abab", [])
@example("api_key=", "api_", "abcd", [])
def test_a_known_key_never_survives_whatever_surrounds_it(
    secret: str, before: str, after: str, others: list[str]
) -> None:
    assume(all(key not in REDACTED for key in (secret, *others)))
    redact = Redactor([secret, *others])
    for spelling in (secret, quote(secret, safe=""), quote_plus(secret)):
        assert spelling not in redact(before + spelling + after)


def test_the_arguments_and_the_traceback_of_a_record_are_redacted() -> None:
    formatter = LineFormatter("%(levelname)s %(message)s", Redactor([KEY]))
    try:
        raise ValueError(f"cannot use {KEY}")
    except ValueError:
        failure = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "key %s", (KEY,), failure)
    text = formatter.format(record)
    assert text.startswith(f"ERROR key {REDACTED}\nTraceback")
    assert text.endswith(f"ValueError: cannot use {REDACTED}")
    assert KEY not in text
