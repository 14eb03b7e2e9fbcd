"""Character references, and characters that cannot be shown."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.text import one_line, require_one_line, unescaped


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A &amp; B &lt;b&gt; &quot;c&quot; &apos;", 'A & B <b> "c" \''),
        ("&amp;lt;", "&lt;"),
        ("&#x27;&#39;&#8217;&#X2019;", "''’’"),
        ("&nbsp;&eacute;&NotEqualTilde;", "\xa0é≂̸"),
        ("AT&T ?a=1&b=2&copy=3 &amp &#39", "AT&T ?a=1&b=2&copy=3 &amp &#39"),
        ("&none; &notit; &;", "&none; &notit; &;"),
        ("&#xD83D;&#xDE80;", "🚀"),
        ("&#xD83D;x&#xDE80;", "\ufffdx\ufffd"),
        ("&#0;&#x110000;&#999999999999;", "\ufffd\ufffd\ufffd"),
        ("&#9999999999999;", "&#9999999999999;"),
        ("&#27;&#x7f;&#xfffe;", ""),
        ("&#128;&#x9f;", "€Ÿ"),
    ],
)
def test_references_are_replaced_once(text: str, plain: str) -> None:
    assert unescaped(text) == plain


@given(st.text(alphabet=st.sampled_from("&#xXdDeE80;lt amp\ud83d\ude80"), max_size=40))
def test_no_half_of_a_surrogate_pair_is_left(text: str) -> None:
    unescaped(text).encode()


def test_many_references_cost_their_length() -> None:
    began = time.process_time()
    assert len(unescaped("&#1;&#xD83D;" * 50_000)) == 50_000
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  two \t\r\n words\x0b ", "two words"),
        ("line\x85sep\u2028par\u2029 nbsp\xa0", "line sep par nbsp"),
        ("\x00a\x1b[0m\x7f\x9f", "a[0m"),
        ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
        ("zero\u200bwidth\ufeff\xad\u2060", "zerowidth"),
        ("hidden\U000e0041\U000e007f", "hidden"),
        ("half\ud83d \ude80", "half"),
        ("می\u200cخواهم 👨\u200d👩", "می\u200cخواهم 👨\u200d👩"),
        ("日本 – “x” £€₿", "日本 – “x” £€₿"),
    ],
)
def test_undisplayable_characters_are_removed(text: str, line: str) -> None:
    assert one_line(text) == line
    assert require_one_line(line) == line


@pytest.mark.parametrize(
    "bad",
    ["\n", "\r", "\t", "\x1c", "\x85", "\u2028", "\x00", "\x1b", "\u202e", "\u2069", "\ud800"],
)
def test_a_line_with_an_undisplayable_character_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot be displayed"):
        require_one_line(f"a{bad}b")
