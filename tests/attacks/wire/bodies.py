"""A5, A6: bytes behind an answer, and bodies that are coded oddly or cut."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

import zstandard

from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.providers import Sent, always, raw
from tests.attacks.values.scene import expect_taken
from tests.attacks.wire.scene import ASIDE, LOSS, SEED, WireField, attack, heal, play
from tests.world import data
from tests.world.feeds import feed
from tests.world.messages import Reply, Request, encoded

#: What figures become in an answer that nobody asked for: none is so far off as to be absurd.
INVENTED = {
    **dict.fromkeys(("current_price", "high_24h", "market_cap", "lastPrice", "highPrice"), 1.045),
    **dict.fromkeys(("SafeGasPrice", "ProposeGasPrice", "FastGasPrice", "suggestBaseFee"), 1.9),
    "value": 1.5,
}


def invented(reply: Reply) -> bytes:
    """An answer of the same shape with other figures, or without the first headlines."""
    if reply.content_type != "application/json":
        return reply.body.replace(b"Bitcoin climbs", b"Invented climbs")
    return data.to_json(inflated(json.loads(reply.body)))


def inflated(value: Any, factor: float | None = None) -> Any:
    if isinstance(value, dict):
        return {name: inflated(inner, INVENTED.get(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [inflated(inner) for inner in value]
    if factor is None or value is None:
        return value
    changed = float(value) * factor
    return type(value)(round(changed) if float(value).is_integer() else changed)


@attack(
    "A5",
    "bytes behind a complete answer: a second answer, half of one, junk",
    loss=f"an answer that was made of them; {LOSS}",
)
async def bytes_behind(field: WireField, tally: Tally) -> None:
    kinds = cycle(range(6))

    def spoil(_request: Request, reply: Reply) -> Sent:
        second = encoded(replace(reply, body=invented(reply)))
        junk = b"\x00" * 500, b"HTTP/1.1 500 X\r\n\r\n", b"\r\n"
        behind = (second, second * 20, second[:-70], *junk)[next(kinds)]
        return Sent(encoded(reply) + behind, closes=False)

    await play(field, tally, spoil, tally.times(8, 2))


@attack("A6", "a gzip body of several members", loss=f"a part that is taken for all; {LOSS}")
async def several_members(field: WireField, tally: Tally) -> None:
    def spoil(_request: Request, reply: Reply) -> Sent:
        third = len(reply.body) // 3
        parts = reply.body[:third], reply.body[third : 2 * third], reply.body[2 * third :]
        return coded(reply, b"".join(map(gzip.compress, parts)), b"gzip")

    await play(field, tally, spoil, tally.times(4, 1))
    await play_feeds(field, tally, lambda body: (gzip_in_two(body), b"gzip"))


def gzip_in_two(body: bytes) -> bytes:
    half = body.index(b"</item>") + len(b"</item>")
    return gzip.compress(body[:half]) + gzip.compress(body[half:])


@attack(
    "A6",
    "a gzip, deflate or zstd body that is cut short",
    loss=f"a part that is taken for all; {LOSS}",
)
async def cut_codings(field: WireField, tally: Tally) -> None:
    shares = cycle((0.75, 0.5, 0.9, 0.97))

    def cut(body: bytes) -> bytes:
        return body[: int(len(body) * next(shares))]

    def spoil(_request: Request, reply: Reply) -> Sent:
        return coded(reply, cut(gzip.compress(reply.body)), b"gzip")

    await play(field, tally, spoil, tally.times(4, 1))
    await play_feeds(field, tally, lambda body: (cut(gzip.compress(body)), b"gzip"))
    await play_feeds(field, tally, lambda body: (cut(zlib.compress(body)), b"deflate"))
    await play_feeds(field, tally, lambda body: (cut(zstandard.compress(body)), b"zstd"))


@attack(
    "A6",
    "`Content-Encoding` names that mean nothing",
    loss=f"a good body that is refused for a name; {LOSS}",
)
async def odd_codings(field: WireField, tally: Tally) -> None:
    codings = (b"UTF-8", b"aws-chunked", b"none", b"binary", b"gzip, identity", b"identity", b"")
    for name in ("rss_coindesk", "coingecko_free", "alternative_me", "binance"):
        for coding in codings[:: tally.times(1, 3)]:

            def spoil(_request: Request, reply: Reply, coding: bytes = coding) -> Sent:
                body = gzip.compress(reply.body) if b"gzip" in coding else reply.body
                return coded(reply, body, coding)

            await expect_taken(field, tally, name, spoil, coding.decode())
    field.world.faults = dict(ASIDE)
    await asyncio.sleep(0.15)


@attack(
    "A6",
    "a body shorter than promised, chunks without their end",
    loss=f"a part that is taken for all; {LOSS}",
)
async def short_bodies(field: WireField, tally: Tally) -> None:
    def spoil(_request: Request, reply: Reply) -> Sent:
        return raw(b"200 OK", body=reply.body, length=len(reply.body) + 1_000)

    await play(field, tally, spoil, tally.times(3, 1))
    await play_feeds(field, tally, lambda body: (body[: body.rindex(b"<item>")], b""), short=True)
    await play_feeds(
        field, tally, lambda body: (body[: body.rindex(b"<item>")], b"chunked"), short=True
    )


def coded(reply: Reply, body: bytes, coding: bytes) -> Sent:
    return raw(b"200 OK", b"Content-Encoding: " + coding, body=body)


async def play_feeds(
    field: WireField,
    tally: Tally,
    make: Callable[[bytes], tuple[bytes, bytes]],
    *,
    short: bool = False,
) -> None:
    """A feed whose last item is new at each try: it is among the articles, or the feed failed."""
    name = "rss_coindesk"
    for number in range(tally.times(4, 2)):
        mark = f"crypto story {SEED}-{tally.tries}-{number}"
        body = feed(name, field.world.begun)
        date = body.partition(b"<pubDate>")[2].partition(b"<")[0].decode()
        titles = [*(f"crypto filler {place}" for place in range(60)), mark]
        items = (
            f"<item><title>{title}</title><link>https://coindesk.example/{title[7:]}</link>"
            f"<pubDate>{date}</pubDate></item>"
            for title in titles
        )
        body = body.replace(b"</channel>", "".join(items).encode() + b"</channel>")
        content, coding = make(body)
        sent = feed_sent(content, coding, extra=500 if short else 0)
        field.world.spoilt = {name: always(sent)}
        field.world.sent.clear()
        told = await asked_news(field, name)
        tally.tries += field.world.sent[name]
        is_there = mark in told["titles"]
        tally.expect(
            is_there or told["outcome"] != "ok", f"{name} counts as ok without its last article"
        )
    await heal(field, tally, (name,))


def feed_sent(content: bytes, coding: bytes, extra: int) -> Sent:
    if coding == b"chunked":
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(content)
        return Sent(head + content + b"\r\n")
    return raw(b"200 OK", b"Content-Encoding: " + coding, body=content, length=len(content) + extra)


async def asked_news(field: Field, name: str) -> dict[str, Any]:
    """Of the first answer that this provider was asked for: its outcome there, and all titles."""
    for _ in range(40):
        await asyncio.sleep(0.06)
        answer = (await field.gateway.client.get("/api/news?limit=200")).json()
        meta = answer.get("meta", {"tried": []})
        outcomes = {one["provider"]: one["outcome"] for one in meta["tried"]}
        if field.world.sent[name] and name in outcomes:
            titles = {row["title"] for row in answer["data"]}
            return {"outcome": outcomes[name], "titles": titles}
    return {"outcome": "never asked", "titles": set()}
