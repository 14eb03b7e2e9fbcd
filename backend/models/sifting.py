"""A series of the candles that fit together; the others are left out and named."""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise

from backend.identity.instruments import Instrument
from backend.models.ohlc import Candle, Candles, Interval, is_next, is_on_grid, leaps


def sifted(
    interval: Interval,
    candles: Iterable[Candle],
    instrument: Instrument | None = None,
    refused: tuple[str, ...] = (),
) -> Candles:
    """A series of the well-formed candles; the others are added to `refused`.

    Refused are candles off the grid, and candles of the same time that differ: which one is right
    is unknown. If the price leaps between neighbours, the longest run without a leap is kept, and
    the candles that continue it in both directions.
    """
    given = tuple(candles)
    with suppress(ValueError):  # rare: some candle is malformed
        return Candles(interval, given, instrument, refused)
    by_open: dict[int, Candle] = {}
    unfit: dict[int, None] = {}
    for candle in given:
        is_other = by_open.setdefault(candle.timestamp, candle) != candle
        if is_other or not is_on_grid(interval, candle):
            unfit[candle.timestamp] = None
    ascending = [by_open[at] for at in sorted(by_open) if at not in unfit]
    kept = tuple(_without_leaps(interval, ascending))
    stay = {candle.timestamp for candle in kept}
    unfit |= dict.fromkeys(one.timestamp for one in ascending if one.timestamp not in stay)
    return Candles(interval, kept, instrument, (*refused, *map(str, unfit)))


def _without_leaps(interval: Interval, ascending: Sequence[Candle]) -> Iterable[Candle]:
    """The longest run without a gap or a leap, and the runs that continue it.

    Any price may follow after a gap, as long as the run before the gap is kept.
    """
    runs: list[list[Candle]] = []
    for candle in ascending:
        before = runs[-1][-1] if runs else candle  # the first one continues none
        if is_next(interval, before, candle) and not leaps(before, candle):
            runs[-1].append(candle)
        else:
            runs.append([candle])
    if not runs:
        return ()
    middle = max(range(len(runs)), key=lambda number: (len(runs[number]), number))
    kept = deque(runs[middle])
    is_kept = True
    for newer, run in pairwise(reversed(runs[: middle + 1])):
        is_gap = not is_next(interval, run[-1], newer[0])
        is_kept = (is_kept and is_gap) or not leaps(run[-1], kept[0])
        if is_kept:
            kept.extendleft(reversed(run))
    is_kept = True
    for older, run in pairwise(runs[middle:]):
        is_gap = not is_next(interval, older[-1], run[0])
        is_kept = (is_kept and is_gap) or not leaps(kept[-1], run[0])
        if is_kept:
            kept.extend(run)
    return kept
