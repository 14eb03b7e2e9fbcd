"""Answers for requests that the server refuses itself: problem documents, counted as all are."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.counting import UNMATCHED, CountRequests, RequestCounts
from api.heads import Refusal
from api.middleware import RequestId
from api.problems import problem
from api.security_headers import SecurityHeaders

_KEY = "gateway.refusal"


class Refusals:
    """What HTTP itself forbids gets no further than here, and its connection ends."""

    def __init__(self, counts: RequestCounts) -> None:
        self._counts = counts
        self._answer: ASGIApp = RequestId(CountRequests(SecurityHeaders(_refuse), counts, {}))

    def count(self, status: int) -> None:
        """An answer that was given in another way."""
        self._counts[UNMATCHED, status, ""] += 1

    def app(self, refusal: Refusal) -> ASGIApp:
        """Answers any one request with this."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await self._answer({**scope, _KEY: refusal}, receive, send)

        return answer


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    refusal: Refusal = scope[_KEY]
    # An address is made of the host, and this one may be none.
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    request = Request({**scope, "headers": headers})
    answer = problem(
        request,
        refusal.code,
        refusal.detail,
        headers={"Connection": "close", **refusal.headers},
    )
    await answer(scope, receive, send)


#: For an application that brings none of its own.
_NOBODYS = Refusals(RequestCounts())


def refusals_of(app: object) -> Refusals:
    """Those of the application that a server was given."""
    return getattr(app, "refusals", None) or _NOBODYS
