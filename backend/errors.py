"""The error tree. Class attributes say what each kind of error means for the provider.

A `ProviderError` ends the attempt of one provider and never reaches a client of the gateway; a
`GatewayError` is answered to the client. Exceptions of libraries become a ProviderError in
`providers/client.py` and `providers/push_client.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from backend.models.answer import Attempt
from backend.models.status import OFF, ProviderState, Refusal


class ProviderError(Exception):
    """One provider failed to answer one call.

    `retry_after_s` is the wait that the provider named, in seconds; None if it named none.
    """

    reason: ClassVar[str]
    #: The state that the error puts the provider in; None if it says nothing about its health.
    effect: ClassVar[ProviderState | None] = None
    #: An equivalent host may be called at once.
    moves_host: ClassVar[bool] = False
    #: The provider may have counted the call against its limits.
    was_sent: ClassVar[bool] = True
    #: Set by the provider at the end of the attempt.
    attempt: Attempt
    refusal: Refusal

    def __init__(
        self,
        detail: str = "",
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail or self.reason)
        self.http_status = http_status
        self.retry_after_s = retry_after_s


class ProviderTimeout(ProviderError):
    reason = "timeout"
    effect = ProviderState.COOLDOWN


class ConnectFailed(ProviderError):
    reason = "connect_error"
    effect = ProviderState.COOLDOWN
    moves_host = True
    was_sent = False


class NoDescriptor(ProviderError):
    """This process has no file descriptor left for a connection. Nothing was sent."""

    reason = "connect_error"
    was_sent = False


class ConnectionBroken(ProviderError):
    """The connection was lost after the request was sent."""

    reason = "connect_error"
    effect = ProviderState.COOLDOWN


class UpstreamFailed(ProviderError):
    reason = "upstream_5xx"
    effect = ProviderState.COOLDOWN


class BatchRefused(UpstreamFailed):
    """The node accepts no JSON-RPC batches; the calls can be sent one by one."""


class PathUnknown(UpstreamFailed):
    """The host does not have this path; it may have the call's substitute."""


class MalformedResponse(ProviderError):
    """The answer cannot be parsed, or its content cannot be true."""

    reason = "bad_payload"
    effect = ProviderState.COOLDOWN


class UnexpectedFailure(ProviderError):
    """An unexpected exception ended the attempt; the log has its traceback."""

    reason = "bad_payload"
    effect = ProviderState.COOLDOWN


class Moved(ProviderError):
    """A redirect to `location` on the same host. The endpoint follows it, as it counts calls."""

    reason = "bad_payload"

    def __init__(self, location: str, http_status: int) -> None:
        super().__init__(f"HTTP {http_status}", http_status=http_status)
        self.location = location


class RateLimited(ProviderError):
    reason = "rate_limited"
    effect = ProviderState.RATE_LIMITED


class QuotaSpent(ProviderError):
    """The provider says that a daily or monthly quota is used up."""

    reason = "quota_exhausted"
    effect = ProviderState.QUOTA_EXHAUSTED


class AuthFailed(ProviderError):
    reason = "auth_failed"
    effect = ProviderState.AUTH_FAILED


class GeoBlocked(ProviderError):
    """The host refuses our IP address: a legal block (451) or a firewall (403)."""

    reason = "geo_blocked"
    effect = ProviderState.GEO_BLOCKED
    moves_host = True


class PlanRestricted(ProviderError):
    """The plan does not include this operation; it may include others."""

    reason = "unsupported"


class QueryRefused(ProviderError):
    """The query is at fault, not the provider."""

    reason = "unsupported"


class HostLacksPath(QueryRefused):
    """This host of the vendor does not have the path; another one may."""

    moves_host = True


class QuestionBlocked(ProviderError):
    """A question that is passed through was refused like a blocked address or a wrong key, without
    a code. A reader chose it: only the gateway's own calls tell whether the vendor refuses us."""

    reason = "geo_blocked"
    moves_host = True


class NotAffordable(ProviderError):
    """Our rate-limit guard refused the call. Nothing was sent."""

    reason = "rate_limited"
    was_sent = False


class NotRecorded(ProviderError):
    """The shared store did not record the call, so that it was not made: this process does not lead
    the cluster any more, or the store is away."""

    reason = "rate_limited"
    was_sent = False


class NoTimeLeft(ProviderError):
    """The deadline left too little time for a call. It says nothing about the provider."""

    reason = "timeout"
    was_sent = False


class Busy(ProviderError):
    """The largest number of concurrent calls is under way. Nothing was sent."""

    reason = "rate_limited"
    was_sent = False


class LeaseRefused(ProviderError):
    """The circuit breaker refused the attempt, as a probe is under way. Nothing was sent."""

    reason = "cooldown"
    was_sent = False


class GatewayError(Exception):
    """An error that is answered to the client. `code` is part of the contract."""

    code: ClassVar[str]
    #: Why there is no fresh answer: a word of the contract.
    reason: str = "timeout"


class InvalidParameter(GatewayError):
    code = "invalid_parameter"

    def __init__(self, parameter: str, detail: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter = parameter
        self.detail = detail
        self.allowed = tuple(allowed)


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A query parameter that a route does not know, with similar names that it knows."""

    parameter: str
    suggestions: tuple[str, ...] = ()

    @property
    def detail(self) -> str:
        hint = f" (did you mean {' or '.join(self.suggestions)}?)" if self.suggestions else ""
        return f"unknown parameter{hint}"


class UnknownParameter(GatewayError):
    """At least one query parameter is unknown to the route; `allowed` are the known ones."""

    code = "unknown_parameter"

    def __init__(self, unknown: Sequence[UnknownName], allowed: Sequence[str]) -> None:
        wrong = "; ".join(f"{one.parameter}: {one.detail}" for one in unknown)
        super().__init__(f"{wrong}; allowed: {', '.join(allowed) or 'none'}")
        self.unknown = tuple(unknown)
        self.allowed = tuple(allowed)


class Unsupported(GatewayError):
    """A valid value that no provider can serve; `available` are the values served."""

    code = "unsupported"

    def __init__(self, parameter: str, value: str, available: Sequence[str]) -> None:
        self.detail = f"{value[:64]!r} is not available; available: {', '.join(available)}"
        super().__init__(f"{parameter}: {self.detail}")
        self.parameter = parameter
        self.available = tuple(available)


class UnknownSymbol(GatewayError):
    code = "unknown_symbol"

    def __init__(self, symbol: str, suggestions: Sequence[str] = (), where: str = "") -> None:
        super().__init__(f"no coin {where}is known as {symbol!r}")
        self.symbol = symbol
        self.suggestions = tuple(suggestions)


class NotReady(GatewayError):
    """The list of coins is not loaded yet, so the symbol cannot be resolved."""

    code = "not_ready"


class ClientLimitReached(GatewayError):
    """The request costs more units than the client has left. No provider was called."""

    code = "rate_limited"
    reason = "rate_limited"

    def __init__(self, units: int, left: int, retry_after_s: int) -> None:
        super().__init__(f"the request costs {units} units of the client's limit, {left} are left")
        self.retry_after_s = retry_after_s


class DeadlineExceeded(GatewayError):
    code = "deadline_exceeded"


class SourceUnavailable(GatewayError):
    """No provider answered: the reason of each provider, and the attempts that were made.

    `reason` is that of the last attempt, else of the last provider that is on, else of the last.
    """

    def __init__(
        self, detail: str, refusals: Sequence[Refusal] = (), tried: Sequence[Attempt] = ()
    ) -> None:
        super().__init__(detail)
        self.refusals = tuple(refusals)
        self.tried = tuple(tried)
        #: The earliest time at which a retry makes sense, None if none is known.
        self.retry_at = min((each.until for each in self.refusals if each.until), default=None)
        reasons = [refusal.reason for refusal in self.refusals]
        on = [reason for reason in reasons if reason not in OFF]
        outcomes = [attempt.outcome for attempt in self.tried]
        self.reason = (outcomes or on or reasons or [self.reason])[-1]
        #: No provider that is on can ever answer this query.
        self.is_unsupported = set(on) == {"unsupported"}


class NoProviderConfigured(SourceUnavailable):
    code = "no_provider_configured"


class AllProvidersFailed(SourceUnavailable):
    code = "all_providers_failed"


class QuotaExhausted(SourceUnavailable):
    code = "quota_exhausted"
