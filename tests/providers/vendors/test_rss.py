"""Feeds: XML in, reports out; bombs, half items, podcasts and yesterday's weeks stay out."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from backend.errors import GeoBlocked, MalformedResponse, ProviderError, UpstreamFailed
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import MIB, Call, Context
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import rss
from tests.clocks import EPOCH, EPOCH_MS

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/"
 xmlns:media="http://search.yahoo.com/mrss/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>Coin Daily</title><link>https://coindaily.example/</link>
<atom:link rel="self" href="https://coindaily.example/rss"/>
<item_count>7</item_count>"""
TAIL = "</channel></rss>"
DATE = "Sun, 22 Nov 2026 07:30:00 +0000"
HTML = "<!DOCTYPE html><html><head><title>Access denied</title></head></html>"


def item(number: int = 1, extra: str = "", **changes: str | None) -> str:
    fields = {
        "title": f"Coin {number} does something",
        "link": f"https://coindaily.example/{number}",
        "pubDate": DATE,
        "description": "It did it again.",
    } | changes
    tags = [f"<{name}>{text}</{name}>" for name, text in fields.items() if text is not None]
    return f"<item>{''.join(tags)}{extra}</item>"


def feed(*items: str, head: str = HEAD) -> bytes:
    return (head + "".join(items) + TAIL).encode()


def reports(body: Any, provider: str = "rss_coindesk") -> Reports:
    context = Context(provider, "feed", EPOCH_MS)
    return parsed(rss.parse_feed, ReportsQuery(), [body], context)


def only(text: str, provider: str = "rss_coindesk") -> Report:
    (report,) = reports(feed(text), provider).reports
    return report


def titles(body: bytes, provider: str = "rss_coindesk") -> list[str]:
    return [report.title for report in reports(body, provider).reports]


def test_an_item_becomes_a_report() -> None:
    assert only(item()) == Report(
        title="Coin 1 does something",
        url="https://coindaily.example/1",
        source="CoinDesk",
        published_at=datetime(2026, 11, 22, 7, 30, tzinfo=UTC),
        summary="It did it again.",
    )


@pytest.mark.parametrize(
    ("provider", "publisher"),
    [
        ("rss_coindesk", "CoinDesk"),
        ("rss_cointelegraph", "Cointelegraph"),
        ("rss_theblock", "The Block"),
        ("rss_decrypt", "Decrypt"),
        ("rss_bitcoinmagazine", "Bitcoin Magazine"),
        ("rss_dlnews", "DL News"),
        ("rss_cryptoslate", "CryptoSlate"),
        ("rss_thedefiant", "The Defiant"),
        ("rss_protos", "Protos"),
    ],
)
def test_the_provider_determines_the_publisher(provider: str, publisher: str) -> None:
    assert only(item(title="Bitcoin does something"), provider).source == publisher


def test_cdata_is_unpacked_and_padding_is_dropped() -> None:
    report = only(
        item(
            title="\n   <![CDATA[  Fees & more  ]]>\t",
            link="<![CDATA[https://coindaily.example/1?a=1&b=2]]>",
            description="\n<![CDATA[\n  <p>It did it.</p>\n]]>\n",
        )
    )
    assert report.title == "Fees & more"
    assert report.url == "https://coindaily.example/1?a=1&b=2"
    assert report.summary == "<p>It did it.</p>"


@pytest.mark.parametrize(
    "text", ["&lt;p&gt;It &amp;amp; more&lt;/p&gt;", "<![CDATA[<p>It &amp; more</p>]]>"]
)
def test_html_in_a_description_is_passed_on_unchanged(text: str) -> None:
    assert only(item(description=text)).summary == "<p>It &amp; more</p>"


def test_a_script_in_a_title_is_part_of_the_title() -> None:
    title = only(item(title="&lt;script&gt;alert(1)&lt;/script&gt; Coin falls")).title
    assert title.endswith("Coin falls")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("Sun, 22 Nov 2026 03:30:00 -0400", "07:30"),
        ("Sun, 22 Nov 2026 07:30:00 GMT", "07:30"),
        ("Sun, 22 Nov 2026 02:30:00 EST", "07:30"),
        ("Sun, 22 Nov 2026 13:00:00 +0530", "07:30"),
        ("22 Nov 2026 07:30 +0000", "07:30"),
    ],
)
def test_an_offset_is_honoured(text: str, utc: str) -> None:
    published = only(item(pubDate=text)).published_at
    assert (published.strftime("%H:%M"), published.tzinfo) == (utc, UTC)


@pytest.mark.parametrize("description", [None, "", "  ", "<![CDATA[ ]]>"])
def test_an_item_without_a_description_has_no_summary(description: str | None) -> None:
    assert only(item(description=description)).summary is None


@pytest.mark.parametrize(
    "extra",
    [
        "<content:encoded/><dc:description/>",
        "<dc:description>other</dc:description>",
        "<media:content url='https://a.example/1.jpg'><media:title>other</media:title>"
        "<media:description>other</media:description></media:content>",
    ],
)
def test_elements_of_other_namespaces_do_not_replace_the_description(extra: str) -> None:
    report = only(item(extra=extra))
    assert (report.title, report.summary) == ("Coin 1 does something", "It did it again.")


def test_the_full_text_does_not_replace_a_missing_description() -> None:
    whole = "<content:encoded><![CDATA[<p>THE WHOLE TEXT</p>]]></content:encoded>"
    assert only(item(description=None, extra=whole)).summary is None


@pytest.mark.parametrize("name", ["title", "link", "pubDate"])
def test_an_item_without_title_link_or_date_is_left_out(name: str) -> None:
    lacking = item(2).replace(f"<{name}>", "<other>").replace(f"</{name}>", "</other>")
    found = reports(feed(item(1), lacking, item(3)))
    assert [one.url[-1] for one in found.reports] == ["1", "3"]
    assert found.refused == 1


ABSURD = [
    {"title": " "},
    {"title": "x" * 1_001},
    {"link": "javascript:alert(1)"},
    {"link": "file:///etc/passwd"},
    {"link": "https://a.example/x y"},
    {"link": "https://a.example/" + "x" * 2_000},
    {"pubDate": "yesterday"},
    {"pubDate": "Sun, 22 Nov 2026 07:30:00"},
    {"pubDate": "Sun, 22 Nov 2026 07:30:00 XYZ"},
    {"pubDate": "Sun, 99 Nov 2026 07:30:00 GMT"},
    {"pubDate": "Sun, 22 Nov 9999999999 07:30:00 GMT"},
    {"pubDate": "-1"},
    {"pubDate": "NaN"},
]


@pytest.mark.parametrize("change", ABSURD, ids=repr)
def test_malformed_items_are_left_out_unless_most_are(change: dict[str, str]) -> None:
    found = reports(feed(item(1), item(2, **change)))
    assert ([one.url[-1] for one in found.reports], found.refused) == (["1"], 1)
    with pytest.raises(MalformedResponse):
        reports(feed(item(1), item(2, **change), item(3, **change)))


@pytest.mark.parametrize(
    ("age", "is_kept"),
    [
        (timedelta(days=7), True),
        (timedelta(days=7, seconds=1), False),
        (timedelta(days=270), False),
    ],
)
def test_only_the_last_week_is_news(age: timedelta, is_kept: bool) -> None:
    found = reports(feed(item(1), item(2, pubDate=format_datetime(EPOCH - age))))
    assert (len(found.reports), found.refused) == (1 + is_kept, 0)


@pytest.mark.parametrize(
    ("ahead", "is_kept"), [(timedelta(hours=3), True), (timedelta(hours=3, seconds=1), False)]
)
def test_a_time_beyond_the_clock_error_is_refused(ahead: timedelta, is_kept: bool) -> None:
    found = reports(feed(item(1), item(2, pubDate=format_datetime(EPOCH + ahead))))
    assert (len(found.reports), found.refused) == (1 + is_kept, 1 - is_kept)


def test_a_feed_without_recent_items_is_an_empty_answer() -> None:
    old = format_datetime(EPOCH - timedelta(days=30))
    assert reports(feed(item(pubDate=old))) == Reports(())


@pytest.mark.parametrize(
    "podcast",
    [
        item(2, "<enclosure url='https://a.example/2.mp3' length='1' type='audio/mpeg'/>"),
        item(2, "<enclosure url='https://a.example/2.mp4' length='1' type='video/mp4'/>"),
        item(2, link="https://coindaily.example/podcast/2"),
        item(2, link="https://coindaily.example/podcasts/2?x=1"),
    ],
)
def test_podcasts_are_left_out(podcast: str) -> None:
    found = reports(feed(item(1), podcast))
    assert ([one.url[-1] for one in found.reports], found.refused) == (["1"], 0)


def test_an_article_about_a_podcaster_is_kept() -> None:
    assert only(item(link="https://coindaily.example/podcaster-buys-a-coin"))


ADDRESS = "https://a.example/1.jpg?a=1&amp;b=2"


@pytest.mark.parametrize(
    "extra",
    [
        f"<media:content url='{ADDRESS}' type='image/*' medium='image'/>",
        f"<media:content url='{ADDRESS}' width='5' medium='image'/>",
        f"<media:thumbnail url='{ADDRESS}' width='8' height='4'/>",
        f"<enclosure url='{ADDRESS}' length='5' type='image/png'/>",
        f"<media:content url='https://a.example/v' type='video/mp4'/>"
        f"<media:content url='{ADDRESS}' type='image/jpeg'/>",
        f"<media:content url='/relative.jpg' medium='image'/><media:thumbnail url='{ADDRESS}'/>",
    ],
)
def test_an_image_is_found_in_each_feeds_element(extra: str) -> None:
    assert only(item(extra=extra)).image == "https://a.example/1.jpg?a=1&b=2"


@pytest.mark.parametrize(
    "extra",
    [
        "<media:content url='https://a.example/v' type='video/mp4'/>",
        "<media:content url='https://a.example/v'/>",
        "<media:content medium='image'/>",
        "<media:content url='javascript:alert(1)' medium='image'/>",
        f"<media:content url='https://a.example/{'x' * 2_000}' medium='image'/>",
    ],
)
def test_a_file_that_is_not_an_image_is_ignored(extra: str) -> None:
    assert only(item(extra=extra)).image is None


@pytest.mark.parametrize("order", [1, -1], ids=["guid first", "link first"])
def test_a_guid_that_is_the_link_without_tracking_is_the_address(order: int) -> None:
    link = "<link><![CDATA[https://a.example/news/x?utm_source=rss&utm_medium=rss]]></link>"
    guid = "<guid isPermaLink='true'>https://a.example/news/x</guid>"
    extra = "".join([guid, link][::order])
    assert only(item(link=None, extra=extra)).url == "https://a.example/news/x"


@pytest.mark.parametrize(
    "guid", ["6a12db99-0000", "https://a.example/post/7", "https://a.example/other"]
)
def test_any_other_guid_is_not_the_address(guid: str) -> None:
    link = "https://a.example/post/7/coin-falls?utm_source=rss"
    extra = f"<guid isPermaLink='false'>{guid}</guid>"
    assert only(item(link=link, extra=extra)).url == link


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({"title": "Bitcoin falls"}, True),
        ({"description": "<p>The memecoin fell.</p>"}, True),
        ({"title": "ETH ETF sees inflows"}, True),
        ({"title": "A Web3 game closes"}, True),
        ({"title": "Model answers a million tokens a second"}, False),
        ({"title": "Method for whether something happens"}, False),
        ({"description": "<img src='https://cdn.example/bitcoin.jpg'/>It draws."}, False),
    ],
)
def test_only_decrypt_is_filtered_by_crypto_words(changes: dict[str, str], is_kept: bool) -> None:
    about = {"title": "Model writes poems", "description": "It rhymes."} | changes
    if "<" in about["description"]:
        about["description"] = f"<![CDATA[{about['description']}]]>"
    first = item(1, title="Ethereum rises")
    found = reports(feed(first, item(2, **about)), "rss_decrypt")
    assert (len(found.reports), found.refused) == (1 + is_kept, 0)
    assert len(reports(feed(first, item(2, **about)), "rss_theblock").reports) == 2


def test_items_without_titles_are_malformed_and_not_filtered() -> None:
    nameless = [item(number, title=None, description="It rhymes.") for number in range(3)]
    with pytest.raises(MalformedResponse):
        reports(feed(*nameless), "rss_decrypt")


def test_a_category_may_contain_the_crypto_word() -> None:
    text = item(title="A court rules", extra="<category/><category>Cryptocurrency</category>")
    assert only(text, "rss_decrypt").title == "A court rules"


def test_a_truncated_feed_gives_its_complete_items() -> None:
    body = feed(item(1), item(2), item(3, description="<![CDATA[<p>Half of it</p>]]>"))
    ends = [at + len(b"</item>") for at in range(len(body)) if body.startswith(b"</item>", at)]
    for cut in range(body.index(b"<item>"), len(body)):
        whole = sum(cut >= end for end in ends)
        if whole:
            assert len(reports(body[:cut]).reports) == whole
        else:
            with pytest.raises(MalformedResponse):
                reports(body[:cut])


def test_a_feed_truncated_inside_a_character_gives_its_complete_items() -> None:
    body = feed(item(1, title="Café buys coin"), item(2, title="Café"))
    assert titles(body[: body.rindex("é".encode()) + 1]) == ["Café buys coin"]


@pytest.mark.parametrize(
    "spoilt",
    [
        item(2, title="Fees & more"),
        item(2, description="<p>It did it<br>again."),
        item(2, description="It is &nbsp; here"),
        item(2, extra="<other:thing>no such namespace</other:thing>"),
    ],
)
def test_a_feed_that_is_not_well_formed_is_read(spoilt: str) -> None:
    found = reports(feed(item(1), spoilt, item(3)))
    assert [one.url[-1] for one in found.reports] == ["1", "2", "3"]


def test_five_thousand_items_are_read() -> None:
    body = feed(*map(item, range(5_000)))
    assert len(body) < 2 * MIB
    assert len(reports(body).reports) == 5_000


@pytest.mark.parametrize("declared", ["UTF-8", "ISO-8859-1", "UTF-16", "UTF-7", "nonsense"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "with a byte order mark"])
def test_utf8_is_read_with_any_declaration(declared: str, mark: bytes) -> None:
    head = HEAD.replace("UTF-8", declared)
    assert titles(mark + feed(item(title="Café’s coin"), head=head)) == ["Café’s coin"]


@pytest.mark.parametrize("declared", ["UTF-8", "ISO-8859-1"])
def test_latin_bytes_affect_only_their_item(declared: str) -> None:
    head = (HEAD.replace("UTF-8", declared) + item(1, title="Café’s coin")).encode()
    latin = item(2, title="Zürich’s coin").encode("cp1252")
    assert titles(head + latin + TAIL.encode()) == ["Café’s coin", "Zürich’s coin"]


LAUGHS = "".join(
    f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">' if n else '<!ENTITY lol0 "lol">' for n in range(9)
)


@pytest.mark.parametrize(
    "doctype",
    [
        f"<!DOCTYPE rss [{LAUGHS}]>",
        f"<!doctype rss [{LAUGHS}]>",
        '<!DOCTYPE rss SYSTEM "http://127.0.0.1:1/rss.dtd">',
        '<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://127.0.0.1:1/rss.dtd">',
        "<!DOCTYPE rss>",
    ],
    ids=["bomb", "small bomb", "system", "public", "plain"],
)
def test_a_feed_with_a_dtd_is_refused(doctype: str) -> None:
    head = HEAD.replace("<rss", doctype + "<rss")
    with pytest.raises(MalformedResponse):
        reports(feed(item(title="Coin &lol8; falls"), head=head))


@pytest.mark.parametrize("at", ["<channel>", "<item_count>"])
def test_entities_after_the_root_are_not_expanded(at: str) -> None:
    head = HEAD.replace(at, f"<!DOCTYPE rss [{LAUGHS}]>{at}")
    found = titles(feed(item(title="Coin &lol8; falls"), head=head))
    assert all("lollol" not in title for title in found)


@pytest.mark.parametrize("at", ["<rss", "<channel>", "<item_count>"])
def test_an_external_entity_is_not_fetched(at: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("THE SECRET")
    entity = f'<!DOCTYPE rss [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    body = feed(item(title="Coin &x; falls"), head=HEAD.replace(at, entity + at))
    try:
        assert "THE SECRET" not in repr(reports(body))
    except MalformedResponse:
        assert at == "<rss"


@pytest.mark.parametrize(
    "name", ["author", "dc:creator", "dc_creator", "managingEditor", "webMaster", "dc:publisher"]
)
def test_a_very_long_author_is_read_quickly(name: str) -> None:
    endless = f"<{name}>{'a' * 1_000_000}</{name}>"
    found = reports(feed(item(1), item(2, extra=endless)))
    assert [one.url[-1] for one in found.reports] == ["1", "2"]


def test_markup_without_an_end_is_read_quickly() -> None:
    endless = f"<![CDATA[{'<!--' * 300_000}]]>"
    found = reports(feed(item(1), item(2, description=endless), item(3)))
    assert [one.url[-1] for one in found.reports] == ["1", "2", "3"]


JUNK: list[Any] = [
    b"<rss",
    b"</item>",
    b"<rss></item>",
    HTML.encode(),
    "<rss>",
    feed(item()).decode(),
]
JUNK += [feed(), feed(item()).replace(b"<rss", b"<rdf"), feed("<item></item>")]


@pytest.mark.parametrize("body", JUNK, ids=lambda body: repr(body)[:32])
def test_a_body_without_a_feed_item_is_malformed(body: Any) -> None:
    with pytest.raises(MalformedResponse):
        reports(body)


def test_one_conditional_call_requests_the_plans_url() -> None:
    context = Context("rss_coindesk", "feed", EPOCH_MS)
    assert rss.build_feed(ReportsQuery(), context) == (
        Call("", max_bytes=2 * MIB, decode="bytes", conditional=True),
    )


def test_feeds_are_parsed_in_a_thread() -> None:
    (operation,) = rss.ADAPTER.operations
    assert operation.parse_in_thread


@pytest.mark.parametrize("name", rss.FEEDS)
async def test_the_client_requests_a_feed_by_its_base_url(
    name: str, client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    plan = rss.provider(name).keyless
    assert plan is not None
    body = feed(item(title="Bitcoin falls"))
    respx_mock.get(plan.base_urls[0]).mock(return_value=httpx.Response(200, content=body))
    (call,) = rss.build_feed(ReportsQuery(), Context(name, plan.name, EPOCH_MS))
    reply = await client.call(rss.ADAPTER, call, plan.base_urls[0], None, timeout_s=5.0)
    assert len(reports(reply.payload, name).reports) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(403, GeoBlocked), (404, UpstreamFailed), (410, UpstreamFailed)]
)
async def test_a_refusal_becomes_the_documented_error(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    kind: type[ProviderError],
) -> None:
    _, url = rss.FEEDS["rss_decrypt"]
    respx_mock.get(url).mock(return_value=httpx.Response(status, text=HTML))
    with pytest.raises(kind):
        await client.call(rss.ADAPTER, Call(decode="bytes"), url, None, timeout_s=5.0)
