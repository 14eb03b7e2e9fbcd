"""D5: what is remembered of questions and of those who ask them."""

import asyncio

import httpx

from tests.attacks.attack import Tally
from tests.attacks.cost.scene import LIMITED, by
from tests.attacks.ground import Field
from tests.life.process import memory_mb


@LIMITED.attack(
    "D5",
    "thousands of distinct questions, request ids, origins, codings and unknown coins",
    loss="a second half that takes over 16 MB more than the first",
)
async def distinct_questions(field: Field, tally: Tally) -> None:
    gateway = field.gateway
    count = tally.times(1_500, 80)
    sizes = [memory_mb(gateway.process.pid)]
    for half in range(2):
        for start in range(0, count, 10):
            numbers = range(half * count + start, half * count + start + 10)
            await asyncio.gather(*(distinct(gateway.client, number) for number in numbers))
            tally.tries += 10
        sizes.append(memory_mb(gateway.process.pid))
    tally.note(f"{sizes[1] - sizes[0]:+.0f} MB, then {sizes[2] - sizes[1]:+.0f} MB")
    tally.expect(sizes[2] - sizes[1] <= 16, f"{sizes[2] - sizes[1]:.0f} MB more for as many again")


async def distinct(client: httpx.AsyncClient, number: int) -> None:
    headers = {
        **by(f"172.16.{number // 250}.{number % 250}"),
        "X-Request-Id": f"request-{number}-" + "x" * 40,
        "Origin": f"https://o{number}.example",
        "Accept-Encoding": f"gzip;q=0.{number % 1000}, x{number}",
    }
    kind = number % 4
    if kind == 0:
        path = f"/api/market?limit={1 + number % 250}&offset={number // 250}&sort=name"
    elif kind == 1:
        path = f"/api/market/nobody-{number}"
    elif kind == 2:
        path = f"/api/news?limit=1&symbols=S{number}"
    else:
        start = 1_600_000_000 + number
        path = f"/api/market/ohlc?symbol=C{number % 60}&interval=1m&start={start}&limit=1"
    await client.get(path, headers=headers)
