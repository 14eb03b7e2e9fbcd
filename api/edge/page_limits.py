"""Limits of what the gateway's own pages ask for, apart from the limits of clients.

The dashboard's files are known by their paths. Its requests for data are known by a header that
browsers set and scripts cannot (`Sec-Fetch-Site`); a program can send it too, so what is admitted
by it is a tenth of the client's limit, and the rest counts as everybody's. Counted in one process:
with several, each has these limits.
"""

from collections.abc import Mapping, Sequence

from api.edge.client_limits import ClientAccount, ClientLimits
from api.edge.sliding_log import Verdict
from backend.clock import Clock
from backend.environment.forms import CallLimit

#: Files of the dashboard for one address: opening it takes about 50, and no work but sending them.
FILES = CallLimit(1_200, 60.0)
#: The part of each limit of a client that its pages have besides.
DATA_SHARE = 0.1
#: The value of Sec-Fetch-Site where a page of the gateway asks. Browsers send it over HTTPS and to
#: this machine.
FROM_PAGE = "same-origin"
_FROM_PAGE = FROM_PAGE.encode()


class PageLimits:
    """Both are empty, and admit everything, where clients have no limit."""

    def __init__(self, limits: Sequence[CallLimit], clock: Clock) -> None:
        shares = [CallLimit(int(one.limit * DATA_SHARE), one.period_s) for one in limits]
        #: A tenth of less than ten units is nothing.
        has_share = bool(shares) and all(one.limit for one in shares)
        self.files = ClientLimits([FILES] if limits else [], clock)
        self.data = ClientLimits(shares if has_share else [], clock)

    def is_asked_by_page(self, headers: Mapping[str, str]) -> bool:
        """Whether a request of these headers may count for the pages' share."""
        return headers.get("sec-fetch-site") == FROM_PAGE and bool(self.data)

    def is_asked_by_page_fields(self, fields: Mapping[bytes, bytes]) -> bool:
        """The same for header fields as the server gives them."""
        return fields.get(b"sec-fetch-site") == _FROM_PAGE and bool(self.data)


class PageAccount(ClientAccount):
    """The client of a page's request: units count for the pages' share while it has enough."""

    __slots__ = ("_page",)

    def __init__(self, page: ClientLimits, limits: ClientLimits, address: str) -> None:
        super().__init__(limits, address)
        self._page = page

    def hit(self) -> Verdict | None:
        """Counts one unit, for the share or else for the client."""
        verdict = self._page.hit(self.address)
        return verdict if verdict.passes else super().hit()

    def charge(self, units: int) -> None:
        if units > 0 and not self._page.hit(self.address, units).passes:
            super().charge(units)
