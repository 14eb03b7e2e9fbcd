"""What the routes of the protocol share: the router's kind, errors, and how answers are sent.

Every error is `{"s": "error", "errmsg"}`: the library reads neither statuses nor other documents.
"""

from collections.abc import Callable, Hashable
from typing import Annotated, Any

from fastapi import Query, Request, Response

from api.cache.formats import JSON
from api.edge.path_policies import GatewayRouter
from api.edge.problems import ProblemDetails
from api.encoding import to_json
from api.facades.provenance import source_headers
from api.facades.udf.symbols import EXCHANGE
from api.routes.responder import responder_of
from api.routes.schemas import FACADE_TAG
from backend.models.answer import Answer
from backend.models.status import OFF
from backend.services.page import Page

NO_STORE = {"Cache-Control": "no-store"}
#: Providers whose reasons an error names.
MAX_PROVIDERS = 5
#: Characters of a name.
LONGEST_NAME = 64
Name = Annotated[
    str,
    Query(
        min_length=1,
        max_length=LONGEST_NAME,
        description=f"ticker, id, symbol, pair, or {EXCHANGE}:SYMBOL",
        examples=["BTC", "bitcoin"],
    ),
]


def render_error(details: ProblemDetails) -> Response:
    text = details.detail
    if suggestions := details.members.get("suggestions"):
        text += f"; did you mean {' or '.join(suggestions)}?"
    reasons = [one for one in details.members.get("providers", ()) if one["reason"] not in OFF]
    if reasons:
        named = (f"{one['provider']}: {one['reason']}" for one in reasons[:MAX_PROVIDERS])
        text += f" ({', '.join(named)})"
    if wait_s := details.members.get("retry_after_seconds"):
        text += f"; retry in {wait_s} s"
    document = {"s": "error", "errmsg": text}
    return Response(to_json(document), details.status, dict(details.headers), media_type=JSON)


def udf_router() -> GatewayRouter:
    return GatewayRouter(
        prefix="/udf",
        render_error=render_error,
        tags=[FACADE_TAG],
        default_response_class=Response,
    )


async def respond(
    request: Request,
    answer: Answer[Any],
    selection: tuple[Hashable, ...],
    document: Callable[[], Any],
    *,
    is_slow: bool = False,
) -> Response:
    """`document` makes the body, once a refresh; `is_slow`: it takes over 5 ms."""
    return await responder_of(request).respond(
        request,
        answer,
        ("udf", *selection),
        lambda: Page(document(), 1),
        _encode,
        is_slow=is_slow,
        headers=source_headers(answer),
    )


def _encode(_answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    return to_json(page.rows), JSON
