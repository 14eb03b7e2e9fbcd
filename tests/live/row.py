"""One row of the table: what one operation of one provider answered."""

from dataclasses import dataclass, field

from backend.errors import MalformedResponse, PlanRestricted, ProviderError, QueryRefused
from tests.live.shapes import Shape

OK, NOT_ASKED = "ok", "not_asked"
NOT_CONFIGURED, DISABLED = "not_configured", "disabled"
#: The parser or the provider refused what the other one sent.
REFUSED = (MalformedResponse.reason, QueryRefused.reason)
#: Nothing came back, so that nothing is known about the form of answers.
UNREACHABLE = ("connect_error", "timeout")
#: After these the provider, or this host of it, gets no further call.
FINAL = (*UNREACHABLE, "geo_blocked", "rate_limited", "quota_exhausted", "auth_failed")


@dataclass
class Row:
    """`outcome` is `ok`, the reason of an error, or why no call was made. A row with `problems` has
    failed, one with `notes` has not. `bitcoin` is the price in USD that the answer has."""

    provider: str
    operation: str
    outcome: str = NOT_ASKED
    status: int | None = None
    ms: float | None = None
    size: int = 0
    share: float = 0.0
    rows: int = 0
    refused: int = 0
    bitcoin: float | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shape: Shape | None = None

    @property
    def key(self) -> str:
        return f"{self.provider} {self.operation}"

    @property
    def has_failed(self) -> bool:
        return self.outcome in REFUSED or bool(self.problems)

    @property
    def was_asked(self) -> bool:
        return self.outcome not in (NOT_ASKED, NOT_CONFIGURED, DISABLED)

    def fail(self, error: ProviderError, text: str) -> None:
        """`text` is the error in words, without keys."""
        is_of_plan = isinstance(error, PlanRestricted)
        self.outcome = "plan_restricted" if is_of_plan else error.reason
        self.notes.append(text)
