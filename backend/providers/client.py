"""The one place that speaks HTTP. What goes wrong out there becomes one of our errors here."""

import asyncio
import errno
import socket
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
from backend.providers.refusals import refusal_in
from backend.spellings import spellings

T = TypeVar("T")

#: Library user agents meet firewalls; a named one is asked for by several vendors.
USER_AGENT = f"unified-crypto-data-platform/{__version__}"
#: Bodies that are kept for conditional requests.
MOST_VALIDATED = 16
#: Redirects after which a POST is still one.
SAME_METHOD = (307, 308)
#: A body that arrived cut short must not be called unchanged for ever: asked anew each hour.
LONGEST_UNCHANGED_S = 3_600.0
#: Descriptors are free again as soon as somebody leaves: no reason to wait longer, in seconds.
DESCRIPTOR_WAIT_S = 1.0
#: Of an error: causes may go in circles.
DEEPEST_CAUSE = 10


@dataclass(frozen=True, slots=True)
class Validated:
    """An answer's body with what lets its sender say that it has not changed."""

    etag: str | None
    last_modified: str | None
    body: bytes
    kept_until: float

    def conditions(self) -> dict[str, str]:
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


class ProviderClient:
    """Makes single calls, bounded in time and size. It never retries."""

    def __init__(self, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._clock = clock
        self._validated: OrderedDict[str, Validated] = OrderedDict()
        self._http = httpx.AsyncClient(
            transport=transport,
            headers={
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": ACCEPT_ENCODING,
            },
            follow_redirects=False,  # Endpoint does, each hop within the limits
            timeout=None,  # noqa: S113 - call() bounds the whole, which httpx's timeouts do not
            # Endpoints bound their own calls: one provider's slowness must not queue another's.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )

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
        await self._http.aclose()

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
        request = self._request(call, base_url, auth)
        try:
            async with asyncio.timeout(timeout_s):
                response, body = await self._send(request, call.max_bytes)
        except TimeoutError:
            raise ProviderTimeout(f"no answer within {timeout_s:.1f} s") from None
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise _connect_failure(error) from None
        except httpx.HTTPError as error:
            raise ConnectionBroken(type(error).__name__) from None
        if call.conditional:
            response, body = self._revalidated(response, body)
        if auth:  # some providers echo the key; from here on nobody sees it
            for spelling in spellings(auth[1].get_secret_value()):
                body = body.replace(spelling.encode(), b"[redacted]")
        return self._reply(adapter, call, base_url, response, body)

    def forget(self, base_url: str) -> None:
        """What came from that host was absurd: not to be taken for unchanged."""
        host = httpx.URL(base_url).netloc
        for url in [url for url in self._validated if httpx.URL(url).netloc == host]:
            del self._validated[url]

    def _request(
        self, call: Call, base_url: str, auth: tuple[Auth, SecretStr] | None
    ) -> httpx.Request:
        params, headers = call.params, {}
        if auth and auth[0].place == "query":
            params = (*params, (auth[0].name, auth[1].get_secret_value()))
        elif auth:
            headers[auth[0].name] = auth[1].get_secret_value()
        if call.json_body is not None:
            headers["Content-Type"] = "application/json"
        if call.decode == "bytes":
            headers["Accept"] = "*/*"
        address = base_url.rstrip("/") + call.path if call.path else base_url
        request = self._http.build_request(
            "GET" if call.json_body is None else "POST",
            call.moved_to or address,
            params=None if call.moved_to else params or None,
            headers=headers,
            content=call.json_body,
        )
        known = self._validated.get(str(request.url)) if call.conditional else None
        if known and self._clock.monotonic() < known.kept_until:
            request.headers.update(known.conditions())
        return request

    async def _send(self, request: httpx.Request, max_bytes: int) -> tuple[httpx.Response, bytes]:
        response = await self._http.send(request, stream=True)
        try:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            encoding = response.headers.get("content-encoding", "")
            return response, await read_body(response.stream, encoding, max_bytes)
        finally:
            await response.aclose()

    def _revalidated(self, response: httpx.Response, body: bytes) -> tuple[httpx.Response, bytes]:
        """The last body again when it is unchanged, as if it had just come."""
        url = str(response.request.url)
        if response.status_code == 304 and (known := self._validated.get(url)):
            return httpx.Response(200, headers=response.headers), known.body
        headers = response.headers
        kept_until = self._clock.monotonic() + LONGEST_UNCHANGED_S
        validated = Validated(headers.get("etag"), headers.get("last-modified"), body, kept_until)
        if response.status_code == 200 and validated.conditions():
            self._validated[url] = validated
            if len(self._validated) > MOST_VALIDATED:
                self._validated.popitem(last=False)
        return response, body

    def _reply(
        self, adapter: Adapter, call: Call, base_url: str, response: httpx.Response, body: bytes
    ) -> Reply:
        if location := _location(response):
            raise Moved(location, response.status_code)
        payload = _decoded(body)
        now = self._clock.now()
        error = refusal_in(adapter, response.status_code, response.headers, payload, body, now)
        if error:
            raise error
        if call.decode == "bytes":
            payload = body or None
        if payload is None:
            raise MalformedResponse("a success without content", http_status=response.status_code)
        return Reply(base_url, response.headers, payload)


def _location(response: httpx.Response) -> str | None:
    """Where the same host sends us on, complete; None where it does not, or where it may not."""
    if not response.has_redirect_location:
        return None
    asked = response.request
    if asked.method != "GET" and response.status_code not in SAME_METHOD:
        return None
    there = asked.url.join(response.headers["location"])  # httpx has refused unreadable ones
    is_same = (there.scheme, there.netloc) == (asked.url.scheme, asked.url.netloc)
    is_safer = asked.url.scheme == "http" and there == asked.url.copy_with(scheme="https")
    return str(there.copy_with(fragment=None)) if is_same or is_safer else None


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
    try:  # looking up a name without one fails in all kinds of ways
        socket.socket().close()
    except OSError:
        return True
    return False


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
