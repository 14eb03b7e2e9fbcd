"""Errors as a model reads them: what is wrong, and what to do next."""

import math
from collections.abc import Sequence
from datetime import datetime

from api.facades.mcp.answers import MAX_ERROR_LENGTH, cut
from backend.errors import (
    ClientLimitReached,
    GatewayError,
    InvalidParameter,
    NoProviderConfigured,
    SourceUnavailable,
    UnknownSymbol,
    Unsupported,
)
from backend.models.status import OFF, Refusal

#: Providers whose reasons an error names.
MAX_PROVIDERS = 6


def advice(error: GatewayError, now: datetime) -> str:
    """The text of a tool's error."""
    return cut(f"{error}. {_next_step(error, now)}", MAX_ERROR_LENGTH)


def _next_step(error: GatewayError, now: datetime) -> str:
    match error:
        case UnknownSymbol():
            guess = f"Did you mean {', '.join(error.suggestions)}? " if error.suggestions else ""
            return f"{guess}Call find_coin with a part of the coin's name."
        case InvalidParameter() | Unsupported():
            return "Call the tool again with a value that its schema allows."
        case ClientLimitReached():
            return f"Retry in {error.retry_after_s} s."
        case NoProviderConfigured():
            return "The gateway's operator has to enable one; get_status shows which are off."
        case SourceUnavailable():
            return f"{_reasons(error.refusals)}{_retry(error.retry_at, now)}"
    return "Retry in some seconds; get_status shows the state of the providers."


def _reasons(refusals: Sequence[Refusal]) -> str:
    on = [one for one in refusals if one.reason not in OFF]
    named = ", ".join(f"{one.provider}: {one.reason}" for one in on[:MAX_PROVIDERS])
    more = f" and {len(on) - MAX_PROVIDERS} more" if len(on) > MAX_PROVIDERS else ""
    return f"Reasons: {named}{more}. " if named else ""


def _retry(at: datetime | None, now: datetime) -> str:
    wait_s = max(1, math.ceil((at - now).total_seconds())) if at else None
    wait = f"in {wait_s} s" if wait_s else "in a minute"
    return f"Retry {wait}, and do not guess the data; get_status shows the state of the providers."
