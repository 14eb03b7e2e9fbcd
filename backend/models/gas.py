"""What a transaction costs: three all-in prices in gwei."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT

#: The dearest day of Ethereum saw some thousands; beyond this it is a unit error (wei).
Gwei = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


@validated(frozen=True, slots=True, config=STRICT)
class GasFees:
    """Gas prices in gwei to nine places, base fee included; below one is normal.

    `base_fee` is the next block's, `block` the newest one that the answer knows. `method` is
    `oracle` (a service's own estimate) or `fee_history` (computed from recent blocks).
    """

    chain: Literal["ethereum"]
    unit: Literal["gwei"]
    slow: Gwei
    average: Gwei
    fast: Gwei
    base_fee: Gwei | None
    block: Annotated[int, Field(gt=0, lt=10**12)]  # beyond, no block but a hash
    method: Literal["oracle", "fee_history"]

    @model_validator(mode="after")
    def _is_plausible(self) -> "GasFees":
        if not self.slow <= self.average <= self.fast:
            raise ValueError("slow, average and fast are not in order")
        return self


@dataclass(frozen=True)
class GasQuery(Query[GasFees]):
    category: ClassVar[str] = "gas"
