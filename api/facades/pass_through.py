"""How the answers of a vendor are sent: its own bytes and status, and our headers."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request, Response

from api.cache.formats import JSON
from api.edge.client_limits import account_of
from api.edge.problems import ProblemDetails
from api.facades.provenance import provenance_headers, source_headers
from api.routes.responder import NO_HEADERS, gateway_of, responder_of
from backend.errors import GatewayError
from backend.models.answer import Answer
from backend.models.pass_through import PassThroughQuery, VendorAnswer
from backend.models.status import OFF
from backend.services.page import Page

#: Bytes of a body that cost its client one unit.
BYTES_PER_UNIT = 512 * 1024


#: Reasons for which a provider may not be asked now, although nothing is wrong with it.
LIMITS = frozenset(("rate_limited", "quota_exhausted"))


class NotInDialect(GatewayError):
    """The path is none of the dialect's."""

    code = "not_found"

    def __init__(self) -> None:
        super().__init__("no such path")


def status_of(details: ProblemDetails) -> int:
    """The status in a dialect, as the vendor itself would answer: 429 where a limit or a budget has
    nothing to spare, 404 where no host of the vendor has the path."""
    reasons = {one["reason"] for one in details.members.get("providers", ())} - {*OFF}
    if details.status != 503 or not reasons:
        return details.status
    if reasons == {"unsupported"}:
        return 404
    return 429 if reasons <= LIMITS else 503


async def pass_through(
    request: Request, query: PassThroughQuery, headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    """Asks the vendor, through the cache, and answers with its own body. Raises GatewayError."""
    answer = await gateway_of(request).pass_through.fetch(query)
    return await respond_with_vendor(request, query, answer, headers)


async def respond_with_vendor(
    request: Request,
    query: PassThroughQuery,
    answer: Answer[VendorAnswer],
    headers: Mapping[str, str] = NO_HEADERS,
) -> Response:
    """A refusal has the vendor's status, and is not to be stored by clients."""
    found = answer.data
    if found.status != 200:
        refused = {**headers, **provenance_headers(answer), "Cache-Control": "no-store"}
        return Response(found.body, found.status, refused, media_type=JSON)
    account_of(request.scope).charge(len(found.body) // BYTES_PER_UNIT)
    selection = ("pass through", query)
    return await respond_with_body(request, answer, selection, lambda: found.body, headers)


async def respond_with_body(
    request: Request,
    answer: Answer[Any],
    selection: tuple[Any, ...],
    body: Callable[[], bytes],
    headers: Mapping[str, str] = NO_HEADERS,
) -> Response:
    """`body` makes JSON of `answer`, once a refresh; `selection` names it among all such bodies."""
    return await responder_of(request).respond(
        request,
        answer,
        selection,
        lambda: Page(body(), 1),
        lambda _answer, page: (page.rows, JSON),
        headers={**headers, **source_headers(answer)},
    )
