"""What a key is allowed and has used, as the provider itself tells it."""

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
    """Calls allowed a minute and a month, and used this month; None where it does not say."""

    per_minute: Allowance | None
    per_month: Allowance | None
    used_this_month: Figure | None


@dataclass(frozen=True)
class AccountQuery(Query[AccountLimits]):
    """Which limits does this key have? Asked once, at the start; no reader asks it."""

    category: ClassVar[str] = "account"
