"""Feeds as publishers really write them: dates, encodings, lengths, references, links, dialects.

What is wrong with an item costs that item, or less; nothing is lost without a word.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.errors import MalformedResponse
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import KIB, MIB, Context
from backend.providers.client import parsed
from backend.providers.vendors import rss
from tests.clocks import EPOCH_MS

HEAD = '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>t</title>'
TAIL = "</channel></rss>"
AT = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>'
CONTEXT = Context("rss_coindesk", "feed", EPOCH_MS)


def item(number: int = 1, extra: str = "", **changes: str | None) -> str:
    fields = {
        "title": f"Bitcoin story {number}",
        "link": f"https://news.example/{number}",
        "pubDate": "Sun, 22 Nov 2026 07:30:00 GMT",
        "description": "Text",
    } | changes
    tags = [f"<{name}>{text}</{name}>" for name, text in fields.items() if text is not None]
    return f"<item>{''.join(tags)}{extra}</item>"


def feed(*items: str, head: str = HEAD, tail: str = TAIL) -> str:
    return head + "".join(items) + tail


def entry(number: int = 1, extra: str = "", **changes: str | None) -> str:
    fields = {"title": f"Bitcoin story {number}", "updated": "2026-11-22T07:30:00Z"} | changes
    tags = [f"<{name}>{text}</{name}>" for name, text in fields.items() if text is not None]
    link = f'<link href="https://news.example/{number}"/>' if "<link" not in extra else ""
    return f"<entry>{link}{''.join(tags)}{extra}</entry>"


def reports(body: str | bytes, context: Context = CONTEXT) -> Reports:
    raw = body.encode() if isinstance(body, str) else body
    return parsed(rss.parse_feed, ReportsQuery(), [raw], context)


def only(body: str | bytes, context: Context = CONTEXT) -> Report:
    (report,) = reports(body, context).reports
    return report


def read(body: str | bytes) -> tuple[list[str], int]:
    """The last letters of the addresses, and how many items were refused."""
    found = reports(body)
    return [report.url[-1] for report in found.reports], found.refused


# Dates


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 22 Nov 2026 07:30:00 -0000",
        "Sun, 22 Nov 2026 07:30:00 -00:00",
        "Sun, 22 Nov 2026 07:30:00 +00:00",
        "Sun, 22 Nov 2026 13:00:00 +05:30",
        "Sun, 22 Nov 2026 07:30:00 UTC",
        "Sun, 22 Nov 2026 07:30:00 Z",
        "Sun, 22 Nov 2026 07:30:00+0000",
        "Sun, 22 Nov 2026 07:30:00 +0000 (UTC)",
        "2026-11-22T07:30:00Z",
        "2026-11-22t07:30:00z",
        "2026-11-22T07:30:00.000000000Z",
        "2026-11-22T07:30:00-00:00",
        "2026-11-22T13:00:00+05:30",
        "2026-11-22T13:00:00+0530",
        "2026-11-22T03:30-0400",
        "2026-11-22 07:30:00 +0000",
        "2026-11-22 07:30:00 UTC",
    ],
)
def test_a_time_with_an_offset_is_read_in_every_form(text: str) -> None:
    assert only(feed(item(pubDate=text))).published_at == AT


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T07:30:00",
        "2026-11-22 07:30:00",
        "2026-11-22",
        "Sun, 22 Nov 2026 07:30:00",
        "Sun, 22 Nov 2026 07:30:00 XYZ",
        "Sun, 22 Nov 2026 07:30:00 +9999",
        "2026-11-22T07:30:00+99:99",
        "2026-13-22T07:30:00Z",
        "0001-01-01T00:00:00+23:59",
        "1795419000",
        "+00:00",
        "2026-11-22T07:30:00Z" + " " * 30_000 + "x",
    ],
)
def test_a_time_without_an_offset_or_without_sense_is_refused(text: str) -> None:
    assert read(feed(item(1), item(2, pubDate=text))) == (["1"], 1)


@pytest.mark.parametrize("name", ["dc:date", "published", "updated"])
def test_other_elements_give_the_date_without_a_pub_date(name: str) -> None:
    dated = f"<{name}>2026-11-22T07:30:00Z</{name}>"
    assert only(feed(item(pubDate=None, extra=dated))).published_at == AT


def test_the_first_publication_counts_and_not_the_last_edit() -> None:
    edited = "<updated>2026-11-22T07:50:00Z</updated><published>2026-11-22T07:30:00Z</published>"
    assert only(ATOM + entry(updated=None, extra=edited) + "</feed>").published_at == AT


# Encodings


@pytest.mark.parametrize(
    ("declared", "codec", "title"),
    [
        ("windows-1251", "cp1251", "Биткоин вырос"),
        ("WINDOWS-1251", "cp1251", "Биткоин вырос"),
        ("ISO-8859-2", "iso8859-2", "Kurs bitcoina: źródło"),
        ("ISO-8859-15", "iso8859-15", "Bitcoin à 90 000 €"),
        ("Shift_JIS", "cp932", "ビットコイン"),
        ("EUC-JP", "euc_jp", "ビットコイン"),
        ("GB2312", "gb18030", "比特币上涨"),
        ("KOI8-R", "koi8-r", "Биткоин вырос"),
        ("ISO-8859-9", "cp1254", "Bitcoin yükselişte"),
        ("ISO-8859-1", "cp1252", "Zürich’s coin"),
        ("latin1", "cp1252", "Zürich’s coin"),
        ("cp1251", "cp1251", "Биткоин вырос"),
        ("win-1251", "cp1251", "Биткоин вырос"),
        ("ibm866", "cp866", "Биткоин вырос"),
        ("x-mac-cyrillic", "mac_cyrillic", "Биткоин вырос"),
        ("latin2", "iso8859-2", "Kurs bitcoina: źródło"),
        ("ISO8859-2", "iso8859-2", "Kurs bitcoina: źródło"),
        ("cp932", "cp932", "ビットコイン"),
        ("windows-31j", "cp932", "ビットコイン"),
        ("x-sjis", "cp932", "ビットコイン"),
        ("ISO8859-9", "cp1254", "Bitcoin “yükselişte”"),
        ("iso-2022-jp", "iso2022_jp", "ビットコイン"),
        ("x-gbk", "gbk", "比特币上涨"),
        ("windows-949", "cp949", "비트코인"),
        ("utf-7", "cp1252", "Zürich’s coin"),
        ("rot13", "cp1252", "Zürich’s coin"),
        ("nonsense", "cp1252", "Zürich’s coin"),
    ],
)
def test_a_feed_that_is_not_utf8_is_read_as_it_declares(
    declared: str, codec: str, title: str
) -> None:
    body = feed(item(title=title), head=HEAD.replace("UTF-8", declared))
    assert only(body.encode(codec)).title == title


@pytest.mark.parametrize("declared", ["windows-1251", "Shift_JIS", "utf-7", "unicode_escape"])
def test_utf8_is_read_as_such_whatever_is_declared(declared: str) -> None:
    body = feed(item(title="Café+AOk-\\u0041"), head=HEAD.replace("UTF-8", declared))
    assert only(body).title == "Café+AOk-\\u0041"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_read_by_its_byte_order_mark(codec: str) -> None:
    mark = "" if codec == "utf-16" else "\ufeff"
    body = mark + feed(item(title="Café 🚀"), head=HEAD.replace("UTF-8", "UTF-16"))
    assert only(body.encode(codec)).title == "Café 🚀"


def test_an_invalid_byte_affects_only_its_item() -> None:
    body = feed(item(1, title="Биткоин"), item(2, title="Z?rich"), item(3, title="Биткоин"))
    found = reports(body.encode().replace(b"Z?rich", b"Z\xfcrich"))
    assert [report.title for report in found.reports] == ["Биткоин", "Zürich", "Биткоин"]


# Length


def test_a_large_item_is_an_article() -> None:
    report = only(feed(item(description="x" * 70_000)))
    assert report.title == "Bitcoin story 1"
    assert report.summary
    assert set(report.summary) == {"x"}


@pytest.mark.parametrize(
    "extra",
    [
        f"<content:encoded><![CDATA[{'<p>All of it</p>' * 60_000}]]></content:encoded>",
        f"<media:thumbnail url='data:image/png;base64,{'A' * 500_000}'/>",
    ],
)
def test_an_item_with_its_full_text_or_an_embedded_image_is_read(extra: str) -> None:
    assert read(feed(item(1), item(2, extra=extra))) == (["1", "2"], 0)


def test_an_item_with_a_too_long_title_is_counted_as_refused() -> None:
    assert read(feed(item(1), item(2, title="<b>x</b>" * 100_000))) == (["1"], 1)


# Characters


@pytest.mark.parametrize("text", ["AT&T a & b", "S&P500 &c. &copy it", "R&D; 1 &# 2 &#x; &amp"])
def test_a_bare_ampersand_is_kept(text: str) -> None:
    assert only(feed(item(title=text))).title == text


def test_a_bare_ampersand_in_a_link_is_kept() -> None:
    address = "https://news.example/?a=1&b=2&copy=3&lt=4&reg=5"
    assert only(feed(item(link=address))).url == address
    assert only(feed(item(link=address.replace("&", "&amp;")))).url == address


@pytest.mark.parametrize(
    ("reference", "character"),
    [
        ("&#xD83D;&#xDE80;", "🚀"),
        ("&#55357;&#56960;", "🚀"),
        ("&#x1F680;", "🚀"),
        ("&#xD83D;", "\ufffd"),
        ("&#xDE80;&#xD83D;", "\ufffd\ufffd"),
        ("&#x110000;", "\ufffd"),
        ("&#99999999999;", "\ufffd"),
        ("&#0;", "\ufffd"),
        ("&nbsp;", "\xa0"),
        ("&#146;", "’"),
        ("&unknown;", "&unknown;"),
        ("&notanentity;", "&notanentity;"),
    ],
)
def test_an_invalid_reference_affects_only_its_character(reference: str, character: str) -> None:
    found = reports(feed(item(1, title=f"Coin {reference} up"), item(2)))
    assert [report.title for report in found.reports] == [f"Coin {character} up", "Bitcoin story 2"]


def test_control_characters_affect_only_themselves() -> None:
    assert read(feed(item(1), item(2, title="Coin \x00\x01\x1b up"), item(3))) == (
        ["1", "2", "3"],
        0,
    )


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\u202e", "\u200b", "&#x202E;", "&#27;x\x7f"])
def test_a_link_with_an_unprintable_character_is_refused(bad: str) -> None:
    assert read(feed(item(1), item(2, link=f"https://news.example/{bad}/2"))) == (["1"], 1)


@pytest.mark.parametrize("sign", ["<", "< ", "<5"])
def test_a_bare_bracket_is_text(sign: str) -> None:
    title = f"Coin {sign}0k"
    assert only(feed(item(title=title))).title == title


# Markup that is nearly XML


def test_an_item_in_a_comment_is_ignored() -> None:
    assert read(feed(item(1), f"<!-- {item(2)} -->", item(3))) == (["1", "3"], 0)


def test_an_end_tag_in_the_text_of_an_item_does_not_end_it() -> None:
    text = "<![CDATA[How to write </item> and <title>other</title> in <code>RSS</code>]]>"
    spoilt = item(2, description=None).replace(
        "<title>", f"<description>{text}</description><title>"
    )
    assert read(feed(item(1), spoilt, item(3))) == (["1", "2", "3"], 0)


@pytest.mark.parametrize(
    "opened", ["<![CDATA[", "<!--", "<?php", "<title>", "<item", "<x y='", "<p>"]
)
def test_an_unclosed_element_affects_only_its_item(opened: str) -> None:
    pages = [item(number, title=f"<![CDATA[Coin {number}]]><!-- x -->") for number in (3, 4)]
    found, refused = read(feed(item(1), item(2, description=opened), *pages))
    assert [found[0], *found[-2:]] == ["1", "3", "4"]
    assert len(found) + refused >= 4


def test_markup_that_is_not_escaped_is_the_elements_text() -> None:
    markup = "<p>AT&amp;T <b>did</b> it<br>again."
    early = item(2, description=None).replace(
        "<title>", f"<description>{markup}</description><title>"
    )
    first, second = reports(feed(item(1), early)).reports
    assert (first.title, second.title) == ("Bitcoin story 1", "Bitcoin story 2")
    assert second.summary == markup


def test_elements_of_a_nested_element_are_not_the_items() -> None:
    nested = "<image><title>Picture</title><link>https://other.example/</link></image>"
    spoilt = item(1).replace("<item>", f"<item>{nested}")
    report = only(feed(spoilt))
    assert (report.title, report.url) == ("Bitcoin story 1", "https://news.example/1")


def test_images_in_a_group_are_found() -> None:
    address = "https://img.example/1.png"
    media = f"<media:title>Other</media:title><media:content type='image/png' url='{address}'/>"
    assert only(feed(item(extra=f"<media:group>{media}</media:group>"))).image == address


def test_an_invalid_image_url_costs_only_the_image() -> None:
    for bad in ("https:///x.png", "https://a.example/\u202e/x.png", "https://[::1/x.png"):
        extra = f"<media:content medium='image' url='{bad}'/>"
        assert only(feed(item(extra=extra))).image is None


# A feed that ends too early


@pytest.mark.parametrize(
    "tail", ["", "<item><title>Half", "<item><title>Half</title>", "</channel"]
)
def test_an_incomplete_feed_gives_its_complete_items_and_a_warning(tail: str) -> None:
    found = reports(feed(item(1), item(2), tail=tail))
    assert [report.url[-1] for report in found.reports] == ["1", "2"]
    assert found.refused == 0
    assert found.warnings == ("the feed is incomplete; 2 complete items were read",)


@pytest.mark.parametrize(
    "tail", [TAIL, "</rss>", TAIL + "\n<!-- cached -->\n", "</channel></rss >"]
)
def test_a_complete_feed_has_no_warning(tail: str) -> None:
    assert reports(feed(item(1), tail=tail)).warnings == ()


def test_an_item_without_an_end_in_a_complete_feed_is_counted_as_refused() -> None:
    assert read(feed(item(1), "<item><title>Half</title>", item(3))) == (["1", "3"], 1)
    assert read(feed(item(1), "<item><title>Half</title>")) == (["1"], 1)
    assert read(feed(item(1), "<item/>", item(3))) == (["1", "3"], 1)


# Links


@pytest.mark.parametrize(
    ("link", "resolved"),
    [
        ("/story/0", "https://site.example/story/0"),
        ("story/0", "https://site.example/en/story/0"),
        ("?id=5", "https://site.example/en/?id=5"),
        ("//cdn.example/0", "https://cdn.example/0"),
        ("HTTPS://news.example/A?", None),
    ],
)
def test_a_relative_link_is_resolved_against_the_channels(link: str, resolved: str | None) -> None:
    head = HEAD + "<link>https://site.example/en/</link>"
    found = reports(feed(item(1), item(2, link=link), head=head))
    assert [one.url for one in found.reports[1:]] == ([resolved] if resolved else [])


@pytest.mark.parametrize(
    "head",
    [
        '<rss version="2.0" xml:base="https://site.example/en/"><channel>',
        '<rss version="2.0"><channel xml:base="https://site.example/en/"><link>https://x.example</link>',
        "<rss><channel><link>https://[</link><atom:link rel='self' href='https://site.example/rss'/>",
        "<rss><channel><link/><atom:link rel='self' href='https://site.example/rss'/>",
        "<rss><channel><link>site</link><atom:link rel='hub' href='https://hub.example/'/>"
        "<atom:link href='https://site.example/rss' rel='self'/>",
        "<rss><channel><image><link>https://img.example/</link></image><link>https://site.example</link>",
    ],
)
def test_the_base_url_is_read_from_the_head_of_the_feed(head: str) -> None:
    assert only(feed(item(link="/story/0"), head=head)).url == "https://site.example/story/0"


def test_an_items_own_base_comes_first() -> None:
    own = item(link="story/0").replace("<item>", "<item xml:base='/de/'>")
    head = HEAD + "<link>https://site.example/en/</link>"
    assert only(feed(own, head=head)).url == "https://site.example/de/story/0"


def test_without_a_declared_base_a_link_is_resolved_against_the_requested_url() -> None:
    context = replace(CONTEXT, base_url="https://user:pass@feeds.example/rss.xml?token=secret")
    urls = [
        only(feed(item(link=link)), context).url for link in ("/story/0", "story/0", "#/story/0")
    ]
    assert urls == [
        "https://feeds.example/story/0",
        "https://feeds.example/story/0",
        "https://feeds.example/rss.xml#/story/0",
    ]


def test_a_relative_link_without_any_base_is_refused() -> None:
    assert read(feed(item(1), item(2, link="/story/2"))) == (["1"], 1)


def test_a_permanent_guid_replaces_a_missing_link() -> None:
    guid = "<guid{}>https://news.example/{}</guid>"
    items = [
        item(1),
        item(2, link=None, extra=guid.format("", 2)),
        item(3, link=None, extra=guid.format(" isPermaLink='false'", 3)),
    ]
    assert read(feed(*items)) == (["1", "2"], 1)


# Dialects


def test_atom_is_read() -> None:
    files = (
        '<link rel="replies" href="https://news.example/r"/><link rel="enclosure" type="image/png"'
        ' href="https://img.example/0.png"/><link rel="alternate" href="https://news.example/5"/>'
    )
    texts = '<summary type="html">&lt;p&gt;It did.&lt;/p&gt;</summary><content>All of it</content>'
    source = "<source><title>Other</title><updated>2020-01-01T00:00:00Z</updated></source>"
    category = '<category term="Bitcoin"/><author><name>A</name></author>'
    body = ATOM + entry(extra=files + texts + category + source) + "</feed>"
    assert only(body) == Report(
        title="Bitcoin story 1",
        url="https://news.example/5",
        source="CoinDesk",
        published_at=AT,
        summary="<p>It did.</p>",
    )


def test_atom_with_a_prefix_and_relative_links_is_read() -> None:
    body = (
        '<a:feed xmlns:a="http://www.w3.org/2005/Atom"><a:link href="https://site.example/"/>'
        '<a:entry><a:title>Bitcoin one</a:title><a:link href="/7"/>'
        "<a:updated>2026-11-22T07:30:00Z</a:updated></a:entry></a:feed>"
    )
    report = only(body)
    assert (report.title, report.url) == ("Bitcoin one", "https://site.example/7")


def test_only_atoms_podcasts_are_left_out() -> None:
    sound = (
        '<link href="https://news.example/2"/><link rel="enclosure" type="audio/mpeg" href="x"/>'
    )
    assert read(ATOM + entry(1) + entry(2, sound) + "</feed>") == (["1"], 0)


def test_rss_1_is_read() -> None:
    head = (
        '<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        '<channel rdf:about="https://news.example/rss"><link>https://news.example/</link><items>'
        '<rdf:Seq><rdf:li resource="https://news.example/1"/></rdf:Seq></items></channel>'
    )
    page = item(link="/1", pubDate=None, extra="<dc:date>2026-11-22T07:30:00Z</dc:date>")
    page = page.replace("<item>", '<item rdf:about="https://news.example/1">')
    report = only(feed(page, head=head, tail="</rdf:RDF>"))
    assert (report.url, report.published_at) == ("https://news.example/1", AT)


# Malice


HOSTILE = ["<a ", "<b>", "<b>x</b>", "</", "</b >", "<", "&", "&#1;", "&amp;lt;", "<!--", "-->"]
HOSTILE += ["The post ", "The post <a appeared first on ", "[...]"]
HOSTILE += ["<![CDATA[", "]]>", "<item>", "<item/>", "<title>", "<x y='", 'a="', "a=b ", " ", "="]
QUARTER = 256 * KIB


def cost_s(body: str) -> float:
    """Seconds of the processor until a feed is read or refused."""
    began = time.process_time()
    try:
        found = reports(body)
    except MalformedResponse:
        pass
    else:
        assert len(found.reports) + found.refused >= 2
    return time.process_time() - began


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.parametrize("place", ["alone", "head", "title", "description", "attribute", "many"])
def test_the_time_is_linear_in_any_repeated_piece(part: str, place: str) -> None:
    """Some 0.03 s; what grows with the square of the length takes a hundred times as long."""
    filled, few = part * (QUARTER // len(part)), part * (6_000 // len(part))
    pages = {
        "alone": filled,
        "head": feed(item(1), item(2), head=HEAD + filled),
        "title": feed(item(1), item(2), item(3, title=filled)),
        "description": feed(item(1), item(2), item(3, description=f"<![CDATA[{filled}]]>")),
        "attribute": feed(item(1), item(2), item(3, extra=f"<media:content {filled}/>")),
        "many": feed(*[item(n, description=few) for n in range(40)]),
    }
    assert cost_s(pages[place]) < 1.5


@pytest.mark.parametrize("part", ["<a ", "<b>", "<b>x</b>", "&#1;", "<!--", "<![CDATA[", "<x1>"])
def test_the_largest_body_is_read_or_refused_quickly(part: str) -> None:
    filled = part * (2 * MIB // len(part))
    assert cost_s(feed(item(1), item(2), item(3, description=filled))) < 2
