"""B5, B6: feeds in forms that publishers use, and one that would fill the store."""

import asyncio
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.providers import always, raw
from tests.attacks.values.scene import attack


def rss(*items: str, encoding: str = "utf-8", charset: str = "utf-8") -> bytes:
    head = (
        f'<?xml version="1.0" encoding="{charset}"?><rss version="2.0" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/">'
        "<channel><title>x</title><link>https://coindesk.example/</link>"
    )
    return (head + "".join(items) + "</channel></rss>").encode(encoding)


def item(title: str, number: object, date: str, more: str = "", link: str = "") -> str:
    link = link or f"https://coindesk.example/{number}"
    return f"<item><title>{title}</title><link>{link}</link>{date}{more}</item>"


class Feeds:
    """Feeds in forms that publishers use; each has a number of its own in its titles."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.at = datetime.fromtimestamp(at_s, UTC).replace(microsecond=0)
        self.date = f"<pubDate>{formatdate(at_s, usegmt=True)}</pubDate>"

    def dates(self) -> dict[str, str]:
        rfc = formatdate(self.at_s, usegmt=True).removesuffix(" GMT")
        there = formatdate(self.at_s + 5.5 * 3600, usegmt=True).removesuffix(" GMT")
        east = datetime.fromtimestamp(self.at_s + 5.5 * 3600, UTC)
        return {
            "-0000": f"<pubDate>{rfc} -0000</pubDate>",
            "ISO with Z": f"<pubDate>{self.at:%Y-%m-%dT%H:%M:%SZ}</pubDate>",
            "ISO with an offset": f"<pubDate>{east:%Y-%m-%dT%H:%M:%S}+05:30</pubDate>",
            "+05:30": f"<pubDate>{there} +05:30</pubDate>",
            "dc:date": f"<dc:date>{self.at:%Y-%m-%dT%H:%M:%SZ}</dc:date>",
        }

    def forms(self) -> dict[str, tuple[bytes, str]]:
        """What is odd about it, the feed, and the title that has to come out."""
        made: dict[str, tuple[bytes, str]] = {}
        for what, date in self.dates().items():
            title = f"Crypto dated by {what}"
            made[f"a date with {what}"] = rss(item(title, f"date-{len(made)}", date)), title
        for charset, word in {
            "windows-1251": "Биткойн растёт",
            "iso-8859-2": "Bitcoin rośnie żółto",
            "iso-8859-15": "Bitcoin für 5 €",
            "shift_jis": "暗号資産の相場",
        }.items():
            title = f"{word} crypto"
            body = rss(item(title, charset, self.date), encoding=charset, charset=charset)
            made[f"declared as {charset}"] = body, title
        large = (
            f"<content:encoded><![CDATA[{'<p>long crypto text</p>' * 4_000}]]></content:encoded>"
        )
        made["an item of 90 kB"] = (
            rss(item("Large crypto item", "large", self.date, large)),
            "Large crypto item",
        )
        made["an escaped tag in CDATA"] = (
            rss(
                item(
                    "<![CDATA[Hackers inject &lt;script&gt; into crypto wallets]]>",
                    "tag-1",
                    self.date,
                )
            ),
            "Hackers inject <script> into crypto wallets",
        )
        made["an escaped tag"] = (
            rss(item("Sites drop &amp;lt;iframe&amp;gt; for crypto", "tag-2", self.date)),
            "Sites drop <iframe> for crypto",
        )
        made["a bare & in title and link"] = (
            rss(
                item(
                    "AT&T buys crypto",
                    "and",
                    self.date,
                    link="https://coindesk.example/and?a=1&b=2",
                )
            ),
            "AT&T buys crypto",
        )
        made["a relative link"] = (
            rss(item("Crypto by a relative link", "rel", self.date, link="/news/relative")),
            "Crypto by a relative link",
        )
        made["Atom"] = self.atom(), "Crypto told by Atom"
        made["RSS 1.0"] = self.rdf(), "Crypto told by RDF"
        return made

    def atom(self) -> bytes:
        at = f"{self.at:%Y-%m-%dT%H:%M:%SZ}"
        return (
            '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>x</title>'
            "<id>urn:x</id><updated>" + at + "</updated><entry><title>Crypto told by Atom</title>"
            '<id>urn:y</id><link href="https://coindesk.example/atom"/><published>'
            + at
            + "</published>"
            "<updated>" + at + "</updated><summary>Text</summary></entry></feed>"
        ).encode()

    def rdf(self) -> bytes:
        at = f"{self.at:%Y-%m-%dT%H:%M:%SZ}"
        return (
            '<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
            'xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            '<channel rdf:about="https://coindesk.example/"><title>x</title></channel>'
            '<item rdf:about="https://coindesk.example/rdf"><title>Crypto told by RDF</title>'
            "<link>https://coindesk.example/rdf</link><dc:date>"
            + at
            + "</dc:date></item></rdf:RDF>"
        ).encode()


@attack(
    "B6",
    "feeds with odd dates, charsets, large items, escaped tags, a bare `&`, relative links; Atom",
    loss="an article that is missing, or has other words or another time than its feed says",
)
async def odd_feeds(field: Field, tally: Tally) -> None:
    feeds = Feeds(field.world.begun - 300)
    for what, (body, title) in feeds.forms().items():
        sent = raw(b"200 OK", b"Content-Type: application/xml", body=body)
        field.world.spoilt = {"rss_coindesk": always(sent)}
        field.world.sent.clear()
        rows: list[dict[str, Any]] = []
        for _ in range(20):
            await asyncio.sleep(0.03)
            rows = (await field.gateway.client.get("/api/news?limit=200")).json()["data"]
            if field.world.sent["rss_coindesk"]:
                break
        tally.tries += 1
        found = [row for row in rows if without_marks(row["title"]) == without_marks(title)]
        tally.expect(found, f"{what}: no article")
        if found:
            at = datetime.fromisoformat(found[0]["published_at"])
            tally.expect(at == feeds.at, f"{what}: published at {at}")
    field.world.spoilt = {}


def without_marks(title: str) -> str:
    """A tag that a title names may stay as it is, or as a word."""
    return title.replace("<", "").replace(">", "")


@attack(
    "B5",
    "a feed of 2,600 items dated eight minutes ahead",
    loss="an article of another feed that is not shown any more, an article of the time to come",
    lasts=True,
)
async def future_items(field: Field, tally: Tally) -> None:
    ahead = f"<pubDate>{formatdate(field.world.now_s + 480, usegmt=True)}</pubDate>"
    recent = f"<pubDate>{formatdate(field.world.now_s - 5, usegmt=True)}</pubDate>"
    for place, date in enumerate((ahead, recent)):
        numbers = range(place * 2_600, (place + 1) * 2_600)
        items = (item(f"Crypto flood {number}", f"flood-{number}", date) for number in numbers)
        field.world.spoilt = {"rss_theblock": always(raw(b"200 OK", body=rss(*items)))}
        before = field.world.sent["rss_theblock"]
        for _ in range(20):
            answer = await field.gateway.client.get("/api/news?limit=200")
            if field.world.sent["rss_theblock"] > before:
                break
            await asyncio.sleep(0.05)
        tally.tries += 1
        now = datetime.now(UTC)
        late = [
            row
            for row in answer.json()["data"]
            if datetime.fromisoformat(row["published_at"]) > now
        ]
        tally.expect(not late, f"{len(late)} articles of the time to come")
    field.world.spoilt = {}
    for source in ("CoinDesk", "Cointelegraph", "Decrypt"):
        answer = await field.gateway.client.get(f"/api/news?limit=200&source={source}")
        rows = answer.json()["data"]
        tally.expect(len(rows) >= 3, f"{source} has {len(rows)} articles left")
