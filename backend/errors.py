"""The error tree: what can go wrong, and as class attributes what each kind of trouble does.

A `ProviderError` is one provider's failed attempt and never reaches a reader; a `GatewayError`
is what a reader is told. Foreign exceptions become one of these at the edge (`client.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class Effect(StrEnum):
    """What a failed attempt does to the provider's health."""

    NEUTRAL = "neutral"
    COOLDOWN = "cooldown"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH_FAILED = "auth_failed"
    GEO_BLOCKED = "geo_blocked"


class ProviderError(Exception):
    """One provider could not answer one call.

    `retry_after_s` is what the provider itself said, in seconds; None when it said nothing.
    `latency_ms` is the length of the whole attempt, once it is over.
    """

    reason: ClassVar[str]
    effect: ClassVar[Effect] = Effect.NEUTRAL
    #: An equivalent host may be asked at once.
    moves_host: ClassVar[bool] = False
    #: The provider may have counted the call against its limits.
    was_sent: ClassVar[bool] = True

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
        self.latency_ms = 0.0


class ProviderTimeout(ProviderError):
    reason = "timeout"
    effect = Effect.COOLDOWN


class ConnectFailed(ProviderError):
    reason = "connect_error"
    effect = Effect.COOLDOWN
    moves_host = True
    was_sent = False


class NoDescriptor(ProviderError):
    """We have no file descriptor left for a connection: our trouble, and nothing was sent."""

    reason = "connect_error"
    was_sent = False


class ConnectionBroken(ProviderError):
    """The connection was lost after the request had left."""

    reason = "connect_error"
    effect = Effect.COOLDOWN


class UpstreamFailed(ProviderError):
    reason = "upstream_5xx"
    effect = Effect.COOLDOWN


class BatchRefused(ProviderError):
    """The node accepts no JSON-RPC batches; its parts can be sent one by one."""

    reason = "upstream_5xx"
    effect = Effect.COOLDOWN


class MalformedResponse(ProviderError):
    """An answer that does not parse, or that no honest provider would give."""

    reason = "bad_payload"
    effect = Effect.COOLDOWN


class UnexpectedFailure(ProviderError):
    """An exception that nobody foresaw ended the attempt; the log has its traceback.

    It counts as the provider's failure, so that the others are asked, and it is asked less often.
    """

    reason = "bad_payload"
    effect = Effect.COOLDOWN


class Moved(ProviderError):
    """The same host has it at `location`. Followed where calls are counted; it reaches nobody."""

    reason = "bad_payload"

    def __init__(self, location: str, http_status: int) -> None:
        super().__init__(f"HTTP {http_status}", http_status=http_status)
        self.location = location


class RateLimited(ProviderError):
    reason = "rate_limited"
    effect = Effect.RATE_LIMITED


class QuotaSpent(ProviderError):
    """A day's or month's allowance is gone, by the provider's own word."""

    reason = "quota_exhausted"
    effect = Effect.QUOTA_EXHAUSTED


class AuthFailed(ProviderError):
    reason = "auth_failed"
    effect = Effect.AUTH_FAILED


class GeoBlocked(ProviderError):
    """This host does not serve our address: a legal block (451) or a firewall (403)."""

    reason = "geo_blocked"
    effect = Effect.GEO_BLOCKED
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one provider did not answer a query, and the soonest instant that it may.

    `latency_ms` is the length of the failed attempt, None when it was not asked at all; `detail`
    says more, in words. `window` is the limit that stood in the way, where it was one of ours.
    """

    provider: str
    reason: str
    retry_at: datetime | None = None
    latency_ms: float | None = None
    detail: str | None = None
    window: str | None = None


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


#: Reasons of providers that their owner has not switched on.
SWITCHED_OFF = ("disabled", "not_configured")


class SourceUnavailable(GatewayError):
    """No provider answered; `refusals` says why, provider by provider."""

    def __init__(self, detail: str, refusals: Sequence[Refusal] = ()) -> None:
        super().__init__(detail)
        self.refusals = tuple(refusals)

    @property
    def retry_at(self) -> datetime | None:
        """The soonest instant at which another try makes sense, None where none is known."""
        return min((r.retry_at for r in self.refusals if r.retry_at), default=None)

    @property
    def reason(self) -> str:
        """What the last one tried said, or the last one that was not even tried. One that is
        switched off says nothing, where another is on."""
        asked = [refusal for refusal in self.refusals if refusal.latency_ms is not None]
        on = [refusal for refusal in self.refusals if refusal.reason not in SWITCHED_OFF]
        named = (asked or on or self.refusals)[-1:]
        return named[0].reason if named else super().reason


class NoProviderConfigured(SourceUnavailable):
    code = "no_provider_configured"


class AllProvidersFailed(SourceUnavailable):
    code = "all_providers_failed"


class QuotaExhausted(SourceUnavailable):
    code = "quota_exhausted"
