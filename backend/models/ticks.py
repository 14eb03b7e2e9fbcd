"""Ticks: what a venue pushes by itself between two questions, and how well it flows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from backend.identity.instruments import Instrument
from backend.models.market import PairTicker
from backend.models.ohlc import Candle, Interval


@dataclass(frozen=True, slots=True)
class MarketTicks:
    """Asks for the 24 h tickers of all instruments as they change."""


@dataclass(frozen=True, slots=True)
class CandleTicks:
    """Asks for the forming candle of one instrument as it changes."""

    instrument: Instrument
    interval: Interval


TickSubject = MarketTicks | CandleTicks


@dataclass(frozen=True, slots=True)
class TickersTold:
    """Tickers of the instruments against dollars that just changed. `source` is the venue."""

    source: str
    tickers: tuple[PairTicker, ...]

    @property
    def subject(self) -> MarketTicks:
        return MarketTicks()


@dataclass(frozen=True, slots=True)
class CandleTold:
    """The newest candle of an instrument, whole; `closed` with its last word."""

    source: str
    subject: CandleTicks
    candle: Candle


Tick = TickersTold | CandleTold


@dataclass(frozen=True, slots=True)
class Flow:
    """Whether ticks of a subject come in, and if not, why: a reason of the contract."""

    is_live: bool
    reason: str | None = None


TickState = Literal["off", "connecting", "live", "down"]
TICK_STATES: tuple[str, ...] = get_args(TickState)


@dataclass(frozen=True, slots=True)
class TickStatus:
    """A venue's push connection. `since` is when `state` was entered.

    `state` is `off` (nobody listens), `connecting`, `live` or `down` (also when it is silent).
    """

    provider: str
    state: TickState
    reason: str | None
    since: datetime
    subjects: int
    retry_at: datetime | None = None
