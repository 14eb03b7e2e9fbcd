"""Feeds made wrong byte by byte, and articles made of what is left: plain text, or an error."""

from dataclasses import dataclass

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from backend.errors import MalformedResponse
from backend.models.answer import Answer
from backend.models.news import Article, Reports
from backend.services.news.store import merged
from backend.services.news.tags import CoinTagger
from backend.services.news.text import plain_text
from tests.clocks import EPOCH
from tests.fuzz.budget import budget
from tests.fuzz.mutations import STEPS, Step, mutated
from tests.fuzz.plausible import assert_plausible, assert_readable
from tests.fuzz.shapes import Shape, shapes

SHAPES = [shape for shape in shapes() if shape.spec.categories == ("news",)]
FEEDS = [shape for shape in SHAPES if shape.spec.adapter.vendor == "rss"]
PAGES = [shape for shape in SHAPES if shape.spec.adapter.vendor != "rss"]
#: What breaks readers of XML, of HTML, of dates, of addresses.
TOKENS = (
    *(b"<item>", b"</item>", b"<item/>", b"</channel>", b"<rss", b"<![CDATA[", b"]]>", b"<!--"),
    *(b"-->", b"<?xml?>", b"<!DOCTYPE x>", b'<!ENTITY a "b">', b"&a;", b"&#xD800;", b"&#0;"),
    *(b"&#99999999999;", b"&amp;amp;lt;script&amp;amp;gt;", b"&lt;script&gt;x&lt;/script&gt;"),
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\r\n", b"\x0b"),
    *(b"<title>", b"</title>", b"<link>", b"<guid>", b"<pubDate>", b"<a href='x'>", b"<b>"),
    *(b"http://[::1", b"https://", b"javascript:x()", b"file:///etc/passwd", b' \n<>"'),
    *(b"Fri, 31 Dec 9999 23:59:59 -2359", b"Sat, 01 Jan 0001 00:00:00 +2359", b"-99999999999"),
    *(b"<a " * 5_000, b"<" * 5_000, b"&" * 5_000, b"&amp;" * 5_000, b"<b>" * 3_000, b"]" * 5_000),
    *(
        b"&#xD83D;&#xDE80;",
        b"&#x110000;",
        b"<entry>",
        b"<feed xmlns='x'>",
        b"<rdf:RDF>",
        b"<!---->",
    ),
    *(b"<?xml version='1.0' encoding='windows-1251'?>", b" xml:base='http://[::1'", b"\xfe\xff"),
    *(b"2026-11-22T07:30:00Z", b" -0000", b"+05:30", b"<dc:date>", b"<link href='/x'/>", b"</rss>"),
    *(b"<x1>" * 2_000, b"<x/>" * 2_000, b"<![CDATA[" * 500, b"]]>" * 500, b"&#1;" * 3_000),
    *(b"<item><title>x" * 500, b"x@" * 3_000, b" " * 9_000, b"<dc:creator>" * 500),
)


@dataclass(frozen=True)
class Cut:
    """At `at`, `length` bytes are replaced by a token; with `rest` nothing follows it."""

    at: int
    length: int
    token: bytes
    rest: bool

    def __call__(self, body: bytes) -> bytes:
        at = self.at % (len(body) + 1)
        tail = b"" if self.rest else body[at + self.length :]
        return body[:at] + self.token + tail


CUTS = st.lists(
    st.builds(
        Cut,
        st.integers(0, 10_000),
        st.sampled_from([0, 0, 1, 3, 40, 400]),
        st.sampled_from(TOKENS) | st.binary(max_size=6) | st.just(b""),
        st.sampled_from([False] * 9 + [True]),
    ),
    min_size=1,
    max_size=4,
)


def articles_of(shape: Shape, reports: Reports) -> list[Article]:
    answer = Answer(reports, shape.spec.name, EPOCH, 1.0)
    kept, _ = merged({}, [answer], CoinTagger(None), EPOCH)
    return list(kept.values())


def assert_sound(shape: Shape, payload: object) -> None:
    """What a parser makes of a payload, and the store of that."""
    try:
        reports = shape.parse([payload])
    except MalformedResponse:
        return
    assert_plausible(reports)
    for article in articles_of(shape, reports):
        assert_readable(article)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_right_page_becomes_readable_articles(shape: Shape) -> None:
    assert articles_of(shape, shape.parse(list(shape.payloads)))
    assert_sound(shape, shape.payloads[0])


def test_of_unclosed_tags_none_is_left() -> None:
    assert "<img" not in plain_text("Coins <img src=x onerror=alert(1) " + "<a " * 6)


@pytest.mark.parametrize("shape", FEEDS, ids=str)
@budget(45)
@given(cuts=CUTS)
def test_a_broken_feed_is_refused_or_becomes_readable_articles(
    shape: Shape, cuts: list[Cut]
) -> None:
    note(repr(cuts))
    body = shape.payloads[0]
    for cut in cuts:
        body = cut(body)
    assert_sound(shape, body)


@pytest.mark.parametrize("shape", PAGES, ids=str)
@budget(75)
@given(steps=STEPS)
def test_a_broken_page_is_refused_or_becomes_readable_articles(
    shape: Shape, steps: list[Step]
) -> None:
    note(repr(steps))
    assert_sound(shape, mutated(shape.payloads[0], steps))
