"""Publishers' feeds (RSS 2.0, RSS 1.0 or Atom), keyless. Each feed is a plan with its URL.

The feeds were examined in 2026-07 and 2026-10.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from backend.errors import UpstreamFailed
from backend.models.news import Report, Reports, ReportsQuery
from backend.providers.adapter import (
    MIB,
    Adapter,
    Call,
    Context,
    Operation,
    Plan,
    ProviderSpec,
    Window,
)
from backend.providers.feeds import Item, absolute, elements, read_feed, read_item
from backend.providers.rows import iso_instant, not_ahead, parse_rows, usable_image

#: Publishers ask for five to eight minutes between polls: twelve per hour, plus the reserve of the
#: rate-limit guard. A redirect to the form with a final slash counts too; then a poll in nine
#: minutes is left. Feeds of ten items need one in fifteen.
WINDOWS = (Window(14, 3_600),)
#: By provider: the publisher and the URL of its feed.
FEEDS = {
    "rss_coindesk": ("CoinDesk", "https://www.coindesk.com/arc/outboundfeeds/rss"),
    "rss_cointelegraph": ("Cointelegraph", "https://cointelegraph.com/rss"),
    "rss_theblock": ("The Block", "https://www.theblock.co/rss.xml"),
    "rss_decrypt": ("Decrypt", "https://decrypt.co/feed"),
    "rss_bitcoinmagazine": ("Bitcoin Magazine", "https://bitcoinmagazine.com/feed"),
    "rss_dlnews": ("DL News", "https://www.dlnews.com/arc/outboundfeeds/rss/"),
    "rss_cryptoslate": ("CryptoSlate", "https://cryptoslate.com/feed/"),
    "rss_thedefiant": ("The Defiant", "https://thedefiant.io/feed"),
    "rss_protos": ("Protos", "https://protos.com/feed/"),
}
#: Publishers with other topics too; only their items with these words are used. "token" is missing,
#: as it is a word of language models too.
MIXED = frozenset({"rss_decrypt"})
CRYPTO = re.compile(
    r"\b(?:crypto\w*|\w*coins?|coinbase|btc|eth|ether|ethereum|solana|xrp|cardano|tether|usd[ct]"
    r"|blockchains?|on-?chain|de-?fi|nfts?|web3|tokeni[sz]ed|binance|satoshis?|airdrops?"
    r"|polymarket|hyperliquid|uniswap|metamask)\b",
    re.IGNORECASE,
)
#: Categories of items that somebody paid for.
PAID = re.compile(
    r"sponsored|paid|promoted|advertorials?|(?:(?:paid|sponsored)[ -])?press[ -]releases?"
    r"|(?:sponsored|paid|promoted|partner(?:ed)?)[ -]"
    r"(?:articles?|content|partnerships?|posts?|stor(?:y|ies))",
    re.IGNORECASE,
)
#: What WordPress adds to each teaser: `The post <a>…</a> appeared first on <a>…</a>.`
FOOTER = re.compile(
    r"(?:<p[^<>]*>)?\s?The post (?:(?!The post ).){1,800}? (?:appeared first|first appeared) on "
    r"(?:<a [^<>]*>)?(?:(?!\. )[^<>]){1,60}(?:</a>)?\.?\s?(?:</p>)?\Z",
    re.DOTALL,
)
LONGEST_FOOTER = 1_500
#: WordPress's mark of a teaser that goes on in the article.
CUT_MARK = re.compile(r"\s?\[(?:…|\.\.\.|&#8230;|&hellip;)\]")
TAG = re.compile(r"<[^<>]*>")
PODCAST = re.compile(r"/podcasts?/")
#: The end of a time: an offset in any form or a name of UTC, and an optional comment.
ZONE = re.compile(
    r"\s*(?:([+-]\d\d):?(\d\d)|(?<![a-z])(?:Z|UTC?|GMT))\s*(?:\([^()]*\))?\Z",
    re.IGNORECASE | re.ASCII,
)
ISO_DATE = re.compile(r"\d{4}-\d\d", re.ASCII)
LONGEST_DATE = 100
#: Most items; a body of the largest size has room for fewer valid ones.
MOST_ITEMS = 10_000
OLDEST = timedelta(days=7)

build_feed = Call(max_bytes=2 * MIB, decode="bytes", conditional=True).always


def parse_feed(_query: ReportsQuery, payloads: Sequence[Any], context: Context) -> Reports:
    """The complete items of the last seven days. Raises ValueError if most are malformed."""
    feed = read_feed(payloads[0], context.base_url)
    read = partial(_report, base=feed.base, context=context)
    reports, refused = parse_rows(feed.items, read, "", most=MOST_ITEMS)
    oldest = datetime.fromtimestamp(context.now_ms / 1000, UTC) - OLDEST
    news = tuple(one for one in reports if one and one.published_at >= oldest)
    ended_early = f"the feed is incomplete; {len(reports)} complete items were read"
    return Reports(news, len(refused), () if feed.is_whole else (ended_early,))


def _report(markup: str, *, base: str, context: Context) -> Report | None:
    """None for a podcast, a paid item, and another topic of a mixed publisher."""
    item = read_item(markup, base)
    title, url = item.text("title"), _address(item)
    if not title:  # its topic is unknown
        raise ValueError("an item without a title")
    if _is_podcast(item, url) or any(map(PAID.fullmatch, _categories(item))):
        return None
    if context.provider in MIXED and not _is_about_crypto(item):
        return None
    published = item.text("pubdate", "published", "dc:date", "updated")
    return Report(
        title=title,
        url=url,
        source=FEEDS[context.provider][0],
        published_at=not_ahead(_instant(published), context.now_ms),
        summary=_teaser(item.text("description", "summary")) or None,
        image=_image(item),
    )


def _address(item: Item) -> str:
    """The guid if it is the link without tracking parameters (Cointelegraph), else the link.

    A guid replaces a missing link unless it is marked as not permanent. The link is a text in RSS
    and an attribute in Atom.
    """
    links = [one.attributes for one in item.named("link")]
    pages = [one for one in links if one.get("rel", "alternate") == "alternate"]
    pages.sort(key=lambda one: "html" not in one.get("type", "html"))  # the article, not its data
    link = next(filter(None, [item.text("link"), *(one.get("href", "") for one in pages)]), "")
    guid = item.text("guid", "id")
    if not link:
        flags = [one.attributes.get("ispermalink", "true") for one in item.named("guid")]
        if flags[:1] != ["true"]:
            raise ValueError("an item without an address")
        link = item.text("guid")
    address = absolute(link, item.base)
    return guid if guid == address.partition("?")[0] else address


def _is_podcast(item: Item, url: str) -> bool:
    files = [*item.named("enclosure"), *item.named("link")]
    kinds = [file.attributes.get("type", "") for file in files]
    return any(kind.startswith(("audio/", "video/")) for kind in kinds) or bool(PODCAST.search(url))


def _is_about_crypto(item: Item) -> bool:
    texts = [item.text("title"), item.text("description", "summary"), *_categories(item)]
    return any(CRYPTO.search(TAG.sub(" ", text)) for text in texts)


def _categories(item: Item) -> list[str]:
    tags = item.named("category", "dc:subject")
    return [one.text or one.attributes.get("term", "") for one in tags]


def _teaser(text: str) -> str:
    """The summary without what WordPress adds to it."""
    text = text.rstrip()
    end = text[-LONGEST_FOOTER:]
    kept = text[: len(text) - len(end)] + FOOTER.sub("", end)
    return CUT_MARK.sub("…", kept).rstrip()


def _instant(text: str) -> datetime:
    """A time of RFC 822 or ISO 8601, in UTC. Raises ValueError without an offset.

    -0000 is UTC with an unknown local zone (RFC 5322), and Python's form of UTC.
    """
    if len(text) > LONGEST_DATE:
        raise ValueError("too long for a date")
    zone = ZONE.search(text)
    body, offset = (text[: zone.start()], "+0000") if zone else (text, "")
    if zone and zone[1] and zone[1] + zone[2] != "-0000":
        offset = zone[1] + zone[2]
    if ISO_DATE.match(body):
        return iso_instant(body + offset)
    instant = parsedate_to_datetime(f"{body} {offset}")
    if instant.tzinfo is None:
        raise ValueError("a time without a time zone")
    return instant.astimezone(UTC)


def _image(item: Item) -> str | None:
    groups = [one for group in item.named("media:group") for one in elements(group.content)]
    media = Item((*item.elements, *groups), item.base)
    files = [one.attributes for one in media.named("media:content", "enclosure")]
    kinds = [(file.get("type") or file.get("medium", ""), file) for file in files]
    images = [file for kind, file in kinds if kind.startswith("image")]
    images += [one.attributes for one in media.named("media:thumbnail")]
    addresses = [usable_image(image.get("url") or image.get("href")) for image in images]
    return next(filter(None, addresses), None)


ADAPTER = Adapter(
    vendor="rss",
    operations=(Operation("feed", ReportsQuery, build_feed, parse_feed, parse_in_thread=True),),
    # A feed has no query that could be wrong: a missing feed is down.
    errors={(404, None): UpstreamFailed, (410, None): UpstreamFailed},
)


def provider(name: str) -> ProviderSpec:
    """The feed of FEEDS as a provider."""
    return ProviderSpec(name, ADAPTER, keyless=Plan("feed", (FEEDS[name][1],), WINDOWS))
