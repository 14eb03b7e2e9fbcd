"""The one place that speaks HTTP. Every foreign exception becomes a ProviderError here.

One request, one connection: bytes that a server sends behind a complete answer have no next
request to be taken for (docs/decisions/0017). There is no cookie jar, and no redirect is followed
here.
"""

import asyncio
import errno
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio.lowlevel
import httpx
import orjson
from pydantic import SecretStr

from backend import __version__
from backend.clock import Clock
from backend.environment.descriptors import has_free_descriptor
from backend.environment.network import NetworkSettings
from backend.errors import (
    ConnectFailed,
    ConnectionBroken,
    MalformedResponse,
    Moved,
    NoDescriptor,
    ProviderError,
    ProviderTimeout,
)
from backend.providers.adapter import Adapter, Auth, Call, Reply
from backend.providers.bounded_body import ACCEPT_ENCODING, read_body
from backend.providers.json_body import decode_json, plain_json, repaired_json
from backend.providers.refusals import refusal_in
from backend.providers.transport import open_transport
from backend.providers.unexpected import UnexpectedErrors
from backend.spellings import spellings

T = TypeVar("T")

#: Library user agents meet firewalls; a named one is asked for by several vendors.
USER_AGENT = f"unified-crypto-data-platform/{__version__}"
#: Bodies that are kept for conditional requests.
MOST_VALIDATED = 16
REDIRECTS = (301, 302, 303, 307, 308)
#: Redirects after which a POST is still one.
SAME_METHOD = (307, 308)
#: A body that arrived cut short must not be called unchanged for ever: asked anew each hour.
LONGEST_UNCHANGED_S = 3_600.0
#: Descriptors are free again as soon as somebody leaves: no reason to wait longer, in seconds.
DESCRIPTOR_WAIT_S = 1.0
#: Of an error: causes may go in circles.
DEEPEST_CAUSE = 10


#: A larger body is decoded in a thread: decoding takes about 5 ms for each MiB.
DECODE_IN_THREAD_BYTES = 256 * 1024
#: ... and repairing it ten times as long.
REPAIR_IN_THREAD_BYTES = 16 * 1024
#: Validators that may be sent back: of these characters and no longer (RFC 9110, 8.8.2 and 8.8.3).
_ETAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]{0,512}"')
_LAST_MODIFIED = re.compile(rb"[A-Za-z0-9 ,:+-]{1,64}")


@dataclass(frozen=True, slots=True)
class Validated:
    """An answer's body with the validators, as bytes, that make the next request conditional."""

    etag: bytes | None
    last_modified: bytes | None
    body: bytes
    kept_until: float

    def conditions(self) -> list[tuple[bytes, bytes]]:
        """Request headers; a validator with bytes that no header may hold is left out."""
        found = []
        if self.etag and _ETAG.fullmatch(self.etag):
            found.append((b"If-None-Match", self.etag))
        if self.last_modified and _LAST_MODIFIED.fullmatch(self.last_modified):
            found.append((b"If-Modified-Since", self.last_modified))
        return found


class ProviderClient:
    """Makes single calls, bounded in time and size. It never retries."""

    def __init__(self, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._clock = clock
        self._validated: OrderedDict[str, Validated] = OrderedDict()
        # A transport, not a client: a client keeps cookies, and reads each Location.
        self._transport = transport or open_transport(NetworkSettings())
        self._unexpected = UnexpectedErrors()

    async def __aenter__(self) -> Self:
        # Loads its backend: later there may be no descriptor left to load it with.
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def call(
        self,
        adapter: Adapter,
        call: Call,
        base_url: str,
        auth: tuple[Auth, SecretStr] | None,
        timeout_s: float,
    ) -> Reply:
        """The decoded answer. Raises ProviderError for all else, within `timeout_s` in total.

        Raises Moved where the same host has it elsewhere; what leads to another host is refused.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._call(adapter, call, base_url, auth)
        except ProviderError:
            raise
        except TimeoutError:
            raise ProviderTimeout(f"no answer within {timeout_s:.1f} s") from None
        except Exception as error:  # whatever a server makes a library raise is its own failure
            raise self._failure(adapter, error) from None

    async def _call(
        self, adapter: Adapter, call: Call, base_url: str, auth: tuple[Auth, SecretStr] | None
    ) -> Reply:
        request = self._request(call, base_url, auth)
        status, headers, body = await self._send(request, call.max_bytes)
        if call.conditional:
            status, body = self._revalidated(request, status, headers, body)
        if auth:  # some providers echo the key; from here on nobody sees it
            for spelling in spellings(auth[1].get_secret_value()):
                body = body.replace(spelling.encode(), b"[redacted]")
        if location := _location(request, status, headers):
            raise Moved(location, status)
        return await self._reply(adapter, call, base_url, status, headers, body)

    def forget(self, base_url: str) -> None:
        """What came from that host was absurd: not to be taken for unchanged."""
        host = httpx.URL(base_url).netloc
        for url in [url for url in self._validated if httpx.URL(url).netloc == host]:
            del self._validated[url]

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
            if call.moved_to is None:  # our own address: a bug of ours
                raise
            raise MalformedResponse("the redirect leads to no address") from None
        known = self._validated.get(str(request.url)) if call.conditional else None
        if known and self._clock.monotonic() < known.kept_until:
            request.headers = httpx.Headers([*request.headers.raw, *known.conditions()])
        return request

    async def _send(
        self, request: httpx.Request, max_bytes: int
    ) -> tuple[int, httpx.Headers, bytes]:
        response = await self._transport.handle_async_request(request)
        try:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            encoding = response.headers.get("content-encoding", "")
            body = await read_body(response.stream, encoding, max_bytes)
            return response.status_code, response.headers, body
        finally:
            await response.aclose()

    def _revalidated(
        self, request: httpx.Request, status: int, headers: httpx.Headers, body: bytes
    ) -> tuple[int, bytes]:
        """Status and body; of an unchanged answer the last body, as if it had just come."""
        url = str(request.url)
        if status == 304 and (known := self._validated.get(url)):
            return 200, known.body
        raw = {name.lower(): value for name, value in headers.raw}
        kept_until = self._clock.monotonic() + LONGEST_UNCHANGED_S
        validated = Validated(raw.get(b"etag"), raw.get(b"last-modified"), body, kept_until)
        if status == 200 and validated.conditions():
            self._validated[url] = validated
            if len(self._validated) > MOST_VALIDATED:
                self._validated.popitem(last=False)
        return status, body

    async def _reply(
        self,
        adapter: Adapter,
        call: Call,
        base_url: str,
        status: int,
        headers: httpx.Headers,
        body: bytes,
    ) -> Reply:
        payload = await _decoded(body)
        error = refusal_in(adapter, status, headers, payload, body, self._clock.now())
        if error:
            raise error
        if call.decode == "bytes":
            payload = body or None
        if payload is None:
            raise MalformedResponse("a success without content", http_status=status)
        return Reply(base_url, headers, payload, len(body))

    def _failure(self, adapter: Adapter, error: Exception) -> ProviderError:
        """What a foreign exception means. One of a kind that we don't know is logged once."""
        name = type(error).__name__
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            return _connect_failure(error)
        if isinstance(error, httpx.TransportError | OSError):  # ssl.SSLError is an OSError
            return ConnectionBroken(name)
        self._unexpected.log(f"the call to {adapter.vendor}", error)
        return MalformedResponse(name)


async def _decoded(body: bytes) -> Any:
    """As decode_json; what takes more than some milliseconds, in a thread."""
    if len(body) <= DECODE_IN_THREAD_BYTES:
        try:
            return plain_json(body)
        except orjson.JSONDecodeError:
            if len(body) <= REPAIR_IN_THREAD_BYTES:
                return repaired_json(body)
    return await asyncio.to_thread(decode_json, body)


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
    """Where the same host sends us on, complete; None where it does not, or where it may not."""
    if status not in REDIRECTS or "location" not in headers:
        return None
    if request.method != "GET" and status not in SAME_METHOD:
        return None
    try:
        there = request.url.join(headers["location"]).copy_with(fragment=None)
        is_same = (there.scheme, there.netloc) == (request.url.scheme, request.url.netloc)
    except Exception:  # httpx raises several kinds on odd ones
        raise MalformedResponse("the Location is no address", http_status=status) from None
    plain = request.url.copy_with(fragment=None)
    is_safer = plain.scheme == "http" and there == plain.copy_with(scheme="https")
    return str(there) if is_same or is_safer else None


def parsed(parse: Callable[..., T], *arguments: Any) -> T:
    """`parse(*arguments)`; whatever it raises on junk becomes MalformedResponse."""
    try:
        return parse(*arguments)
    except ProviderError:
        raise
    except Exception as error:  # a parser may raise anything on junk; all of it means junk
        raise MalformedResponse(f"{type(error).__name__} in {parse.__name__}") from error


def _connect_failure(error: httpx.TransportError) -> ProviderError:
    """Theirs, unless we have no descriptor left: that must condemn nobody."""
    if _is_out_of_descriptors(error):
        return NoDescriptor("no file descriptor is left", retry_after_s=DESCRIPTOR_WAIT_S)
    return ConnectFailed(type(error).__name__)


def _is_out_of_descriptors(error: BaseException | None) -> bool:
    for _ in range(DEEPEST_CAUSE):
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error and (error.__cause__ or error.__context__)
    return not has_free_descriptor()  # without one, a name lookup fails in many ways
