"""Field types that refuse implausible values: NaN, infinities, strings, booleans, and text that
cannot be displayed."""

from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

#: Strict: a parser converts on purpose, the model never guesses.
STRICT = ConfigDict(strict=True, extra="forbid")

#: Bounds of every price, volume and supply; products and quotients of two stay finite.
SMALLEST, LARGEST = 1e-30, 1e30

Finite = Annotated[float, Field(gt=-LARGEST, lt=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=SMALLEST, lt=LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, lt=LARGEST, allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1, lt=10**9)]
EpochMs = Annotated[int, Field(ge=0, lt=4_102_444_800_000)]  # until the year 2100
Instant = AwareDatetime

#: As `str.isprintable`, in pydantic's own engine: no control characters, no bidirectional
#: overrides, no separator but the plain space. (A lone surrogate is no text for pydantic.)
_PRINTABLE = r"^(?:[\x20-\x7e]|[^\p{C}\p{Z}])*$"
LONGEST_NAME = 200
_SCHEMA = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
#: An identifier. It is refused if it is not printable: without the odd character `bit\ncoin` would
#: become `bitcoin`. Readers' tools do not know such character classes, so no schema has them.
Text = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_NAME, pattern=_PRINTABLE),
    WithJsonSchema(_SCHEMA),
]


def printable(text: Any) -> Any:
    """A text without unprintable characters; any white space becomes a space. A value that is too
    long, or not a text, is returned unchanged: the model refuses it."""
    if not isinstance(text, str) or text.isprintable() or len(text) > 2 * LONGEST_NAME:
        return text
    spaced = (" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if char.isprintable()).strip()


#: A text that is only displayed: its unprintable characters are removed.
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), BeforeValidator(printable)]


@lru_cache(maxsize=4_096)  # the same pictures at each refresh: 40 % of a list's time
def has_host(url: str) -> bool:
    """False if the address has no host, or cannot be parsed: `https://[::1`."""
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _with_host(url: str) -> str:
    if not has_host(url):
        raise ValueError("an address without a host")
    return url


#: Without spaces and brackets, at which software that displays the address would end it.
Url = Annotated[
    str,
    Field(max_length=2_000, pattern=r"^https?://[^\s<>\"\x00-\x1f\x7f]+$"),
    AfterValidator(_with_host),
]
