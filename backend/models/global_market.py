"""The whole market in a few figures."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

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
    """All coins together. Amounts are in USD, dominances and changes in percent (1.5 is 1.5 %).

    `active_coins` counts the coins that the provider follows; figures that it does not tell are
    None.
    """

    market_cap: Annotated[Positive, Field(lt=MOST_TOTAL)] | None
    volume_24h: Annotated[NotNegative, Field(lt=MOST_TOTAL)] | None
    market_cap_change_percentage_24h: DayChange | None
    btc_dominance: Share | None
    eth_dominance: Share | None
    active_coins: Annotated[int, Field(gt=0, lt=10**9)] | None
    last_updated: Instant | None


@dataclass(frozen=True)
class GlobalQuery(Query[GlobalMarket]):
    """The query for the figures of the whole market."""

    category: ClassVar[str] = "global"
    is_fixed: ClassVar[bool] = True
