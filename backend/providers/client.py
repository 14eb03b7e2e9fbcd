"""The only HTTP client of upstream calls. Exceptions of libraries become ProviderErrors here.

Each request has its own connection, so that bytes behind a complete answer cannot be taken for the
next answer (docs/decisions/0017). There are no cookies, and no redirect is followed here.
"""

import asyncio
import errno
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Self, TypeVar

import anyio.lowlevel
import httpx
import orjson
from pydantic import SecretStr

from backend import __version__
from backend.clock import Clock
from backend.environment.network import NetworkSettings, has_free_descriptor
from backend.errors import (
    AuthFailed,
    ConnectFailed,
    ConnectionBroken,
    GeoBlocked,
    MalformedResponse,
    Moved,
    NoDescriptor,
    PlanRestricted,
    ProviderError,
    ProviderTimeout,
    QueryRefused,
    QuestionBlocked,
)
from backend.providers.adapter import Adapter, Auth, Call, Reply, VerbatimBody
from backend.providers.bounded_body import ACCEPT_ENCODING, read_body
from backend.providers.conditional import ConditionalBodies
from backend.providers.connection_errors import describe
from backend.providers.json_body import decode_json, plain_json, repaired_json, valid_json
from backend.providers.refusals import refusal_in
from backend.providers.transport import open_transport
from backend.providers.unexpected import UnexpectedErrors
from backend.redaction import spellings

T = TypeVar("T")

#: Several vendors require a named client, and firewalls block the names of libraries.
USER_AGENT = f"unified-crypto-data-platform/{__version__}"
REDIRECTS = (301, 302, 303, 307, 308)
#: Redirects that keep the method of a POST.
SAME_METHOD = (307, 308)
#: Wait after a call that found no free file descriptor, in seconds.
DESCRIPTOR_WAIT_S = 1.0
#: Causes of an error that are followed; a chain of causes may be circular.
DEEPEST_CAUSE = 10
#: Larger bodies are decoded in a thread: decoding takes about 5 ms per MiB.
DECODE_IN_THREAD_BYTES = 256 * 1024
#: Larger bodies are repaired in a thread: a repair takes about 50 ms per MiB.
REPAIR_IN_THREAD_BYTES = 16 * 1024


class ProviderClient:
    """Makes single calls, limited in time and size. It never retries.

    An async context manager; leaving it closes the transport.
    """

    def __init__(self, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._clock = clock
        self._bodies = ConditionalBodies(clock)
        # A transport instead of a client: a client keeps cookies and parses each Location.
        self._transport = transport or open_transport(NetworkSettings())
        self._unexpected = UnexpectedErrors()

    async def __aenter__(self) -> Self:
        # Imports anyio's backend now: later there may be no file descriptor for the import.
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._transport.aclose()

    async def call(
        self,
        adapter: Adapter,
        call: Call,
        base_url: str,
        auth: tuple[Auth, SecretStr] | None,
        timeout_s: float,
    ) -> Reply:
        """The decoded answer, within `timeout_s` seconds in total. Raises ProviderError.

        Raises Moved for a redirect within the host; a redirect to another host is an error.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._call(adapter, call, base_url, auth)
        except ProviderError:
            raise
        except TimeoutError:
            raise ProviderTimeout(f"no answer within {timeout_s:.1f} s") from None
        except (httpx.ConnectError, httpx.ProxyError) as error:
            if _is_out_of_descriptors(error):
                text = "no file descriptor is left"
                raise NoDescriptor(text, retry_after_s=DESCRIPTOR_WAIT_S) from None
            raise ConnectFailed(describe(error)) from None
        except (httpx.TransportError, OSError) as error:  # ssl.SSLError is an OSError
            raise ConnectionBroken(describe(error)) from None
        except Exception as error:  # a library's exception on what the server sent
            self._unexpected.log(f"the call to {adapter.vendor}", error)
            raise MalformedResponse(type(error).__name__) from None

    async def _call(
        self, adapter: Adapter, call: Call, base_url: str, auth: tuple[Auth, SecretStr] | None
    ) -> Reply:
        request = self._request(call, base_url, auth)
        response = await self._transport.handle_async_request(request)
        status, headers = response.status_code, response.headers
        async with aclosing(response):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            encoding = headers.get("content-encoding", "")
            body = await read_body(response.stream, encoding, call.max_bytes)
        if call.conditional:
            status, body = self._bodies.revalidated(str(request.url), status, headers, body)
        if auth:  # some providers echo the key
            for spelling in spellings(auth[1].get_secret_value()):
                body = body.replace(spelling.encode(), b"[redacted]")
        if location := _location(request, status, headers):
            raise Moved(location, status)
        document, payload = await _decode(call, status, body)
        error = refusal_in(adapter, status, headers, document, body, self._clock.now())
        if error and not _is_passed_on(call, error, document):
            raise _as_readers(error, document) if call.decode == "verbatim" else error
        if payload is None:
            raise MalformedResponse("the answer has no content", http_status=status)
        return Reply(base_url, headers, payload, len(body))

    def forget(self, base_url: str) -> None:
        """Makes the next call to the host unconditional, as its last body was wrong."""
        self._bodies.forget(base_url)

    def _request(
        self, call: Call, base_url: str, auth: tuple[Auth, SecretStr] | None
    ) -> httpx.Request:
        params, headers = call.params, _own_headers(call)
        if auth and auth[0].place == "query":
            params = (*params, (auth[0].name, auth[1].get_secret_value()))
        elif auth:
            headers[auth[0].name] = auth[1].get_secret_value()
        address = base_url.rstrip("/") + call.path if call.path else base_url
        try:
            request = httpx.Request(
                "GET" if call.json_body is None else "POST",
                call.moved_to or address,
                params=None if call.moved_to else params or None,
                headers=headers,
                content=call.json_body,
            )
        except Exception:
            if call.moved_to is None:  # the declared address is wrong
                raise
            raise MalformedResponse("the redirect is not a valid URL") from None
        if call.conditional:
            conditions = self._bodies.conditions(str(request.url))
            request.headers = httpx.Headers([*request.headers.raw, *conditions])
        return request


async def _decoded(body: bytes) -> Any:
    """As decode_json, in a thread if it takes more than some milliseconds."""
    if len(body) <= DECODE_IN_THREAD_BYTES:
        try:
            return plain_json(body)
        except orjson.JSONDecodeError:
            if len(body) <= REPAIR_IN_THREAD_BYTES:
                return repaired_json(body)
    return await asyncio.to_thread(decode_json, body)


def _as_readers(error: ProviderError, document: Any) -> ProviderError:
    """A firewall may refuse the texts that a reader chose: HTTP 403, or 401 without a document."""
    is_blocked = isinstance(error, GeoBlocked) and error.http_status == 403
    is_refused = isinstance(error, AuthFailed) and document is None
    if not (is_blocked or is_refused):
        return error
    return QuestionBlocked(str(error), http_status=error.http_status)


def _is_passed_on(call: Call, error: ProviderError, document: Any) -> bool:
    """True for a vendor's own refusal of a question that is passed through, in JSON."""
    is_refusal = isinstance(error, QueryRefused | PlanRestricted) and not error.moves_host
    return call.decode == "verbatim" and is_refusal and isinstance(document, dict)


async def _decode(call: Call, status: int, body: bytes) -> tuple[Any, Any]:
    """The JSON document in the body, and the payload that the call asks for; None for none."""
    if call.decode == "verbatim":
        is_short = len(body) <= REPAIR_IN_THREAD_BYTES
        valid = valid_json(body) if is_short else await asyncio.to_thread(valid_json, body)
        return (valid[1], VerbatimBody(status, *valid)) if valid else (None, None)
    document = await _decoded(body)
    return document, document if call.decode == "json" else body or None


def _own_headers(call: Call) -> dict[str, str]:
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*" if call.decode == "bytes" else "application/json",
        "Accept-Encoding": ACCEPT_ENCODING,
        "Connection": "close",
    }
    if call.json_body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def _location(request: httpx.Request, status: int, headers: httpx.Headers) -> str | None:
    """The absolute URL of a redirect within the host; None for any other answer."""
    if status not in REDIRECTS or "location" not in headers:
        return None
    if request.method != "GET" and status not in SAME_METHOD:
        return None
    try:
        there = request.url.join(headers["location"]).copy_with(fragment=None)
        is_same = (there.scheme, there.netloc) == (request.url.scheme, request.url.netloc)
    except Exception:  # httpx raises several types on invalid URLs
        raise MalformedResponse("the Location is not a valid URL", http_status=status) from None
    plain = request.url.copy_with(fragment=None)
    is_safer = plain.scheme == "http" and there == plain.copy_with(scheme="https")
    return str(there) if is_same or is_safer else None


def parsed(parse: Callable[..., T], *arguments: Any) -> T:
    """`parse(*arguments)`; any exception that it raises becomes MalformedResponse."""
    try:
        return parse(*arguments)
    except ProviderError:
        raise
    except Exception as error:  # a parser may raise anything on a malformed payload
        raise MalformedResponse(f"{type(error).__name__} in {parse.__name__}") from error


def _is_out_of_descriptors(error: BaseException | None) -> bool:
    for _ in range(DEEPEST_CAUSE):
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error and (error.__cause__ or error.__context__)
    return not has_free_descriptor()  # without one, a name lookup fails in many ways
