"""The whole market in a few figures."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT, Instant, NotNegative, Positive

#: In USD; the wealth of the world is about half of it.
MOST_TOTAL = 1e15

Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
#: All coins together have never doubled or vanished in a day.
DayChange = Annotated[float, Field(gt=-100, lt=100, allow_inf_nan=False)]


@validated(frozen=True, slots=True, config=STRICT)
class GlobalMarket:
    """All coins together. Amounts are in USD, until they are converted; dominances and changes are
    in percent (1.5 is 1.5 %).

    `active_coins` counts the coins that the provider follows; figures that it does not report are
    None.
    """

    market_cap: Positive | None
    volume_24h: NotNegative | None
    market_cap_change_percentage_24h: DayChange | None
    btc_dominance: Share | None
    eth_dominance: Share | None
    active_coins: Annotated[int, Field(gt=0, lt=10**9)] | None
    last_updated: Instant | None

    def without_amounts(self) -> "GlobalMarket":
        """Only the shares and the count."""
        return replace(
            self, market_cap=None, volume_24h=None, market_cap_change_percentage_24h=None
        )


def total_in_dollars(amount: Any) -> Any:
    """The amount as a provider reports it. Raises ValueError for more dollars than there are."""
    if isinstance(amount, int | float) and amount >= MOST_TOTAL:
        raise ValueError("an implausible total")
    return amount


@dataclass(frozen=True)
class GlobalQuery(Query[GlobalMarket]):
    """The query for the figures of the whole market."""

    category: ClassVar[str] = "global"
    is_fixed: ClassVar[bool] = True
    budget_weight: ClassVar[float] = 0.5
