"""Access control of requests: client limits, sizes, gateway keys, origins of browsers."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.cache.request_fields import Fields
from api.edge.client_address import client_address, normalized_address
from api.edge.client_limits import ACCOUNT, ClientAccount, ClientLimits, Verdict
from api.edge.gateway_keys import GatewayKeys
from api.edge.origins import AllowedOrigins, is_preflight
from api.edge.path_policies import Access, PathPolicies, route_path
from api.edge.problems import problem
from api.edge.request_sizes import has_too_many_parameters, size_error


@dataclass(frozen=True, slots=True)
class Admission:
    """`rate_limit` is the header of the response; None without one. `response` is what answers the
    request instead of a route: a refusal, or the answer to a preflight."""

    rate_limit: bytes | None = None
    response: Response | None = None


class AccessControl:
    """Decides which requests reach the routes, and counts each one for its client.

    `trusted_proxies` is the number of proxies in front of the gateway whose entries in
    X-Forwarded-For are trusted.
    """

    def __init__(
        self,
        policies: PathPolicies,
        *,
        keys: GatewayKeys,
        limits: ClientLimits,
        origins: AllowedOrigins,
        trusted_proxies: int,
    ) -> None:
        self._policies = policies
        self._keys = keys
        self._limits = limits
        self._has_keys, self._has_limits = bool(keys), bool(limits)
        self._origins = origins
        self._trusted_proxies = trusted_proxies

    def check(self, scope: Scope, headers: Headers) -> Admission:
        """Counts an HTTP request for its client, and decides whether a route may answer it.

        Preflights need no key, since browsers send none with them; health probes of the platform
        need none and have no limit.
        """
        access = self._policies.access(route_path(scope))
        preflight = self._origins.preflight(headers) if is_preflight(scope, headers) else None
        if access is Access.PROBE and not has_too_many_parameters(scope):
            return Admission(response=preflight)
        verdict = self.charge(scope)
        rate_limit = verdict.header if verdict is not None else None
        if preflight is not None and (verdict is None or verdict.passes):
            return Admission(rate_limit, preflight)
        self._read_scheme(scope, headers)
        return Admission(rate_limit, self._refusal(scope, headers, access, verdict))

    def admit_cached(self, scope: Scope, fields: Fields) -> bytes | None:
        """Counts a request that the cache can answer. Gives the RateLimit header, which is empty
        without limits. None, and nothing is counted, where `check` would refuse the request."""
        if self._has_keys and not self._keys.admits_fields(fields):
            return None
        if not self._has_limits:
            return b""
        return self._limits.admit(client_address(scope, self._trusted_proxies))

    def check_websocket(self, scope: Scope, headers: Headers) -> bool:
        """Whether the handshake may go on. A public path may still ask for a key after it."""
        verdict = self.charge(scope)
        self._read_scheme(scope, headers)
        access = self._policies.access(route_path(scope))
        return (
            (verdict is None or verdict.passes)
            and (access is not Access.KEY or self._keys.admits(headers))
            and self._origins.admits_websocket(headers)
        )

    def charge(self, scope: Scope) -> Verdict | None:
        """Counts one unit for the client; None where there are no limits. Routes charge further
        units to the account in the scope's state."""
        account = ClientAccount(self._limits, client_address(scope, self._trusted_proxies))
        scope.setdefault("state", {})[ACCOUNT] = account
        return self._limits.hit(account.address) if self._has_limits else None

    def charge_peer(self, peer: Sequence[object] | None) -> None:
        """Counts one unit for the address of a connection. Behind a proxy it is the proxy's, so
        nothing is counted."""
        if self._has_limits and peer and not self._trusted_proxies:
            self._limits.hit(normalized_address(str(peer[0])))

    def _refusal(
        self, scope: Scope, headers: Headers, access: Access, verdict: Verdict | None
    ) -> Response | None:
        request = Request(scope)
        if error := size_error(scope, headers):
            return problem(request, *error, headers={"Connection": "close"})
        if verdict is not None and not verdict.passes:
            policy, wait_s = self._limits.policy, verdict.reset_s
            return problem(
                request,
                "rate_limited",
                f"this address may use {policy} (q units in w seconds; a request is one unit)",
                headers={"Retry-After": str(wait_s)},
                retry_after_seconds=wait_s,
            )
        if access is Access.KEY and not self._keys.admits(headers):
            detail = "send one of the gateway's keys as X-API-Key, or as Authorization: Bearer"
            return problem(request, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
        return None

    def _read_scheme(self, scope: Scope, headers: Headers) -> None:
        if self._trusted_proxies and headers.get("x-forwarded-proto") == "https":
            scope["scheme"] = {"http": "https", "ws": "wss"}.get(scope["scheme"], scope["scheme"])
