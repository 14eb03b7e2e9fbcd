"""Exchange rates: what one US dollar buys of each currency."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT, Instant, Positive

#: An ISO 4217 code or a coin's ticker, in capitals.
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$")]


@validated(frozen=True, slots=True, config=STRICT)
class PastRates:
    """The rates of an earlier time, as `source` reported them."""

    at: Instant
    rates: Mapping[CurrencyCode, Positive]
    source: str


@validated(frozen=True, slots=True, config=STRICT)
class OlderRate:
    """The last rate of a currency that the newest answer does not have."""

    rate: Positive
    source: str
    at: Instant


@validated(frozen=True, slots=True, config=STRICT)
class ExchangeRates:
    """Units of each currency for one US dollar: `EUR: 0.92`, `JPY: 150.1`, `BTC: 0.000016`.

    `as_of` is the time or the day of the rates where the provider reports it, else None. `refused`
    names the currencies whose rate was left out: zero, not a number, or of an odd code. `history`
    has the rates of the last day, oldest first, and `older` the last rates of currencies that this
    provider does not have; a provider leaves both empty.
    """

    rates: Mapping[CurrencyCode, Positive]
    as_of: Instant | None = None
    refused: tuple[str, ...] = ()
    history: tuple[PastRates, ...] = ()
    older: Mapping[CurrencyCode, OlderRate] = field(default_factory=dict)

    def before(self, code: str, source: str, at: datetime, near: timedelta) -> float | None:
        """The rate of the currency at about `at`, by the same source: two sources differ by more
        than a currency moves in an hour. None if none is known within `near`."""
        own = (past for past in self.history if past.source == source)
        nearest = min(own, key=lambda past: abs(past.at - at), default=None)
        if nearest is None or abs(nearest.at - at) > near:
            return None
        return nearest.rates.get(code)


@dataclass(frozen=True)
class RatesQuery(Query[ExchangeRates]):
    """The query for the exchange rates of all currencies."""

    category: ClassVar[str] = "rates"
    is_fixed: ClassVar[bool] = True

    @property
    def subject(self) -> str:
        return "exchange rates"
