"""Ticks: updates that a venue pushes between two refreshes, and the state of its stream."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, get_args

from backend.identity.instruments import Instrument
from backend.models.market import PairTicker
from backend.models.ohlc import Candle, Interval


@dataclass(frozen=True, slots=True)
class MarketTicks:
    """A subscription to 24 h tickers, at most one of each connection.

    `instruments` are those to subscribe to at a venue that has no subscription to all of them.
    """

    #: Not hashed: there may be hundreds, and each tick looks its subscription up.
    instruments: tuple[Instrument, ...] = field(default=(), hash=False)


_ALL_TICKERS = MarketTicks()


@dataclass(frozen=True, slots=True)
class CandleTicks:
    """A subscription to the newest candle of one instrument."""

    instrument: Instrument
    interval: Interval


TickSubject = MarketTicks | CandleTicks


@dataclass(frozen=True, slots=True)
class TickerUpdates:
    """The changed tickers of instruments against dollar coins. `source` is the venue."""

    source: str
    tickers: tuple[PairTicker, ...]

    subject: ClassVar[MarketTicks] = _ALL_TICKERS


@dataclass(frozen=True, slots=True)
class CandleUpdate:
    """The newest candle of an instrument; its last update has `closed` set."""

    source: str
    subject: CandleTicks
    candle: Candle


Tick = TickerUpdates | CandleUpdate


@dataclass(frozen=True, slots=True)
class Flow:
    """Whether a subject receives ticks, from which venue, and if not, why: a reason of the
    contract."""

    is_live: bool
    reason: str | None = None
    venue: str | None = None


TickState = Literal["off", "connecting", "live", "down"]
TICK_STATES: tuple[str, ...] = get_args(TickState)


@dataclass(frozen=True, slots=True)
class TickStatus:
    """A venue's push connection, with the time of its last change of state.

    `state` is `off` (without subscribers), `connecting`, `live` or `down` (also if it is silent).
    """

    provider: str
    state: TickState
    reason: str | None
    since: datetime
    subjects: int
    retry_at: datetime | None = None
