"""`docs/cluster-faults.md`: what was measured, fault by fault."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.chaos.figures import at_share, summary, used_limits
from tests.cluster.chaos.group import PERIOD_S
from tests.cluster.chaos.phases import (
    COLD_RATE,
    FAULT_S,
    MOST_CACHED_MS,
    MOST_COLD_MS,
    RATE,
    TERMS,
    Phase,
)
from tests.cluster.chaos.sharing import HERD, QUESTIONS, Sharing
from tests.cluster.chaos.watched import HEALED_S, Watched

SHARES = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cluster-faults.md"
HEAD = """# What happens when a cluster's parts fail

Written by `python -m tests.cluster.chaos` on {day}, {machine}. {size} real gateways, each
connected to one real Valkey 9.1 through a proxy of its own; providers on loopback with true limits,
known to the gateways: CoinGecko {scarce} calls in {period} s, Binance {candles} calls in
{period} s. {rate:g} readers a second of what the cache has or refreshes, {cold:g} a second of
candles that nobody has asked for, over all processes. Each fault lasts {seconds:g} s, in a quiet
phase of its own.

What must hold in each phase: no call over a provider's limit, by its own count of any window; each
read at a process that runs is answered within its deadline; within {healed:g} s after the fault one
process leads and all others follow it. A store that hangs, is killed, emptied, full or 400 ms away
costs cached reads no more than {most_cached:g} ms and cold reads no more than {most_cold:g} ms,
both at p99, against all quiet times together ({calm}). Times are in ms unless named. `refused`:
503, with a time to retry, as the limit, or the share of a limit, was used up. `healed`: after the
fault's end. While a leader is missing, a cold read waits for the next one if the share cannot
answer it.

| fault | cached p50 / p99 / worst | cold p99 / worst | refused | new leader | healed |
| --- | --- | --- | --- | --- | --- |
"""


def document(
    phases: Sequence[Phase], watched: Watched, sharing: Sharing, problems: Sequence[str]
) -> str:
    """`problems`: what did not hold."""
    calm = [reading for phase in phases for reading in phase.calm]
    cached, cold = summary(calm, "cached"), summary(calm, "cold")
    head = HEAD.format(
        day=datetime.now(UTC).date(),
        machine=machine(),
        size=len(watched.group.members),
        scarce=TERMS.scarce,
        candles=TERMS.candles,
        period=PERIOD_S,
        rate=RATE,
        cold=COLD_RATE,
        seconds=FAULT_S,
        healed=HEALED_S,
        most_cached=MOST_CACHED_MS,
        most_cold=MOST_COLD_MS,
        calm=f"cached {cached.p99_ms:.1f} ms, cold {cold.p99_ms:.1f} ms",
    )
    failed = [f"Did not hold in this run: {problem}.\n" for problem in problems]
    return head + "\n".join([*map(_line, phases), "", *failed, *_rest(watched, sharing)]) + "\n"


def _line(phase: Phase) -> str:
    cached, cold = phase.summary("cached"), phase.summary("cold")
    healed, takeover = phase.healing.led_s, phase.takeover_s
    cells = (
        phase.name,
        f"{cached.p50_ms:.1f} / {cached.p99_ms:.1f} / {cached.worst_ms:.0f} of {cached.count:,}",
        f"{cold.p99_ms:.0f} / {cold.worst_ms:.0f} of {cold.count}",
        f"{cached.refused + cold.refused}",
        "–" if takeover is None else f"{takeover:.1f} s",
        "not in time" if healed is None else f"{healed:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def _rest(watched: Watched, sharing: Sharing) -> Iterable[str]:
    readings = watched.readings
    lost = sum(not one.is_answered for one in readings)
    yield f"Over a limit: {len(watched.group.world.overruns)} calls. Not answered: {lost} of"
    yield f"{len(readings):,} reads. The most calls in any window of a provider's period:"
    yield ""
    for name, (calls, most, limit) in sorted(used_limits(watched.group.world).items()):
        yield f"- {name}: {most} of {limit} ({calls} calls in all)"
    yield ""
    yield "## What the processes share"
    yield ""
    yield (
        f"- {QUESTIONS} cold questions, each asked by {HERD} readers at every process at once: "
        f"{sharing.calls} calls. Readers p50 {at_share(sharing.herd_ms, 0.5):.0f} ms, "
        f"p99 {at_share(sharing.herd_ms, 0.99):.0f} ms, of which the provider takes 200 ms."
    )
    yield _times(
        f"From the leader's frame of a refreshed market of 250 coins "
        f"({sharing.frame_bytes / 1000:.0f} kB) to the same frame of another process",
        sharing.spread_ms,
    )


def _times(what: str, times_ms: Sequence[float]) -> str:
    figures = (f"{name} {at_share(times_ms, share):.1f} ms" for name, share in SHARES.items())
    return f"- {what}: {', '.join(figures)} of {len(times_ms):,}."


def machine() -> str:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    load = f"load average {os.getloadavg()[2]:.1f}"
    return f"{os.cpu_count()} cores ({load}), {system}, Python {platform.python_version()}"
