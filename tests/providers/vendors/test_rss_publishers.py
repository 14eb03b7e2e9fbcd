"""The habits of publishers: WordPress's teasers, paid items, redirects, bot walls, dialects."""

from dataclasses import dataclass, field

import httpx
import pytest
import respx

from backend.errors import GeoBlocked, MalformedResponse, Moved, ProviderError, RateLimited
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import Context
from backend.providers.client import ProviderClient, parsed
from backend.providers.registry import REGISTRY
from backend.providers.vendors import rss
from tests.clocks import EPOCH_MS

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"'
    ' xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>'
    "<title>Coin Weekly</title><link>https://weekly.example</link>"
)
TAIL = "</channel></rss>"
CONTEXT = Context("rss_protos", "feed", EPOCH_MS)
WALL = "<html><head><title>Just a moment...</title></head><body><script>go()</script></body></html>"


def item(number: int = 1, extra: str = "", description: str = "Fees fell.") -> str:
    return (
        f"<item><title>Story {number} of coins</title><link>https://weekly.example/{number}/</link>"
        "<dc:creator><![CDATA[A. Writer]]></dc:creator>"
        "<pubDate>Sun, 22 Nov 2026 07:30:00 +0000</pubDate>"
        f'<guid isPermaLink="false">https://weekly.example/?p={number}</guid>'
        f"<description><![CDATA[{description}]]></description>{extra}</item>"
    )


def feed(*items: str, head: str = HEAD, tail: str = TAIL) -> bytes:
    return f"{head}{''.join(items)}{tail}".encode()


def reports(body: bytes) -> Reports:
    return parsed(rss.parse_feed, ReportsQuery(), [body], CONTEXT)


def only(body: bytes) -> Report:
    (report,) = reports(body).reports
    return report


# WordPress

LINKS = (
    '<a href="https://weekly.example/1/">Story 1 of coins</a> appeared first on'
    ' <a href="https://weekly.example">Coin Weekly</a>'
)


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        (f"<p>Fees fell.</p>\n<p>The post {LINKS}.</p>\n", "<p>Fees fell.</p>"),
        (f"Fees fell. The post {LINKS}.", "Fees fell."),
        (f"Fees fell.\n\nThe post {LINKS}", "Fees fell."),
        ("Fees fell. The post Story 1 appeared first on Coin Weekly.", "Fees fell."),
        (f"<p>Fees fell [&#8230;]</p>\n<p>The post {LINKS}.</p>", "<p>Fees fell…</p>"),
        ("Fees fell […]", "Fees fell…"),
        ("Fees fell [...]", "Fees fell…"),
        (f"<p>The post {LINKS}.</p>", None),
        (
            f"The post was deleted. <p>The post {LINKS}.</p>",
            "The post was deleted.",
        ),
        (
            "<p>The post <a href='https://weekly.example/1/'>Story &#8220;<em>one</em>&#8221;</a>"
            " first appeared on <a href='https://weekly.example'>Coin Weekly</a>.</p>",
            None,
        ),
    ],
)
def test_what_wordpress_adds_to_a_teaser_is_left_out(description: str, summary: str | None) -> None:
    assert only(feed(item(description=description))).summary == summary


@pytest.mark.parametrize(
    "description",
    [
        "The post office of Zug accepts coins.",
        "The coin appeared first on Solana.",
        "The post said so. The coin, which appeared first on Solana, fell. It rose the next day.",
        "<p>The post says that it appeared first on Solana.</p><p>That is wrong.</p>",
    ],
)
def test_sentences_of_the_article_are_kept(description: str) -> None:
    assert only(feed(item(description=description))).summary == description


def test_the_whole_text_beside_the_teaser_is_never_used() -> None:
    whole = f"<content:encoded><![CDATA[{'<p>ALL OF IT</p>' * 9_000}]]></content:encoded>"
    report = only(feed(item(extra=whole, description="")))
    assert "ALL OF IT" not in repr(report)
    assert report.summary is None


# Paid items


@pytest.mark.parametrize(
    "category",
    [
        "Sponsored",
        "SPONSORED POST",
        "Sponsored Content",
        "Press Release",
        "press-releases",
        "Paid",
        "Paid Post",
        "Paid press release",
        "Partner Content",
        "Promoted",
        "Advertorial",
        "\n <![CDATA[ Press Releases ]]> \n",
    ],
)
def test_paid_items_are_left_out_by_their_category(category: str) -> None:
    paid = item(2, f"<category>Bitcoin</category><category>{category}</category>")
    found = reports(feed(item(1), paid))
    assert ([one.url for one in found.reports], found.refused) == (["https://weekly.example/1/"], 0)


@pytest.mark.parametrize(
    "category", ["Payments", "Sponsorship deals", "Press", "Releases", "Unpaid taxes", "Partners"]
)
def test_other_categories_are_no_reason_to_leave_an_item_out(category: str) -> None:
    assert only(feed(item(extra=f"<category>{category}</category>")))


# Addresses, redirects and bot walls


def test_the_feeds_are_polled_as_often_as_the_least_of_them_needs() -> None:
    """Ten items are overrun in hours: a poll in fifteen minutes, also with a redirect each time."""
    for name in rss.FEEDS:
        (spec,) = [spec for spec in REGISTRY if spec.name == name]
        assert spec.keyless is not None
        (window,) = spec.keyless.windows
        calls_per_poll = 2
        assert window.period_s / (window.limit // calls_per_poll) <= 15 * 60


async def test_a_redirect_to_the_form_with_a_final_slash_is_named_for_the_caller(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    _, url = rss.FEEDS["rss_thedefiant"]
    (call,) = rss.build_feed(ReportsQuery(), CONTEXT)
    moved = httpx.Response(301, headers={"Location": f"{url}/"})
    respx_mock.get(url).mock(return_value=moved)
    with pytest.raises(Moved) as found:
        await client.call(rss.ADAPTER, call, url, None, timeout_s=5.0)
    assert found.value.location == f"{url}/"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, GeoBlocked), (429, RateLimited), (503, ProviderError), (202, None), (200, None)],
)
async def test_a_bot_wall_is_no_feed_under_any_status(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    kind: type[ProviderError] | None,
) -> None:
    _, url = rss.FEEDS["rss_cryptoslate"]
    (call,) = rss.build_feed(ReportsQuery(), CONTEXT)
    answer = httpx.Response(status, text=WALL, headers={"Content-Type": "application/rss+xml"})
    respx_mock.get(url).mock(return_value=answer)
    if kind:
        with pytest.raises(kind):
            await client.call(rss.ADAPTER, call, url, None, timeout_s=5.0)
    else:
        reply = await client.call(rss.ADAPTER, call, url, None, timeout_s=5.0)
        with pytest.raises(MalformedResponse):
            reports(reply.payload)


@pytest.mark.parametrize("before", ["<html><body>", "<HTML lang='en'>", "<script>x</script>"])
def test_a_web_page_with_a_feed_in_it_is_no_feed(before: str) -> None:
    with pytest.raises(MalformedResponse):
        reports(before.encode() + feed(item()))


@pytest.mark.parametrize("before", ["\n\n", "<br />\n<b>Warning</b>: Undefined in x.php<br />\n"])
def test_a_feed_after_the_warnings_of_the_publishers_server_is_read(before: str) -> None:
    assert only(before.encode() + feed(item()))


# RSS 1.0 and Atom


@dataclass(frozen=True)
class Dialect:
    """A feed of two articles in one of the dialects, and what is read of the first."""

    name: str
    body: str
    summary: str | None = "It <b>fell</b>."
    categories: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.name


RDF = (
    '<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    '<channel rdf:about="https://weekly.example/rdf"><title>Coin Weekly</title>'
    "<link>https://weekly.example/</link><description>All</description><items><rdf:Seq>"
    '<rdf:li rdf:resource="https://weekly.example/1/"/></rdf:Seq></items></channel>'
    '<item rdf:about="https://weekly.example/1/"><title>Coin falls</title>'
    "<link>https://weekly.example/1/</link>"
    "<description>It &lt;b&gt;fell&lt;/b&gt;.</description>"
    "<dc:date>2026-11-22T08:30:00+01:00</dc:date>SUBJECT</item>"
    '<item rdf:about="https://weekly.example/2/"><title>Coin rises</title><link>/2/</link>'
    "<dc:date>2026-11-22T07:29:00Z</dc:date></item></rdf:RDF>"
)
PREFIXED_RDF = RDF.replace('xmlns="http', 'xmlns:rss="http')
for _name in ("channel", "item", "items", "title", "link", "description"):
    for _end in (">", " "):
        PREFIXED_RDF = PREFIXED_RDF.replace(f"<{_name}{_end}", f"<rss:{_name}{_end}")
    PREFIXED_RDF = PREFIXED_RDF.replace(f"</{_name}>", f"</rss:{_name}>")
ATOM = (
    '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://weekly.example/">'
    '<title type="text">Coin Weekly</title><link rel="self" href="atom.xml"/>'
    "<updated>2026-11-22T07:59:00Z</updated><id>urn:weekly</id>"
    "<entry><title>Coin falls</title><id>urn:1</id>"
    '<link rel="self" href="https://weekly.example/api/1"/>'
    '<link rel="alternate" type="application/json" href="https://weekly.example/1.json"/>'
    '<link rel="alternate" type="text/html" href="https://weekly.example/1/"/>'
    "<updated>2026-11-22T07:50:00Z</updated><published>2026-11-22T07:30:00Z</published>"
    '<summary type="html">It &lt;b&gt;fell&lt;/b&gt;.</summary>'
    '<content type="html">&lt;p&gt;ALL OF IT&lt;/p&gt;</content>SUBJECT</entry>'
    '<entry><title>Coin rises</title><id>urn:2</id><link href="/2/"/>'
    "<updated>2026-11-22T07:29:00Z</updated>"
    '<content type="html" src="https://weekly.example/2/whole"/></entry></feed>'
)
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">It <b>fell</b>.</div>'
DIALECTS = [
    Dialect("RSS 1.0", RDF),
    Dialect("RSS 1.0 with a prefix", PREFIXED_RDF),
    Dialect("Atom", ATOM),
    Dialect(
        "Atom with XHTML",
        ATOM.replace(
            '<summary type="html">It &lt;b&gt;fell&lt;/b&gt;.', f'<summary type="xhtml">{XHTML}'
        ),
        XHTML,
    ),
    Dialect(
        "Atom without a summary",
        ATOM.replace('<summary type="html">It &lt;b&gt;fell&lt;/b&gt;.</summary>', ""),
        None,
    ),
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_articles_are_read_in_every_dialect(dialect: Dialect) -> None:
    first, second = reports(dialect.body.replace("SUBJECT", "").encode()).reports
    assert (first.title, first.url) == ("Coin falls", "https://weekly.example/1/")
    assert (first.summary, first.published_at.strftime("%H:%M")) == (dialect.summary, "07:30")
    assert (second.title, second.url) == ("Coin rises", "https://weekly.example/2/")
    assert (second.summary, second.published_at.strftime("%H:%M")) == (None, "07:29")


@pytest.mark.parametrize(
    ("body", "paid"),
    [
        (RDF, "<dc:subject>Press Release</dc:subject>"),
        (ATOM, '<category term="Sponsored" label="Sponsored"/>'),
    ],
    ids=["RSS 1.0", "Atom"],
)
def test_paid_items_are_left_out_in_every_dialect(body: str, paid: str) -> None:
    assert only(body.replace("SUBJECT", paid).encode()).title == "Coin rises"
