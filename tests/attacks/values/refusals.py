"""B8: the words of a refusal."""

import asyncio
from datetime import UTC, datetime

from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.providers import always, raw
from tests.attacks.reading import QUESTIONS
from tests.attacks.values.scene import attack

WORDS = (
    b"You have exceeded the quota. Try again in a moment.",
    b"Too many requests this second; see our monthly plans and daily limits",
    b"<html>429 - per-day and per-month plans have higher quotas</html>",
    b'{"status": {"error_code": 429, "error_message": "daily limit of 10 calls per second"}}',
    b'{"error": "month", "day": "quota"}',
)


@attack(
    "B8",
    "a limit of seconds, told in words like quota, day and month",
    loss="a provider that is not probed within 20 minutes, on the strength of a word",
    lasts=True,
)
async def words_of_refusals(field: Field, tally: Tally) -> None:
    names = ("coingecko_free", "binance", "alternative_me", "rss_decrypt", "newsapi", "etherscan")
    for words in WORDS[: tally.times(5, 2)]:
        for status in (b"429 X", b"403 X")[: tally.times(2, 1)]:
            field.world.spoilt = dict.fromkeys(names, always(raw(status, body=words)))
            field.world.sent.clear()
            for _ in range(4):
                for path, _judge in QUESTIONS.values():
                    await field.gateway.client.get(path)
            field.world.spoilt = {}
            tally.tries += field.world.sent.total()
            await expect_short_rests(field, tally, names, words)
            await asyncio.sleep(0.15)


async def expect_short_rests(
    field: Field, tally: Tally, names: tuple[str, ...], words: bytes
) -> None:
    status = (await field.gateway.client.get("/api/status")).json()
    now = datetime.now(UTC)
    for told in status["providers"]:
        until = told["cooldown_until"]
        if told["name"] in names and until:
            out_s = (datetime.fromisoformat(until) - now).total_seconds()
            tally.expect(
                out_s <= 1_200, f"{told['name']} is out for {out_s:.0f} s by {words[:40]!r}"
            )
