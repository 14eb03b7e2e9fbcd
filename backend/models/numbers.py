"""Number types that refuse what no market shows: NaN, infinities, strings, booleans."""

from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

#: Strict: a parser converts on purpose, the model never guesses.
STRICT = ConfigDict(strict=True, extra="forbid")

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1, lt=10**9)]
EpochMs = Annotated[int, Field(ge=0, lt=4_102_444_800_000)]  # until the year 2100
Instant = AwareDatetime
Text = Annotated[str, Field(min_length=1, max_length=200)]


@lru_cache(maxsize=4_096)  # the same pictures at each refresh: 40 % of a list's time
def _can_be_split(url: str) -> str:
    if not urlsplit(url).hostname:  # raises ValueError on brackets that are no address
        raise ValueError("an address without a host")
    return url


#: One word: with a space or a bracket in it, it would end before its end wherever it is shown.
Url = Annotated[
    str,
    Field(max_length=2_000, pattern=r"^https?://[^\s<>\"\x00-\x1f\x7f]+$"),
    AfterValidator(_can_be_split),
]
