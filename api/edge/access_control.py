"""Access control of requests: client limits, sizes, gateway keys, origins of browsers."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import unquote_plus

from pydantic import SecretStr
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from api.cache.response_cache import Fields, RawHeaders
from api.edge.client_limits import (
    ACCOUNT,
    ClientAccount,
    ClientLimits,
    client_address,
    forwarded_address,
    peer_address,
)
from api.edge.origins import AllowedOrigins
from api.edge.page_limits import PageAccount, PageLimits
from api.edge.path_policies import Access, PathPolicies, route_path
from api.edge.problems import problem
from api.edge.sliding_log import Verdict
from api.server.hooks import Peer

#: Request headers that may carry a key.
KEY_HEADERS = ("Authorization", "X-API-Key")
#: In bytes. A URL may carry all parameters at their longest, each character in twelve bytes.
MAX_URL_BYTES, MAX_HEADER_BYTES, MAX_BODY_BYTES = 128 * 1024, 32 * 1024, 64 * 1024
#: Parameters of a URL: 63,000 empty ones took 70 ms to be parsed and refused.
MAX_PARAMETERS = 256
#: Digits of the longest Content-Length that is read as a number.
MAX_LENGTH_DIGITS = 12


class Caller(NamedTuple):
    """The client of a request. `forwarded` is the address that trusted proxies name, None without
    one; `is_page`: one of the gateway's own pages asks."""

    forwarded: str | None
    is_page: bool


class GatewayKeys:
    """The valid keys, of which only digests are kept. Without keys every request is admitted."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self.digests = tuple(_digest(key.get_secret_value()) for key in keys)

    def __repr__(self) -> str:
        return f"<GatewayKeys {len(self.digests)}>"

    def __bool__(self) -> bool:
        return bool(self.digests)

    def is_valid(self, key: str) -> bool:
        """Compares in constant time, so that a wrong key cannot be improved step by step."""
        sent = _digest(key)
        found = [hmac.compare_digest(sent, digest) for digest in self.digests]
        return any(found)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """By `X-API-Key` or `Authorization: Bearer`. `headers` are looked up in lower case."""
        if not self:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        sent = (headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else "")
        return any(self.is_valid(key) for key in sent if key)

    def admits_fields(self, fields: Mapping[bytes, bytes]) -> bool:
        """The same for header fields as the server gives them."""
        sent = {name: fields.get(name.encode(), b"") for name in ("authorization", "x-api-key")}
        return self.admits({name: value.decode("latin-1") for name, value in sent.items()})


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "replace"), digest_size=32).digest()


def has_too_many_parameters(scope: Scope) -> bool:
    return bool(scope["query_string"].count(b"&") >= MAX_PARAMETERS)


def size_error(scope: Scope, headers: Headers) -> tuple[str, str] | None:
    """Error code and detail for a request that is too large, else None."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
        return "uri_too_long", f"a URL has at most {MAX_URL_BYTES} bytes"
    if has_too_many_parameters(scope):
        return "uri_too_long", f"a URL has at most {MAX_PARAMETERS} parameters"
    if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADER_BYTES:
        return "headers_too_large", f"headers have at most {MAX_HEADER_BYTES} bytes together"
    length = headers.get("content-length", "0")
    is_number = length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS
    if not is_number or int(length) > MAX_BODY_BYTES:
        return "body_too_large", f"a request body has at most {MAX_BODY_BYTES} bytes"
    return None


@dataclass(frozen=True, slots=True, eq=False)
class AccessControl:
    """Decides which requests reach the routes, and counts each one for its client.

    `trusted_proxies` is the number of proxies in front of the gateway whose entries in
    X-Forwarded-For are trusted.
    """

    policies: PathPolicies
    keys: GatewayKeys
    limits: ClientLimits
    origins: AllowedOrigins
    trusted_proxies: int
    page_limits: PageLimits

    def without_keys(self, scope: Scope) -> Scope:
        """The scope without the query parameters that may carry a key: no route, cache or log sees
        them."""
        places = self.policies.key_places(route_path(scope)).parameters
        if not places or not scope["query_string"]:
            return scope
        kept = [
            pair
            for pair in scope["query_string"].split(b"&")
            if unquote_plus(pair.partition(b"=")[0].decode("latin-1")).lower() not in places
        ]
        return {**scope, "query_string": b"&".join(kept)}

    def check(self, scope: Scope, headers: Headers) -> tuple[bytes | None, Response | None]:
        """Counts an HTTP request for its client, and decides whether a route may answer it.

        Gives the RateLimit header, None without one, and what answers the request instead of a
        route: a refusal, or the answer to a preflight. Preflights need no key, since browsers send
        none with them; health probes of the platform need none and have no limit.
        """
        path = route_path(scope)
        access = self.policies.access(path)
        preflight = self.origins.preflight(scope, headers, self.policies.methods(path))
        if access is Access.PROBE and not has_too_many_parameters(scope):
            return None, preflight
        if access is Access.PAGE:
            return None, preflight or self._refusal_of_page(scope, headers)
        verdict = self.charge(scope, headers)
        rate_limit = verdict.header if verdict is not None else None
        if preflight is not None and (verdict is None or verdict.passes):
            return rate_limit, preflight
        self._read_scheme(scope, headers)
        return rate_limit, self._refusal(scope, headers, access, verdict)

    def caller(self, headers: RawHeaders, fields: Fields) -> Caller | None:
        """Who asks, by the header fields alone, for `admit_cached`. None without a valid key where
        keys are set."""
        if self.keys.digests and not self.keys.admits_fields(fields):
            return None
        address = forwarded_address(headers, self.trusted_proxies)
        return Caller(address, self.page_limits.is_asked_by_page_fields(fields))

    def admit_cached(self, caller: Caller, peer: Peer) -> bytes | None:
        """Counts a request that the cache can answer. Gives the RateLimit header, which is empty
        without limits. None, and nothing is counted, where `check` would refuse the request."""
        if not self.limits.policy:
            return b""
        address = caller.forwarded or peer_address(peer)
        if caller.is_page:
            header = self.page_limits.data.admit(address)
            if header is not None:
                return header
        return self.limits.admit(address)

    def check_websocket(self, scope: Scope, headers: Headers) -> Response | None:
        """What answers the handshake in place of the application; None where it may go on. A
        public path may still ask for a key after it."""
        verdict = self.charge(scope, headers)
        self._read_scheme(scope, headers)
        access = self.policies.access(route_path(scope))
        refusal = self._refusal(scope, headers, access, verdict)
        if refusal is None and not self.origins.admits_websocket(headers):
            detail = "pages of this origin may not connect; CORS_ORIGINS names those that may"
            return problem(HTTPConnection(scope), "forbidden_origin", detail)
        return refusal

    def charge(self, scope: Scope, headers: Headers) -> Verdict | None:
        """Counts one unit for the client; None where there are no limits. Routes charge further
        units to the account in the scope's state."""
        address = client_address(scope, self.trusted_proxies)
        account = ClientAccount(self.limits, address)
        if self.page_limits.is_asked_by_page(headers):
            account = PageAccount(self.page_limits.data, self.limits, address)
        scope.setdefault("state", {})[ACCOUNT] = account
        return account.hit()

    def charge_peer(self, peer: Peer) -> None:
        """Counts one unit for the address of a connection. Behind a proxy it is the proxy's, so
        nothing is counted."""
        if self.limits.policy and peer and not self.trusted_proxies:
            self.limits.hit(peer_address(peer))

    def _refusal_of_page(self, scope: Scope, headers: Headers) -> Response | None:
        files = self.page_limits.files
        address = client_address(scope, self.trusted_proxies)
        verdict = files.hit(address) if files else None
        self._read_scheme(scope, headers)
        return self._refusal(scope, headers, Access.PAGE, verdict, files.policy)

    def _refusal(
        self,
        scope: Scope,
        headers: Headers,
        access: Access,
        verdict: Verdict | None,
        policy: str = "",
    ) -> Response | None:
        request = HTTPConnection(scope)
        if error := size_error(scope, headers):
            return problem(request, *error, headers={"Connection": "close"})
        if verdict is not None and not verdict.passes:
            policy, wait_s = policy or self.limits.policy, verdict.reset_s
            return problem(
                request,
                "rate_limited",
                f"this address may use {policy} (q units in w seconds; a request is one unit)",
                headers={"Retry-After": str(wait_s)},
                retry_after_seconds=wait_s,
            )
        if access is Access.KEY and not self._has_key(scope, headers):
            detail = "send one of the gateway's keys as X-API-Key, or as Authorization: Bearer"
            return problem(request, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
        return None

    def _has_key(self, scope: Scope, headers: Headers) -> bool:
        """In the usual places, or in those of the path's dialect."""
        if self.keys.admits(headers):
            return True
        places = self.policies.key_places(route_path(scope))
        sent = [headers.get(name, "") for name in places.headers]
        if places.parameters:
            query = QueryParams(scope["query_string"])
            sent += [key for name in places.parameters for key in query.getlist(name)]
        return any(self.keys.is_valid(key) for key in sent if key)

    def _read_scheme(self, scope: Scope, headers: Headers) -> None:
        if self.trusted_proxies and headers.get("x-forwarded-proto") == "https":
            scope["scheme"] = {"http": "https", "ws": "wss"}.get(scope["scheme"], scope["scheme"])
