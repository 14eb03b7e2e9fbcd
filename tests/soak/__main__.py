"""Soaks the real process: `python -m tests.soak [--minutes 60] [--rate 200]`.

A loopback world of providers with bad days, a real gateway with a state file and logs of its own,
and a process of readers. Prints a table in markdown; ends with 1 when memory, tasks, sockets or
threads grew, or when an answer was wrong. Runs below ten minutes are judged by their answers
alone: a young process still grows.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.life.process import ROOT, Ended, Gateway, running
from tests.soak.figures import Trend, take_samples, trends
from tests.soak.weather import change_weather, tell_ticks
from tests.world.push import PushWorld
from tests.world.server import WITH_SECOND_INDEX, World

SHORTEST_JUDGED_MIN = 10.0
TRACEBACK_LINES = 60
#: Shorter than the defaults, so that providers are asked, fail and come back often.
SETTINGS = {
    **WITH_SECOND_INDEX,
    "CACHE_TTL_MARKET": "10",
    "CACHE_TTL_OHLC": "5",
    "CACHE_TTL_GAS": "5",
    "CACHE_TTL_SENTIMENT": "30",
    "COOLDOWN": "5",
    "COOLDOWN_MAX": "20",
    "STATE_PATH": "state/gateway.sqlite",
    "CLIENT_RATE_LIMIT": "",
}


@dataclass(frozen=True)
class Outcome:
    minutes: float
    rate: float
    found: dict[str, Any]
    trends: list[Trend]
    ended: Ended
    overruns: int

    @property
    def problems(self) -> list[str]:
        told = list(self.found["complaints"])
        if self.minutes >= SHORTEST_JUDGED_MIN:
            told += [f"{trend.name} grew" for trend in self.trends if not trend.is_flat]
        if self.ended.code != 0 or self.ended.took_s > 5:
            told.append(f"it ended with {self.ended.code} after {self.ended.took_s:.1f} s")
        if "Traceback" in self.ended.output:
            told.append(f"its output holds a traceback:\n{_first_traceback(self.ended.output)}")
        if self.overruns:
            told.append(f"{self.overruns} calls were over a provider's limit")
        return told


def _first_traceback(output: str) -> str:
    before, _, behind = output.partition("Traceback")
    told = [*before.splitlines()[-2:], "Traceback", *behind.splitlines()[:TRACEBACK_LINES]]
    return "\n".join(told)


async def soak(minutes: float, rate: float) -> Outcome:
    seconds = minutes * 60
    with tempfile.TemporaryDirectory(prefix="soak_") as folder:
        async with World() as world, PushWorld() as push:
            settings = world.environment(**SETTINGS) | {"BINANCE_STREAM_URL": push.url}
            async with running(Path(folder), **settings) as gateway:
                await _until_ranked(gateway)
                weather = asyncio.create_task(change_weather(world, seconds))
                ticks = asyncio.create_task(tell_ticks(push, seconds))
                sampling = take_samples(gateway, seconds, min(5.0, seconds / 20))
                taken, found = await asyncio.gather(sampling, _read(gateway.port, rate, seconds))
                for task in (weather, ticks):
                    task.cancel()
                await asyncio.gather(weather, ticks, return_exceptions=True)
                ended = await gateway.stop()
        return Outcome(minutes, rate, found, trends(taken), ended, len(world.overruns))


async def _until_ranked(gateway: Gateway) -> None:
    """The judges know the ranked list; a venue alone has other coins, and says so."""
    async with asyncio.timeout(20):
        while (await gateway.client.get("/api/market?limit=250")).json()["meta"]["total"] < 250:
            await asyncio.sleep(0.5)


async def _read(port: int, rate: float, seconds: float) -> dict[str, Any]:
    arguments = map(str, (port, rate, seconds))
    readers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.readers", *arguments), cwd=ROOT, stdout=PIPE
    )
    try:
        line, _ = await asyncio.wait_for(readers.communicate(), seconds + 60)
    finally:
        if readers.returncode is None:
            readers.kill()
            await readers.wait()
    found: dict[str, Any] = json.loads(line)
    return found


def report(outcome: Outcome) -> str:
    counts, latency = outcome.found["counts"], outcome.found["latency_ms"]
    words = ("right", "unchanged", "stale", "failed", "refused", "unready", "wrong")
    answers = ", ".join(f"{counts.get(word, 0):,} {word}" for word in words)
    total = sum(counts.get(word, 0) for word in words)
    lines = [
        f"{outcome.minutes:g} minutes at {outcome.rate:g} requests a second: {total:,} answers "
        f"({total / outcome.minutes / 60:.0f} a second): {answers}.",
        f"Frames {counts.get('frames', 0):,}, events {counts.get('events', 0):,}. "
        + ", ".join(f"{name} {ms:,.1f} ms" for name, ms in latency.items())
        + f". Ended by SIGTERM in {outcome.ended.took_s:.1f} s.",
        "",
        "| median of the | 1st quarter | 2nd | 3rd | last | highest | allowed | flat |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for trend in outcome.trends:
        figures = (*trend.quarters, trend.highest, trend.bound)
        cells = " | ".join(f"{figure:,.1f}" for figure in figures)
        lines.append(f"| {trend.name} | {cells} | {'yes' if trend.is_flat else 'no'} |")
    lines += ["", f"Machine: {_machine()}", ""]
    lines += [f"PROBLEM: {problem}" for problem in outcome.problems] or ["No problem was found."]
    return "\n".join(lines) + "\n"


def _machine() -> str:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    return parser.parse_args(arguments)


def main() -> int:
    options = read_options(sys.argv[1:])
    outcome = asyncio.run(soak(options.minutes, options.rate))
    sys.stdout.write(report(outcome))
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
