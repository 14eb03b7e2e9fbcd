"""The one place that speaks HTTP. What goes wrong out there becomes one of our errors here."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import orjson

from backend import __version__
from backend.clock import Clock
from backend.errors import (
    AuthFailed,
    ConnectFailed,
    ConnectionBroken,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.providers.adapter import Adapter, Auth, Call, Reply

T = TypeVar("T")

#: Library user agents meet firewalls; a named one is asked for by several vendors.
USER_AGENT = f"unified-crypto-data-platform/{__version__}"
#: Longer than any provider's honest word; a larger figure is a unit error.
LONGEST_RETRY_AFTER_S = 31 * 86_400.0
#: A rate limit whose text speaks of these is a day's or a month's.
_MONTH = re.compile(r"month|quota", re.IGNORECASE)
_DAY = re.compile(r"\bdaily\b|\bper day\b|/day\b", re.IGNORECASE)

#: Bodies that are kept for conditional requests.
MOST_VALIDATED = 16
#: A body that arrived cut short must not be called unchanged for ever: asked anew each hour.
LONGEST_UNCHANGED_S = 3_600.0

DEFAULT_ERRORS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    403: GeoBlocked,
    407: ConnectFailed,
    408: UpstreamFailed,
    418: RateLimited,
    429: RateLimited,
    451: GeoBlocked,
}


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
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            follow_redirects=False,
            timeout=None,  # noqa: S113 - call() bounds the whole, which httpx's timeouts do not
            # Endpoints bound their own calls: one provider's slowness must not queue another's.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )

    async def __aenter__(self) -> Self:
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
        auth: tuple[Auth, str] | None,
        timeout_s: float,
    ) -> Reply:
        """The decoded answer. Raises ProviderError for all else, within `timeout_s` in total."""
        request = self._request(call, base_url, auth)
        try:
            async with asyncio.timeout(timeout_s):
                response, body = await self._send(request, call.max_bytes)
        except TimeoutError:
            raise ProviderTimeout(f"no answer within {timeout_s:.1f} s") from None
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise ConnectFailed(type(error).__name__) from None
        except httpx.DecodingError:
            raise MalformedResponse("the body's compression is broken") from None
        except httpx.HTTPError as error:
            raise ConnectionBroken(type(error).__name__) from None
        if call.conditional:
            response, body = self._revalidated(response, body)
        if auth:  # some providers echo the key; from here on nobody sees it
            body = body.replace(auth[1].encode(), b"[redacted]")
        return self._reply(adapter, call, response, body)

    def forget(self, base_url: str) -> None:
        """What came from there was absurd: not to be taken for unchanged."""
        for url in [url for url in self._validated if url.startswith(base_url)]:
            del self._validated[url]

    def _request(self, call: Call, base_url: str, auth: tuple[Auth, str] | None) -> httpx.Request:
        params, headers = call.params, {}
        if auth and auth[0].place == "query":
            params = (*params, (auth[0].name, auth[1]))
        elif auth:
            headers[auth[0].name] = auth[1]
        if call.json_body is not None:
            headers["Content-Type"] = "application/json"
        if call.decode == "bytes":
            headers["Accept"] = "*/*"
        request = self._http.build_request(
            "GET" if call.json_body is None else "POST",
            base_url.rstrip("/") + call.path if call.path else base_url,
            params=params or None,
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
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise MalformedResponse("the body is larger than any honest one")
            return response, bytes(body)
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

    def _reply(self, adapter: Adapter, call: Call, response: httpx.Response, body: bytes) -> Reply:
        payload = _decoded(body)
        error = self._error(adapter, response, payload, body)
        if error:
            raise error
        if call.decode == "bytes":
            payload = body or None
        if payload is None:
            raise MalformedResponse("a success without content", http_status=response.status_code)
        return Reply(response.headers, payload)

    def _error(
        self, adapter: Adapter, response: httpx.Response, payload: Any, body: bytes
    ) -> ProviderError | None:
        status, code = response.status_code, adapter.error_code(payload)
        table = adapter.errors
        kind = (
            table.get((status, code))
            or (table.get((None, code)) if code is not None else None)
            or table.get((status, None))
            or _default_error(status)
        )
        if kind is None:
            return None
        retry_after_s = self._retry_after_s(adapter, response, payload)
        if kind in (RateLimited, QuotaSpent) and (reset_s := self._until_reset_s(body)):
            kind, retry_after_s = QuotaSpent, retry_after_s or reset_s
        detail = f"HTTP {status}" + (f", code {code}" if code is not None else "")
        return kind(detail, http_status=status, retry_after_s=retry_after_s)

    def _retry_after_s(
        self, adapter: Adapter, response: httpx.Response, payload: Any
    ) -> float | None:
        """What the provider says, in seconds; nothing usable gives None."""
        now = self._clock.now()
        seconds = _header_seconds(response.headers, now)
        until_ms = adapter.banned_until_ms(payload)
        if seconds is None and until_ms:
            seconds = until_ms / 1000 - now.timestamp()
        # 0 would have us hammer a provider that just refused: our own ladder is better.
        if seconds is None or seconds <= 0:
            return None
        return min(seconds, LONGEST_RETRY_AFTER_S)

    def _until_reset_s(self, body: bytes) -> float | None:
        """Seconds to the reset of a day's or month's quota that the text names, else None."""
        text = body[:2_000].decode("utf-8", "replace")
        if _MONTH.search(text):
            return 86_400.0  # the anchor day is unknown: ask once a day
        if not _DAY.search(text):
            return None
        now = self._clock.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - now).total_seconds()


def parsed(parse: Callable[..., T], *arguments: Any) -> T:
    """`parse(*arguments)`; whatever it raises on junk becomes MalformedResponse."""
    try:
        return parse(*arguments)
    except ProviderError:
        raise
    except Exception as error:  # a parser may raise anything on junk; all of it means junk
        raise MalformedResponse(f"{type(error).__name__} in {parse.__name__}") from error


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _default_error(status: int) -> type[ProviderError] | None:
    if 200 <= status < 300:
        return None
    if status >= 500:
        return UpstreamFailed
    if 400 <= status < 500:
        return DEFAULT_ERRORS.get(status, QueryRefused)
    return MalformedResponse  # 1xx and redirects: nobody we ask has reason to


def _header_seconds(headers: httpx.Headers, now: datetime) -> float | None:
    """Retry-After as seconds or as a date, the date read by the sender's own clock."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    return (until - (_date(headers.get("date", "")) or now)).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (OverflowError, TypeError, ValueError):
        return None
