"""The limits and the usage of a key, as its provider reports them."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT

Figure = Annotated[int, Field(ge=0, le=10**12)]
Allowance = Annotated[int, Field(ge=1, le=10**12)]


@validated(frozen=True, slots=True, config=STRICT)
class AccountLimits:
    """Calls allowed per minute and month, and used this month; None if it was not reported."""

    per_minute: Allowance | None
    per_month: Allowance | None
    used_this_month: Figure | None


@dataclass(frozen=True)
class AccountQuery(Query[AccountLimits]):
    """The query for the key's limits, sent once at the start. Readers cannot send it."""

    category: ClassVar[str] = "account"
