"""A vendor's own answer to a question in the vendor's own terms, passed on as it is."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlencode

from backend.models.answer import Query
from backend.models.compressed import CompressedBytes


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """`body` is JSON as the vendor sent it, and `status` its HTTP status: 200, or that with which
    it refused the question itself (an unknown symbol, a missing parameter)."""

    status: int
    body: CompressedBytes


@dataclass(frozen=True)
class PassThroughQuery(Query[VendorAnswer]):
    """A GET request of a vendor's API: what a program for this vendor asks.

    `path` is below the root of the vendor's API, `params` are those of the query string, in an
    order that equal questions share. `weight` is what the vendor counts for it. The answer is fresh
    for `ttl_s` seconds, longer where the vendor's budget cannot afford that, and is served stale up
    to an age of `max_stale_s`. `outlives_restart`: it is rarely asked, and slow to fetch.
    """

    category: ClassVar[str] = "pass_through"
    is_shared: ClassVar[bool] = False
    is_pass_through: ClassVar[bool] = True
    vendor: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    ttl_s: float = 60.0
    max_stale_s: float = 0.0
    max_bytes: int = 8 * 1024 * 1024
    outlives_restart: bool = False

    @cached_property
    def subject(self) -> str:
        query = urlencode(self.params)
        return f"{self.vendor} {self.path}{'?' if query else ''}{query}"


#: CoinGecko's first 250 coins by market cap: the gateway's own list, as its vendor sent it.
COIN_PAGE = PassThroughQuery(
    "coingecko",
    "/coins/markets",
    (
        ("order", "market_cap_desc"),
        ("page", "1"),
        ("per_page", "250"),
        ("price_change_percentage", "1h,7d"),
        ("vs_currency", "usd"),
    ),
    ttl_s=60.0,
    max_stale_s=900.0,
)
