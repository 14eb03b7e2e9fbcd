"""A request's body, bounded in bytes and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from api.edge.access_control import MAX_BODY_BYTES

#: Time for a request's body to arrive, in seconds.
BODY_TIMEOUT_S = 5.0


class BodyRefused(Exception):
    """`code` is that of a problem, the text its detail."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


async def read_body(request: Request) -> bytes:
    """Raises BodyRefused for a body that is too long, or does not arrive."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    detail = f"a request body has at most {MAX_BODY_BYTES} bytes"
                    raise BodyRefused("body_too_large", detail)
    except (TimeoutError, ClientDisconnect):
        detail = f"the body did not arrive within {BODY_TIMEOUT_S:g} s"
        raise BodyRefused("bad_request", detail) from None
    return bytes(body)
