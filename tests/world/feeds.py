"""Invented news, moods and gas in the providers' own shapes."""

import time
from email.utils import formatdate
from typing import Any

#: The chain's newest block when a world begins, and how long one takes, in seconds.
FIRST_HEAD, BLOCK_S = 24_000_019, 12.0
PUBLISHERS = {
    "rss_coindesk": "https://coindesk.example/",
    "rss_cointelegraph": "https://cointelegraph.example/",
    "rss_theblock": "https://theblock.example/",
    "rss_decrypt": "https://decrypt.example/",
    "rss_bitcoinmagazine": "https://bitcoinmagazine.example/",
    "rss_dlnews": "https://dlnews.example/",
    "rss_cryptoslate": "https://cryptoslate.example/",
    "rss_thedefiant": "https://thedefiant.example/",
    "rss_protos": "https://protos.example/",
}
#: Feeds of WordPress: teasers with its mark and footer, and the whole text beside them.
WORDPRESS = ("rss_bitcoinmagazine", "rss_cryptoslate", "rss_thedefiant", "rss_protos")


def feed(name: str, begun: float) -> bytes:
    """Five items, dirty in the usual ways; the third is the same story in every feed."""
    host = PUBLISHERS[name]
    footer, whole = "", ""
    if name in WORDPRESS:
        links = f"<a href='{host}1'>One</a> appeared first on <a href='{host}'>Site</a>"
        footer = f" [&#8230;]<p>The post {links}.</p>"
        whole = "<content:encoded><![CDATA[<p>THE WHOLE TEXT</p>]]></content:encoded>"
    items = [
        ("Bitcoin climbs on " + name, "climbs?utm_source=rss", "<p>Coins <b>gain</b>.</p>"),
        ("Crypto exchange hacked, " + name + " says", "hacked", "Millions stolen &amp; gone"),
        ("One crypto story everywhere", "everywhere", "Told by all"),
        ("  Padded crypto title of " + name + "\n ", "padded", ""),
        ("<![CDATA[<script>alert(1)</script>Crypto & more by " + name + "]]>", "nasty", "Text"),
    ]
    rows = "".join(
        f"<item><title>{title}</title><link>{host}{path}</link>"
        f"<guid>{host}{path}</guid><description><![CDATA[{text}{footer}]]></description>"
        f"{whole}"
        f"<pubDate>{formatdate(begun - 600 * place, usegmt=True)}</pubDate></item>"
        for place, (title, path, text) in enumerate(items, start=1)
    )
    head = '<?xml version="1.0"?><rss version="2.0"><channel><title>x</title>'
    return f"{head}{rows}</channel></rss>".encode()


def iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def posts(begun: float, token: str) -> dict[str, Any]:
    """CryptoPanic's page; its link to the next one carries the caller's token."""
    votes = {"positive": 9, "negative": 1, "liked": 5, "disliked": 0, "toxic": 0}
    base = {"kind": "news", "source": {"title": "A Paper", "domain": "paper.example"}}
    rows = [
        {
            "id": 1,
            "title": "Voted story",
            "original_url": "https://paper.example/1",
            "votes": votes,
        },
        {"id": 2, "title": "Fresh story", "original_url": "https://paper.example/2"},
    ]
    begin = {**base, "published_at": iso(begun - 900), "instruments": [{"code": "BTC"}]}
    return {
        "next": f"https://cryptopanic.example/?auth_token={token}&page=2",
        "previous": None,
        "results": [{**begin, "id": number, **row} for number, row in enumerate(rows)],
    }


def articles(begun: float) -> dict[str, Any]:
    row = {
        "source": {"id": None, "name": "A Magazine"},
        "author": None,
        "title": "A crypto feature",
        "description": "About <i>crypto</i>",
        "url": "https://magazine.example/feature?utm_medium=x",
        "urlToImage": None,
        "publishedAt": iso(begun - 1_200),
        "content": "cut [+100 chars]",
    }
    other = {**row, "title": "Another crypto feature", "url": "https://magazine.example/other"}
    removed = {**row, "title": "[Removed]", "url": "https://removed.com"}
    return {"status": "ok", "totalResults": 3, "articles": [row, other, removed]}


def fear_and_greed(count: int, until_update: int, now_s: float) -> dict[str, Any]:
    """Newest first; the day before yesterday but eight is missing."""
    midnight = int(now_s) // 86_400 * 86_400
    rows = [
        {
            "value": str(20 + back % 60),
            "value_classification": "Fear",
            "timestamp": str(midnight - back * 86_400),
        }
        for back in range(count)
        if back != 10
    ]
    rows[0]["time_until_update"] = str(until_update)
    return {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}


def other_index(count: int, now_s: float) -> dict[str, Any]:
    midnight = int(now_s) // 86_400 * 86_400
    rows = [
        {"timestamp": str(midnight - back * 86_400), "value": 40, "value_classification": "Fear"}
        for back in range(count)
    ]
    return {"data": rows, "status": {"error_code": "0", "error_message": None}}


def gas_oracle(head: int = FIRST_HEAD, chain_id: str = "1") -> dict[str, Any]:
    whole = {"1": "0", "137": "300"}[chain_id]
    result = {
        "LastBlock": str(head),
        "SafeGasPrice": f"{whole}.512345678",
        "ProposeGasPrice": f"{whole}.512345679",
        "FastGasPrice": f"{whole}.61",
        "suggestBaseFee": f"{whole}.512345678",
        "gasUsedRatio": "0.5,0.5",
    }
    return {"status": "1", "message": "OK", "result": result}


#: By chain: its id, the seconds of a block, the blocks of a history, the base fee and the least
#: tip in wei.
EVM_CHAINS = {
    "ethereum": ("0x1", 12.0, 20, 500_000_000, 1_000_000),
    "base": ("0x2105", 2.0, 30, 5_000_000, 1_000_000),
    "arbitrum": ("0xa4b1", 0.25, 120, 20_000_000, 0),
    "optimism": ("0xa", 2.0, 30, 1_000_000, 500_000),
    "polygon": ("0x89", 2.0, 30, 300_000_000_000, 30_000_000_000),
    "bnb": ("0x38", 0.5, 80, 0, 50_000_000),
    "avalanche": ("0xa86a", 1.5, 40, 40_000_000, 1_000),
}


def fee_history(
    calls: list[dict[str, Any]], head: int = FIRST_HEAD, chain: str = "ethereum"
) -> list[dict[str, Any]]:
    """Answers to a JSON-RPC batch, in the wrong order; `head` is the newest of the blocks."""
    chain_id, _, blocks, base, tip = EVM_CHAINS[chain]
    step = 0 if base == 0 else 1
    tips = [tip, tip + 99_000_000, tip + 199_000_000] if tip else [0, 0, 0]
    further = 0 if chain == "avalanche" else 1  # its nodes do not know the next base fee
    history = {
        "oldestBlock": hex(head - blocks + 1),
        "baseFeePerGas": [hex(base + step * n) for n in range(blocks + further)],
        "gasUsedRatio": [0.5] * blocks,
        "reward": [[hex(one) for one in tips] for _ in range(blocks)],
    }
    results = {"eth_chainId": chain_id, "eth_feeHistory": history, "eth_baseFee": hex(base + 7)}
    answers = [
        {"jsonrpc": "2.0", "id": call["id"], "result": results[call["method"]]} for call in calls
    ]
    return answers[::-1]


#: Bitcoin's height when a world begins, and the seconds of a block.
FIRST_HEIGHT, BITCOIN_BLOCK_S = 975_310, 600.0


def bitcoin_fees(*, precise: bool = True) -> dict[str, float]:
    tiers = {"fastestFee": 2.5, "halfHourFee": 1.75, "hourFee": 1.2, "economyFee": 0.4}
    told = {**tiers, "minimumFee": 0.1}
    return told if precise else {name: max(1, round(fee)) for name, fee in told.items()}


def fee_estimates() -> dict[str, float]:
    return {"1": 3.1, "2": 3.1, "3": 2.2, "6": 1.4, "25": 1.01, "144": 1.0, "1008": 1.0}
