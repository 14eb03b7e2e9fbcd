"""The whole market in a few figures."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT, Finite, Instant, NotNegative, Positive

Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


@validated(frozen=True, slots=True, config=STRICT)
class GlobalMarket:
    """All coins together. Amounts are in USD, dominances and changes in percent (1.5 is 1.5 %).

    `active_coins` counts the coins that the provider follows; figures that it does not tell are
    None.
    """

    market_cap: Positive | None
    volume_24h: NotNegative | None
    market_cap_change_percentage_24h: Finite | None
    btc_dominance: Share | None
    eth_dominance: Share | None
    active_coins: Annotated[int, Field(gt=0, lt=10**9)] | None
    last_updated: Instant | None


@dataclass(frozen=True)
class GlobalQuery(Query[GlobalMarket]):
    """The query for the figures of the whole market."""

    category: ClassVar[str] = "global"
    is_fixed: ClassVar[bool] = True
