"""Candles: intervals and their UTC grid, the query, the canonical series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise, repeat
from operator import attrgetter, lt, mod, truediv
from typing import ClassVar

from pydantic import model_validator
from pydantic.dataclasses import dataclass as validated

from backend.identity.instruments import DOLLAR, Instrument
from backend.models.answer import Query
from backend.models.numbers import STRICT, EpochMs, NotNegative, Positive
from backend.models.replacing import replacing_unchecked
from backend.models.validated import from_fields, rows_from_values

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
candles_from_values = rows_from_values(Candle)


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
        if not _is_ordered(self.interval, self.candles):
            self._check_each()

    def _check_each(self) -> None:
        for candle in self.candles:
            if not is_on_grid(self.interval, candle):
                raise ValueError(f"{candle.timestamp} is not on the {self.interval} grid")
        for one, other in pairwise(self.candles):
            if one.timestamp >= other.timestamp:
                raise ValueError("candles do not ascend")
            if leaps(one, other) and is_next(self.interval, one, other):
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


def _is_ordered(interval: Interval, candles: Sequence[Candle]) -> bool:
    """True only if the checks of `Candles` accept them, for all candles at once. False also for
    months, and for a price that leaps over a gap."""
    if interval is Interval.MONTH or not candles:
        return not candles
    opens_ms = list(map(attrgetter("timestamp"), candles))
    grid = _grid(interval)
    remainder_ms = grid.open_of(opens_ms[0]) % grid.step_ms
    is_on_grid = set(map(mod, opens_ms, repeat(grid.step_ms))) == {remainder_ms}
    if not is_on_grid or not all(map(lt, opens_ms, opens_ms[1:])):
        return False
    opens, closes = map(attrgetter("open"), candles[1:]), map(attrgetter("close"), candles)
    changes: list[float] = list(map(truediv, opens, closes)) or [1.0]
    return min(changes) > 1 / CONTIGUOUS_LEAP and max(changes) < CONTIGUOUS_LEAP


def _grid(interval: Interval) -> Interval:
    # The start of three-day candles is not documented by venues; only the day is certain.
    return Interval.D1 if interval is Interval.D3 else interval


def is_on_grid(interval: Interval, candle: Candle) -> bool:
    return _grid(interval).open_of(candle.timestamp) == candle.timestamp


def is_next(interval: Interval, one: Candle, other: Candle) -> bool:
    return interval.next_open(one.timestamp) == other.timestamp


def leaps(one: Candle, other: Candle) -> bool:
    """True for a change that no market makes: one of the two candles is in another unit."""
    return not 1 / CONTIGUOUS_LEAP < other.open / one.close < CONTIGUOUS_LEAP


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
