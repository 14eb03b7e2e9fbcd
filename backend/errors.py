"""The error tree: what can go wrong, and as class attributes what each kind of trouble does.

A `ProviderError` is one provider's failed attempt and never reaches a reader; a `GatewayError`
is what a reader is told. Foreign exceptions become one of these at the edge (`client.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from backend.models.answer import Attempt
from backend.models.status import OFF, ProviderState, Refusal


class ProviderError(Exception):
    """One provider could not answer one call.

    `retry_after_s` is the wait that the provider named, in seconds; None if it named none.
    """

    reason: ClassVar[str]
    #: The state that the failure puts the provider in; None: it says nothing about its health.
    effect: ClassVar[ProviderState | None] = None
    #: An equivalent host may be asked at once.
    moves_host: ClassVar[bool] = False
    #: The provider may have counted the call against its limits.
    was_sent: ClassVar[bool] = True
    #: Set when the attempt that it ended is over: the attempt itself, and why there is no answer.
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
    """We have no file descriptor left for a connection: our trouble, and nothing was sent."""

    reason = "connect_error"
    was_sent = False


class ConnectionBroken(ProviderError):
    """The connection was lost after the request had left."""

    reason = "connect_error"
    effect = ProviderState.COOLDOWN


class UpstreamFailed(ProviderError):
    reason = "upstream_5xx"
    effect = ProviderState.COOLDOWN


class BatchRefused(ProviderError):
    """The node accepts no JSON-RPC batches; its parts can be sent one by one."""

    reason = "upstream_5xx"
    effect = ProviderState.COOLDOWN


class MalformedResponse(ProviderError):
    """An answer that does not parse, or that no honest provider would give."""

    reason = "bad_payload"
    effect = ProviderState.COOLDOWN


class UnexpectedFailure(ProviderError):
    """An exception that nobody foresaw ended the attempt; the log has its traceback.

    It counts as the provider's failure, so that the others are asked, and it is asked less often.
    """

    reason = "bad_payload"
    effect = ProviderState.COOLDOWN


class Moved(ProviderError):
    """The same host has it at `location`. Followed where calls are counted; it reaches nobody."""

    reason = "bad_payload"

    def __init__(self, location: str, http_status: int) -> None:
        super().__init__(f"HTTP {http_status}", http_status=http_status)
        self.location = location


class RateLimited(ProviderError):
    reason = "rate_limited"
    effect = ProviderState.RATE_LIMITED


class QuotaSpent(ProviderError):
    """A day's or month's allowance is gone, by the provider's own word."""

    reason = "quota_exhausted"
    effect = ProviderState.QUOTA_EXHAUSTED


class AuthFailed(ProviderError):
    reason = "auth_failed"
    effect = ProviderState.AUTH_FAILED


class GeoBlocked(ProviderError):
    """This host does not serve our address: a legal block (451) or a firewall (403)."""

    reason = "geo_blocked"
    effect = ProviderState.GEO_BLOCKED
    moves_host = True


class PlanRestricted(ProviderError):
    """The plan does not include this operation; other operations are unharmed."""

    reason = "unsupported"


class QueryRefused(ProviderError):
    """The question is at fault, not the provider."""

    reason = "unsupported"


class NotAffordable(ProviderError):
    """Our own guard refused: the call would have gone over a limit. Nothing was sent."""

    reason = "rate_limited"
    was_sent = False


class NoTimeLeft(ProviderError):
    """The request's time was over before a call was sent, or all but over. Says nothing of them."""

    reason = "timeout"
    was_sent = False


class Busy(ProviderError):
    """As many calls as we allow ourselves are under way. Nothing was sent."""

    reason = "rate_limited"
    was_sent = False


class LeaseRefused(ProviderError):
    """Our own breaker refused: somebody else's probe is under way. Nothing was sent."""

    reason = "cooldown"
    was_sent = False


class GatewayError(Exception):
    """What a reader is told. `code` is the contract's."""

    code: ClassVar[str]

    @property
    def reason(self) -> str:
        """In one word of the contract why there is nothing fresh."""
        return "timeout"


class InvalidParameter(GatewayError):
    code = "invalid_parameter"

    def __init__(self, parameter: str, detail: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter = parameter
        self.detail = detail
        self.allowed = tuple(allowed)


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A query parameter that a route does not know, and which ones were probably meant."""

    parameter: str
    suggestions: tuple[str, ...] = ()

    @property
    def detail(self) -> str:
        meant = f" (did you mean {' or '.join(self.suggestions)}?)" if self.suggestions else ""
        return f"unknown parameter{meant}"


class UnknownParameter(GatewayError):
    """At least one query parameter that the route does not know; `allowed` are those it knows."""

    code = "unknown_parameter"

    def __init__(self, unknown: Sequence[UnknownName], allowed: Sequence[str]) -> None:
        wrong = "; ".join(f"{one.parameter}: {one.detail}" for one in unknown)
        super().__init__(f"{wrong}; allowed: {', '.join(allowed) or 'none'}")
        self.unknown = tuple(unknown)
        self.allowed = tuple(allowed)


class Unsupported(GatewayError):
    """A value that is well formed, and that no provider can serve; `available` are those served."""

    code = "unsupported"

    def __init__(self, parameter: str, value: str, available: Sequence[str]) -> None:
        self.detail = f"{value[:64]!r} is not available; available: {', '.join(available)}"
        super().__init__(f"{parameter}: {self.detail}")
        self.parameter = parameter
        self.available = tuple(available)


class UnknownSymbol(GatewayError):
    code = "unknown_symbol"

    def __init__(self, symbol: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(f"no coin is known as {symbol!r}")
        self.suggestions = tuple(suggestions)


class NotReady(GatewayError):
    """The question cannot be decided yet, as nothing has told us the universe of coins."""

    code = "not_ready"


class ClientLimitReached(GatewayError):
    """This client's questions cost more units of work than it has left. Nothing was asked."""

    code = "rate_limited"

    def __init__(self, units: int, left: int, retry_after_s: int) -> None:
        super().__init__(f"this costs {units} units of the client's limit, {left} are left")
        self.retry_after_s = retry_after_s

    @property
    def reason(self) -> str:
        return "rate_limited"


class DeadlineExceeded(GatewayError):
    code = "deadline_exceeded"


class SourceUnavailable(GatewayError):
    """No provider answered. `refusals` holds the reason of each provider, those that were called
    first; `tried` holds the attempts that were made."""

    def __init__(
        self, detail: str, refusals: Sequence[Refusal] = (), tried: Sequence[Attempt] = ()
    ) -> None:
        super().__init__(detail)
        self.refusals = tuple(refusals)
        self.tried = tuple(tried)

    @property
    def retry_at(self) -> datetime | None:
        """The earliest time at which a retry makes sense, None if none is known."""
        return min((refusal.until for refusal in self.refusals if refusal.until), default=None)

    @property
    def reason(self) -> str:
        """The outcome of the last attempt; if none was made, the last refusal of a provider that
        is switched on, else of any."""
        on = [refusal.reason for refusal in self.refusals if refusal.reason not in OFF]
        reasons = [attempt.outcome for attempt in self.tried] or on
        reasons = reasons or [refusal.reason for refusal in self.refusals]
        return reasons[-1] if reasons else super().reason


class NoProviderConfigured(SourceUnavailable):
    code = "no_provider_configured"


class AllProvidersFailed(SourceUnavailable):
    code = "all_providers_failed"


class QuotaExhausted(SourceUnavailable):
    code = "quota_exhausted"
