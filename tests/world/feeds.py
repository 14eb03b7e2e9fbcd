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
}


def feed(name: str, begun: float) -> bytes:
    """Five items, dirty in the usual ways; the third is the same story in every feed."""
    host = PUBLISHERS[name]
    items = [
        ("Bitcoin climbs on " + name, "climbs?utm_source=rss", "<p>Coins <b>gain</b>.</p>"),
        ("Crypto exchange hacked, " + name + " says", "hacked", "Millions stolen &amp; gone"),
        ("One crypto story everywhere", "everywhere", "Told by all"),
        ("  Padded crypto title of " + name + "\n ", "padded", ""),
        ("<![CDATA[<script>alert(1)</script>Crypto & more by " + name + "]]>", "nasty", "Text"),
    ]
    rows = "".join(
        f"<item><title>{title}</title><link>{host}{path}</link>"
        f"<guid>{host}{path}</guid><description><![CDATA[{text}]]></description>"
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


def gas_oracle(head: int = FIRST_HEAD) -> dict[str, Any]:
    result = {
        "LastBlock": str(head),
        "SafeGasPrice": "0.512345678",
        "ProposeGasPrice": "0.512345679",
        "FastGasPrice": "0.61",
        "suggestBaseFee": "0.512345678",
        "gasUsedRatio": "0.5,0.5",
    }
    return {"status": "1", "message": "OK", "result": result}


def fee_history(calls: list[dict[str, Any]], head: int = FIRST_HEAD) -> list[dict[str, Any]]:
    """Answers to a JSON-RPC batch, in the wrong order; `head` is the newest of the blocks."""
    blocks = 20
    history = {
        "oldestBlock": hex(head - blocks + 1),
        "baseFeePerGas": [hex(500_000_000 + n) for n in range(blocks + 1)],
        "gasUsedRatio": [0.5] * blocks,
        "reward": [[hex(1_000_000), hex(100_000_000), hex(200_000_000)]] * blocks,
    }
    results = {"eth_chainId": "0x1", "eth_feeHistory": history}
    answers = [
        {"jsonrpc": "2.0", "id": call["id"], "result": results[call["method"]]} for call in calls
    ]
    return answers[::-1]
