"""Amounts in other currencies: exchange rates, a day's memory of them, and their conversion."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backend.identity.currencies import COINS, CURRENCIES
from backend.models.answer import Answer, Source
from backend.models.global_market import GlobalMarket
from backend.models.market import Coin, with_fields
from backend.models.numbers import LARGEST, SMALLEST
from backend.models.rates import ExchangeRates, OlderRate, PastRates, RatesQuery

#: A rate that differs by more than this share from the last one waits for a second report.
DISAGREEMENT = 0.05
#: A last rate that is older than this does not contradict a new one. Coins often move by more than
#: the share above within a day.
COMPARABLE_FOR, COIN_COMPARABLE_FOR = timedelta(days=1), timedelta(hours=1)
#: A rate that is older than this is not used for a currency that the newest answer does not have.
OLDEST = timedelta(hours=6)
#: Converted amounts have this many digits: a float's own noise is no part of a rate.
DIGITS = 12
#: Rates are remembered for the changes of a day in other currencies ...
REMEMBERED_FOR = timedelta(hours=25)
#: ... at this distance, and at the shorter one while they are recent.
REMEMBERED_EVERY = timedelta(minutes=50)
RECENT_EVERY, RECENT_FOR = timedelta(minutes=9), timedelta(minutes=80)
#: A remembered rate is that of a day ago, or of an hour ago, if it is no further from that time.
NEAR_A_DAY, NEAR_AN_HOUR = timedelta(minutes=45), timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Conversion:
    """From dollars to `currency`: `rate` is its units for one dollar, reported by `source` for the
    time `as_of`. `day_ago` and `hour_ago` are earlier rates; None where they are not known.
    `stale_reason`: why no newer rate is known, None for a current one."""

    currency: str
    rate: float
    source: str
    as_of: datetime
    day_ago: float | None = None
    hour_ago: float | None = None
    stale_reason: str | None = None

    def amount(self, in_dollars: float | None) -> float | None:
        return None if in_dollars is None else _bounded(in_dollars * self.rate)

    def coin(self, coin: Coin) -> Coin:
        """The row with its amounts in the currency. Changes are those of the converted price: they
        need the rate of that time, and are None without it."""
        return with_fields(
            coin,
            price=self.amount(coin.price),
            market_cap=self.amount(coin.market_cap),
            volume_24h=self.amount(coin.volume_24h),
            high_24h=self.amount(coin.high_24h),
            low_24h=self.amount(coin.low_24h),
            price_change_24h=self._change(coin),
            price_change_percentage_24h=self._percentage(
                coin.price_change_percentage_24h, self.day_ago
            ),
            price_change_percentage_1h=self._percentage(
                coin.price_change_percentage_1h, self.hour_ago
            ),
            price_change_percentage_7d=None,
        )

    def whole_market(self, figures: GlobalMarket) -> GlobalMarket:
        """The figures with their amounts in the currency, as `coin`."""
        change = self._percentage(figures.market_cap_change_percentage_24h, self.day_ago)
        is_plausible = change is not None and abs(change) < 100
        return replace(
            figures,
            market_cap=self.amount(figures.market_cap),
            volume_24h=self.amount(figures.volume_24h),
            market_cap_change_percentage_24h=change if is_plausible else None,
        )

    def _change(self, coin: Coin) -> float | None:
        if coin.price is None or coin.price_change_24h is None or self.day_ago is None:
            return None
        before = (coin.price - coin.price_change_24h) * self.day_ago
        return _bounded(coin.price * self.rate - before)

    def _percentage(self, in_dollars: float | None, before: float | None) -> float | None:
        if in_dollars is None or before is None:
            return None
        return _bounded(((1 + in_dollars / 100) * self.rate / before - 1) * 100)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about the figures that are unknown in the currency."""
        unknown = [
            name for name, rate in (("1 h", self.hour_ago), ("24 h", self.day_ago)) if rate is None
        ]
        range_note = f"high and low are those in dollars at the present rate of {self.currency}"
        return (*self._stale_note(), *self._note([*unknown, "7 d"]), range_note)

    def notes_on_change(self) -> tuple[str, ...]:
        """Warnings where the rate is stale, or the change of a day unknown in the currency."""
        unknown = self._note(["24 h"]) if self.day_ago is None else ()
        return (*self._stale_note(), *unknown)

    def _stale_note(self) -> tuple[str, ...]:
        if self.stale_reason is None:
            return ()
        return (f"the rate of {self.currency} is stale ({self.stale_reason}): see `fx.as_of`",)

    def _note(self, spans: Sequence[str]) -> tuple[str, ...]:
        return (
            f"changes over {', '.join(spans)} are unknown in {self.currency}: "
            "no exchange rate of that time is known",
        )


class RatesMonitor:
    """The source of exchange rates: refuses rates that leap, and adds those of the last day.

    `fetch` raises SourceUnavailable.
    """

    def __init__(self, rates: Source[RatesQuery, ExchangeRates]) -> None:
        self._rates = rates
        self._last: dict[str, OlderRate] = {}
        #: Rates that contradicted the last ones, until a second report agrees with them.
        self._pending: dict[str, float] = {}
        self._history: tuple[PastRates, ...] = ()

    def __repr__(self) -> str:
        return f"<RatesMonitor {len(self._last)} currencies, {len(self._history)} remembered>"

    async def fetch(self, query: RatesQuery) -> Answer[ExchangeRates]:
        return (await self._rates.fetch(query)).converted(self._checked)

    def adopt(self, answer: Answer[ExchangeRates]) -> None:
        """Goes on from an answer of an earlier run or of another process."""
        at = answer.data.as_of or answer.fetched_at
        for code, rate in answer.data.rates.items():
            self._note(code, OlderRate(rate, answer.sources[0], at))
        for code, older in answer.data.older.items():
            self._note(code, older)
        self._history = _thinned((*self._history, *answer.data.history))

    def _checked(self, answer: Answer[ExchangeRates]) -> Answer[ExchangeRates]:
        """Without the rates that are refused: leaps, and those that contradict newer ones."""
        at = answer.data.as_of or answer.fetched_at
        kept: dict[str, float] = {}
        refused = list(answer.data.refused)
        for code, rate in answer.data.rates.items():
            if code not in CURRENCIES:
                continue
            if self._is_believed(code, rate, at):
                kept[code] = rate
                self._pending.pop(code, None)
                self._note(code, OlderRate(rate, answer.sources[0], at))
            else:
                self._pending[code] = rate
                refused.append(code)
        past = PastRates(answer.fetched_at, kept, answer.sources[0])
        self._history = _thinned((*self._history, past))
        older = {
            code: last
            for code, last in self._last.items()
            if code not in kept and answer.fetched_at - last.at <= OLDEST
        }
        rates = ExchangeRates(kept, answer.data.as_of, tuple(refused), self._history, older)
        return answer.carrying(rates)

    def _is_believed(self, code: str, rate: float, at: datetime) -> bool:
        last = self._last.get(code)
        if last is None or _agree(rate, last.rate):
            return True
        if at < last.at:  # of two that disagree, the older one is refused
            return False
        is_confirmed = code in self._pending and _agree(rate, self._pending[code])
        comparable_for = COIN_COMPARABLE_FOR if code in COINS else COMPARABLE_FOR
        return is_confirmed or at - last.at > comparable_for

    def _note(self, code: str, rate: OlderRate) -> None:
        """The newest rate is compared with: an older one that agrees with it is not noted."""
        last = self._last.get(code)
        if last is None or rate.at >= last.at:
            self._last[code] = rate


def _thinned(history: Iterable[PastRates]) -> tuple[PastRates, ...]:
    """The rates of the last day at the distances above, oldest first; of two that are too near the
    older one stays, so that they do not wander."""
    ordered = sorted(history, key=lambda past: past.at)
    kept: list[PastRates] = []
    for past in ordered:
        age = ordered[-1].at - past.at
        every = RECENT_EVERY if age <= RECENT_FOR else REMEMBERED_EVERY
        is_apart = not kept or past.at - kept[-1].at >= every
        if age <= REMEMBERED_FOR and is_apart:
            kept.append(past)
    return tuple(kept)


def _bounded(amount: float) -> float | None:
    """The amount without a float's noise; None where it is too large or too small to be one."""
    rounded = float(f"{amount:.{DIGITS}g}")
    return rounded if rounded == 0 or SMALLEST < abs(rounded) < LARGEST else None


def _agree(one: float, other: float) -> bool:
    return abs(one / other - 1) <= DISAGREEMENT


class CurrencyService:
    """Finds the conversion from dollars to a currency that a reader asks for."""

    def __init__(self, rates: Source[RatesQuery, ExchangeRates]) -> None:
        self._rates = rates

    async def conversion(self, currency: str) -> tuple[Answer[ExchangeRates], Conversion | None]:
        """The rate of `currency`, with the answer that has it; None where that answer has none.

        The rate of a coin that is older than an hour counts as none: coins move within hours.
        Raises SourceUnavailable while no provider has any rate.
        """
        answer = await self._rates.fetch(RatesQuery())
        at, data = answer.fetched_at, answer.data
        found = data.older.get(currency)
        if (rate := data.rates.get(currency)) is not None:
            found = OlderRate(rate, answer.sources[0], data.as_of or at)
        if found is None:
            return answer, None
        age = timedelta(seconds=answer.age_s) + (at - found.at)
        if currency in COINS and age > COIN_COMPARABLE_FOR:
            return answer, None
        return answer, Conversion(
            currency,
            found.rate,
            found.source,
            found.at,
            data.before(currency, found.source, at - timedelta(days=1), NEAR_A_DAY),
            data.before(currency, found.source, at - timedelta(hours=1), NEAR_AN_HOUR),
            answer.stale_reason if answer.stale else None,
        )
