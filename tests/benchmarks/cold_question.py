"""What the gateway itself takes for a question that nobody has an answer to.

python -m tests.benchmarks.cold_question [--quick]

The real gateway is asked for what it has not, so that each question takes one upstream call. The
same calls are then made by httpx alone, which parses the answers and keeps nothing.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from tests.benchmarks.cluster_questions import PAIRS, ask, questions
from tests.benchmarks.cluster_scene import LASTING, Scene, Subject, opened, read, table
from tests.benchmarks.fanout_control import Child, run
from tests.benchmarks.hot_load import Asked, close, connected
from tests.benchmarks.ratios import record

#: Questions of a round; the gateway spends no more than a part of its provider's minute.
QUESTIONS = 30
CANDLES, PRICE = "1,000 candles, parsed and checked", "a pair's price, passed through"


def prices() -> Iterator[Asked]:
    """No two alike."""
    for path in ("avgPrice", "ticker/24hr", "ticker/price", "ticker/bookTicker"):
        for number in range(PAIRS):
            yield Asked(f"/binance/api/v3/{path}?symbol=C{number}USDT")


@dataclass(frozen=True)
class Round:
    """CPU of one question in ms: the gateway's, and httpx's with one connection or one a call."""

    gateway_ms: float
    bare_ms: float
    kept_ms: float


async def measured(scene: Scene, subject: Subject, bare: Child, asked: Sequence[Asked]) -> Round:
    earlier = len(scene.world.requests)
    (connection,) = await connected(subject.port, 1)
    before_s = subject.cpu_s()
    for question in asked:
        await ask(connection, question.request(subject.port))
    gateway_s = subject.cpu_s() - before_s
    close([connection])
    made = list(scene.world.requests)[earlier:]
    assert len(made) == len(asked), "each question takes one call"
    urls = [scene.world.origin(name) + request.target for name, request in made]
    bare_s, kept_s = [
        (await bare.ask("call", urls=urls, keeps=keeps))["cpu_s"] for keeps in (False, True)
    ]
    return Round(*(1_000 * each / len(asked) for each in (gateway_s, bare_s, kept_s)))


async def rounds(count: int) -> dict[str, list[Round]]:
    """By the kind of question. The first round is not counted: each process still imports."""
    fresh = {CANDLES: questions(), PRICE: prices()}
    found: dict[str, list[Round]] = {kind: [] for kind in fresh}
    async with opened() as scene:
        subject = await scene.gateway("one process, no store", LASTING)
        await read(subject, "/api/market?limit=1")  # which symbols there are
        bare = await Child.start("bare_calls")
        try:
            for _ in range(count + 1):
                for kind, asked in fresh.items():
                    taken = list(islice(asked, QUESTIONS))
                    found[kind].append(await measured(scene, subject, bare, taken))
        finally:
            await bare.end()
        assert scene.world.overruns == []
    return {kind: of_kind[1:] for kind, of_kind in found.items()}


def spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def record_ratios(found: Mapping[str, Sequence[Round]]) -> None:
    for kind, of_kind in found.items():
        ratio = median(one.bare_ms / one.gateway_ms for one in of_kind)
        record(f"a cold question, {kind}: httpx to the gateway", ratio)


def report(found: Mapping[str, Sequence[Round]]) -> str:
    """A line for each kind of question, with the gateway's own part."""
    heads = (
        "a cold question, ms of CPU",
        "the gateway",
        "httpx, a connection a call",
        "httpx, one connection",
        "the gateway's own part",
    )
    rows = [
        [
            kind,
            spread([one.gateway_ms for one in of_kind]),
            spread([one.bare_ms for one in of_kind]),
            spread([one.kept_ms for one in of_kind]),
            spread([one.gateway_ms - one.bare_ms for one in of_kind]),
        ]
        for kind, of_kind in found.items()
    ]
    return table(heads, rows)


async def main(quick: bool) -> None:
    found = await rounds(2 if quick else 6)
    record_ratios(found)
    sys.stdout.write(report(found) + "\n")


if __name__ == "__main__":
    run(main("--quick" in sys.argv[1:]))
