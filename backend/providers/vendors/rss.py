"""Publishers' own feeds (RSS 2.0), without a key: one plan a feed, whose address is its base URL.

Feeds as seen in 2026-07 and 2026-10. Read by feedparser 6.0.14, whose source tells its limits.
"""

import io
import re
import xml.sax.expatreader  # noqa: F401 - feedparser loads it at its first feed, when files may be out
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import feedparser

from backend.errors import UpstreamFailed
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import MIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import JUNK

#: Publishers ask for five to eight minutes between polls. Twelve in the hour are a refresh every
#: five minutes, and the margin that stays unused is on top.
WINDOWS = (Window(14, 3_600),)
COINDESK = Plan("feed", ("https://www.coindesk.com/arc/outboundfeeds/rss",), WINDOWS)
COINTELEGRAPH = Plan("feed", ("https://cointelegraph.com/rss",), WINDOWS)
THEBLOCK = Plan("feed", ("https://www.theblock.co/rss.xml",), WINDOWS)
DECRYPT = Plan("feed", ("https://decrypt.co/feed",), WINDOWS)

PUBLISHERS = {
    "rss_coindesk": "CoinDesk",
    "rss_cointelegraph": "Cointelegraph",
    "rss_theblock": "The Block",
    "rss_decrypt": "Decrypt",
}
#: Publishers that write about much else; "token" alone is a word of language models, too.
MIXED = frozenset({"rss_decrypt"})
CRYPTO = re.compile(
    r"\b(?:crypto\w*|\w*coins?|coinbase|btc|eth|ether|ethereum|solana|xrp|cardano|tether|usd[ct]"
    r"|blockchains?|on-?chain|de-?fi|nfts?|web3|tokeni[sz]ed|binance|satoshis?|airdrops?"
    r"|polymarket|hyperliquid|uniswap|metamask)\b",
    re.IGNORECASE,
)
TAG = re.compile(r"<[^<>]*>")
PODCAST = re.compile(r"/podcasts?/")
ADDRESS = re.compile(r"https?://[^\s<>\"]{1,1990}")
#: Elements that feedparser must not see. In authors' names it looks for a mail address, in a time
#: that grows with the square of their length (mixin.py). CoinDesk's empty `dc:description` would
#: replace the description, and `content:encoded`, the whole article, a missing one.
UNREAD = re.compile(
    r"(</?)(?:[^\s<>/]*(?:author|creator|managingeditor|webmaster|publisher|owner)[^\s<>/]*"
    r"|[^\s<>/:]+[:_](?:title|description|summary|encoded)(?=[\s/>]))",
    re.IGNORECASE,
)
#: feedparser takes seconds for a megabyte of tags in one title.
LARGEST_ITEM = 64 * 1_024
OLDEST = timedelta(days=7)
#: What is dated further ahead of now than a wrong clock explains, is not news yet.
AHEAD = timedelta(hours=1)


def serves_feed(_query: ReportsQuery, _context: Context) -> int:
    return 0


def build_feed(_query: ReportsQuery, _context: Context) -> tuple[Call, ...]:
    return (Call(max_bytes=2 * MIB, decode="bytes", conditional=True),)


def parse_feed(_query: ReportsQuery, payloads: Sequence[Any], context: Context) -> Reports:
    """The whole items of the last days. Raises ValueError where most items are none."""
    entries = _entries(payloads[0])
    reports: list[Report] = []
    refused = 0
    for entry in entries:
        try:
            reports += [_report(entry, context)] if _is_article(entry, context) else []
        except JUNK:
            refused += 1
    if 2 * refused >= len(entries):
        raise ValueError(f"{refused} of {len(entries)} items are absurd")
    return Reports(tuple(one for one in reports if _is_of_now(one, context)), refused)


def _entries(body: bytes) -> list[Any]:
    """feedparser's entries of the items that arrived whole.

    It gets a stream, as it opens a string that looks like a path or an address. It gets no
    prolog: a DTD's entities may be a bomb, and a declared encoding may be wrong. It is not to
    clean HTML, which would take it minutes for some of it; the service does that for all.
    """
    prolog, root, rest = body.partition(b"<rss")
    *items, _cut_off = rest.split(b"</item>")
    if not root or not items or b"<!DOCTYPE" in prolog.upper():
        raise ValueError("no feed, or one with a DTD")
    head, opening, first = items[0].partition(b"<item")
    whole = [item for item in (opening + first, *items[1:]) if len(item) <= LARGEST_ITEM]
    if len(head) > LARGEST_ITEM:
        raise ValueError("a head larger than any honest one")
    text = "</item>".join(["<rss" + _text(head), *map(_text, whole), "</channel></rss>"])
    text = text.replace("</item>", "", 1)  # none ends before the first
    stream = io.BytesIO(UNREAD.sub(r"\1unread", text).encode())
    feed = feedparser.parse(stream, sanitize_html=False, resolve_relative_uris=False)
    return list(feed.entries)


def _text(item: bytes) -> str:
    """Item by item, so that one stray byte spoils one title."""
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item.decode("cp1252", "replace")


def _is_article(entry: Any, context: Context) -> bool:
    """False for podcasts, and for what a mixed publisher writes about something else."""
    kinds = [str(file.get("type")) for file in entry.get("enclosures", ())]
    if any(kind.startswith(("audio/", "video/")) for kind in kinds):
        return False
    if PODCAST.search(entry["link"]):
        return False
    return context.provider not in MIXED or _is_about_crypto(entry)


def _is_about_crypto(entry: Any) -> bool:
    texts = [entry["title"], entry.get("summary", ""), *(tag.term for tag in entry.get("tags", ()))]
    return any(CRYPTO.search(TAG.sub(" ", text or "")) for text in texts)


def _report(entry: Any, context: Context) -> Report:
    return Report(
        title=entry["title"].strip(),
        url=_address(entry),
        source=PUBLISHERS[context.provider],
        published_at=_instant(entry["published"]),
        summary=entry.get("summary", "").strip() or None,
        image=_image(entry),
    )


def _address(entry: Any) -> str:
    """The guid where it is the link without its tracking (Cointelegraph), else the link."""
    link, guid = entry["link"], entry.get("id")
    address = guid if guid == link.partition("?")[0] else link
    if not ADDRESS.fullmatch(address):
        raise ValueError("an item without an address")
    return str(address)


def _instant(text: str) -> datetime:
    """Offsets differ from item to item; a time without one is nobody's time."""
    instant = parsedate_to_datetime(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant.astimezone(UTC)


def _image(entry: Any) -> str | None:
    files = [*entry.get("media_content", ()), *entry.get("enclosures", ())]
    kinds = [(str(file.get("type") or file.get("medium")), file) for file in files]
    images = [file for kind, file in kinds if kind.startswith("image")]
    images += entry.get("media_thumbnail", ())
    addresses = (str(image.get("url") or image.get("href")) for image in images)
    return next((one for one in addresses if ADDRESS.fullmatch(one)), None)


def _is_of_now(report: Report, context: Context) -> bool:
    now = datetime.fromtimestamp(context.now_ms / 1000, UTC)
    return now - OLDEST <= report.published_at <= now + AHEAD


ADAPTER = Adapter(
    vendor="rss",
    operations=(
        Operation("feed", ReportsQuery, serves_feed, build_feed, parse_feed, parse_in_thread=True),
    ),
    # A feed has no questions to refuse: one that is gone is down.
    errors={(404, None): UpstreamFailed, (410, None): UpstreamFailed},
)
