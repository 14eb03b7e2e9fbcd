"""What a gateway's process holds, sampled over time, and whether that stays flat."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.life.process import Gateway, descriptors, memory_mb, threads
from tests.scrape import samples

#: The last quarter's median may be above the second quarter's by this share, and by this many.
SLACK = {
    "memory (MB)": (0.05, 1.0),
    "asyncio tasks": (0.10, 5.0),
    "sockets": (0.10, 5.0),
    "descriptors": (0.10, 5.0),
    "threads": (0.10, 5.0),
}


@dataclass(frozen=True)
class Trend:
    """One kind's medians by quarter, its highest, and what the last one may be at most."""

    name: str
    quarters: tuple[float, float, float, float]
    highest: float
    bound: float

    @property
    def is_flat(self) -> bool:
        return self.quarters[3] <= self.bound


async def take_samples(gateway: Gateway, seconds: float, pause_s: float) -> list[dict[str, float]]:
    taken, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        taken.append(await take_sample(gateway))
        await asyncio.sleep(pause_s)
    return taken


async def take_sample(gateway: Gateway) -> dict[str, float]:
    pid = gateway.process.pid
    answer = await gateway.client.get("/metrics")
    opened = descriptors(pid)
    return {
        "memory (MB)": memory_mb(pid),
        "asyncio tasks": samples(answer.text)["gateway_asyncio_tasks"],
        "sockets": sum(target.startswith("socket:") for target in opened),
        "descriptors": len(opened),
        "threads": threads(pid),
    }


def trends(taken: Sequence[dict[str, float]]) -> list[Trend]:
    """Of at least four samples."""
    found = []
    for name, (share, more) in SLACK.items():
        values = [sample[name] for sample in taken]
        cuts = [len(values) * part // 4 for part in range(5)]
        first, second, third, last = (
            statistics.median(values[begin:end]) for begin, end in pairwise(cuts)
        )
        bound = second * (1 + share) + more
        found.append(Trend(name, (first, second, third, last), max(values), bound))
    return found
