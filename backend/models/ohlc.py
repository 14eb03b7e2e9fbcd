"""Candles: intervals and their UTC grid, the query, the canonical series."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar

from pydantic import model_validator
from pydantic.dataclasses import dataclass as validated

from backend.identity.instruments import DOLLAR, Instrument
from backend.models.answer import Query
from backend.models.numbers import STRICT, EpochMs, NotNegative, Positive
from backend.models.replacing import replacing_unchecked
from backend.models.validated import from_fields

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
#: The epoch was a Thursday; weeks begin on Monday.
MONDAY = 4 * DAY
#: A candle opens where the last one closed; a leap beyond this factor is a unit error.
CONTIGUOUS_LEAP = 100.0


class Interval(StrEnum):
    """Candle lengths. Case matters: `1m` is a minute, `1M` a month."""

    #: Length in milliseconds; for months that of the shortest.
    step_ms: int

    def __new__(cls, value: str, step_ms: int = 0) -> "Interval":  # a look-up gives no step
        interval = str.__new__(cls, value)
        interval._value_ = value
        interval.step_ms = step_ms
        return interval

    M1 = "1m", MINUTE
    M3 = "3m", 3 * MINUTE
    M5 = "5m", 5 * MINUTE
    M15 = "15m", 15 * MINUTE
    M30 = "30m", 30 * MINUTE
    H1 = "1h", HOUR
    H2 = "2h", 2 * HOUR
    H4 = "4h", 4 * HOUR
    H6 = "6h", 6 * HOUR
    H8 = "8h", 8 * HOUR
    H12 = "12h", 12 * HOUR
    D1 = "1d", DAY
    D3 = "3d", 3 * DAY
    W1 = "1w", WEEK
    MONTH = "1M", 28 * DAY

    def open_of(self, instant_ms: int) -> int:
        """The open (epoch ms) of the candle that contains `instant_ms`."""
        if self is Interval.MONTH:
            return _month_open(instant_ms)
        offset = MONDAY if self is Interval.W1 else 0
        return instant_ms - (instant_ms - offset) % self.step_ms

    def next_open(self, open_ms: int) -> int:
        """The open of the candle after the one that opens at `open_ms`."""
        if self is Interval.MONTH:
            return _month_open(open_ms + 32 * DAY)
        return open_ms + self.step_ms


def _month_open(instant_ms: int) -> int:
    instant = datetime.fromtimestamp(instant_ms / 1000, UTC)
    first = instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp()) * 1000


@validated(frozen=True, slots=True, config=STRICT)
class Candle:
    """One candle, prices in the quote currency of its instrument, else in USD.

    `timestamp` is epoch ms of the open, `volume` is in units of the coin (None where the
    provider has none), `closed` is False for the one still forming when it was fetched.
    """

    timestamp: EpochMs
    open: Positive
    high: Positive
    low: Positive
    close: Positive
    volume: NotNegative | None
    closed: bool

    @model_validator(mode="after")
    def _is_plausible(self) -> "Candle":
        high, low = self.high, self.low
        if not (low <= self.open <= high and low <= self.close <= high):
            raise ValueError("open or close outside of low to high")
        return self


candle_from_fields = from_fields(Candle)


@dataclass(frozen=True, slots=True)
class Candles:
    """One provider's candles of one coin: ascending, unique, on the interval's grid.

    `instrument` is what the venue trades; it is None where prices are in USD proper. Gaps stay.
    `refused` names malformed candles that were left out: by the open (epoch ms) if it is known,
    else by the place in the answer.
    """

    interval: Interval
    candles: tuple[Candle, ...]
    instrument: Instrument | None = None
    refused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        open_of = _grid(self.interval).open_of
        for candle in self.candles:
            if open_of(candle.timestamp) != candle.timestamp:
                raise ValueError(f"{candle.timestamp} is not on the {self.interval} grid")
        for one, other in pairwise(self.candles):
            if one.timestamp >= other.timestamp:
                raise ValueError("candles do not ascend")
            if _leaps(one, other) and _is_next(self.interval, one, other):
                raise ValueError("price leaps between contiguous candles")

    def with_newest(self, candle: Candle, most: int) -> "Candles":
        """The series, at most `most` candles, with `candle` as its newest one: behind the others,
        or in the place of one of the same time. Raises ValueError.

        Only `candle` is checked, since the others are as they were.
        """
        is_update = bool(self.candles) and self.candles[-1].timestamp == candle.timestamp
        others = self.candles[:-1] if is_update else self.candles
        Candles(self.interval, (*others[-1:], candle))
        return _with_checked(self, candles=(*others, candle)[-most:])


_with_checked: Callable[..., Candles] = replacing_unchecked(Candles)


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
        if is_other or not _is_on_grid(interval, candle):
            unfit[candle.timestamp] = None
    ascending = [by_open[at] for at in sorted(by_open) if at not in unfit]
    kept = tuple(_without_leaps(interval, ascending))
    stay = {candle.timestamp for candle in kept}
    unfit |= dict.fromkeys(one.timestamp for one in ascending if one.timestamp not in stay)
    return Candles(interval, kept, instrument, (*refused, *map(str, unfit)))


def _grid(interval: Interval) -> Interval:
    # The start of three-day candles is not documented by venues; only the day is certain.
    return Interval.D1 if interval is Interval.D3 else interval


def _is_on_grid(interval: Interval, candle: Candle) -> bool:
    return _grid(interval).open_of(candle.timestamp) == candle.timestamp


def _is_next(interval: Interval, one: Candle, other: Candle) -> bool:
    return interval.next_open(one.timestamp) == other.timestamp


def _leaps(one: Candle, other: Candle) -> bool:
    """True for a change that no market makes: one of the two candles is in another unit."""
    return not 1 / CONTIGUOUS_LEAP < other.open / one.close < CONTIGUOUS_LEAP


def _without_leaps(interval: Interval, ascending: Sequence[Candle]) -> Iterable[Candle]:
    """The longest run without a gap or a leap, and the runs that continue it.

    Any price may follow after a gap, as long as the run before the gap is kept.
    """
    runs: list[list[Candle]] = []
    for candle in ascending:
        before = runs[-1][-1] if runs else candle  # the first one continues none
        if _is_next(interval, before, candle) and not _leaps(before, candle):
            runs[-1].append(candle)
        else:
            runs.append([candle])
    if not runs:
        return ()
    middle = max(range(len(runs)), key=lambda number: (len(runs[number]), number))
    kept = deque(runs[middle])
    is_kept = True
    for newer, run in pairwise(reversed(runs[: middle + 1])):
        is_gap = not _is_next(interval, run[-1], newer[0])
        is_kept = (is_kept and is_gap) or not _leaps(run[-1], kept[0])
        if is_kept:
            kept.extendleft(reversed(run))
    is_kept = True
    for older, run in pairwise(runs[middle:]):
        is_gap = not _is_next(interval, older[-1], run[0])
        is_kept = (is_kept and is_gap) or not _leaps(kept[-1], run[0])
        if is_kept:
            kept.extend(run)
    return kept


@dataclass(frozen=True)
class OhlcQuery(Query[Candles]):
    """The query for one coin's candles: the newest, or all that open in [start_ms, end_ms).

    `coin_id` is CoinGecko's id, None where it is not known; `instruments` are those that trade
    the coin in `currency` (dollar coins count as dollars). `reference_price` (USD) guards against a
    namesake's candles; it is not part of the query's identity.
    """

    category: ClassVar[str] = "ohlc"
    is_shared: ClassVar[bool] = False
    coin_id: str | None
    instruments: tuple[Instrument, ...]
    interval: Interval
    start_ms: int | None = None
    end_ms: int | None = None
    reference_price: float | None = field(default=None, compare=False)
    currency: str = DOLLAR

    @property
    def subject(self) -> str:
        return f"{self.interval} candles of {self._coin}{self._in_currency}"

    @property
    def series(self) -> str:
        return f"{self._coin}/{self.interval}{self._in_currency}"

    @property
    def _in_currency(self) -> str:
        return "" if self.currency == DOLLAR else f" in {self.currency}"

    @property
    def _coin(self) -> str:
        symbols = (instrument.symbol for instrument in self.instruments)
        return self.coin_id or next(symbols, "an unknown coin")
