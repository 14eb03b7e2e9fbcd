"""What an answer that nobody could give says of itself."""

import pytest

from backend.errors import Refusal, SourceUnavailable


def refusal(reason: str, latency_ms: float | None = None) -> Refusal:
    return Refusal("a", reason, latency_ms=latency_ms)


@pytest.mark.parametrize(
    ("refusals", "reason"),
    [
        ([refusal("timeout", 5.0), refusal("rate_limited")], "timeout"),
        ([refusal("timeout", 5.0), refusal("bad_payload", 6.0)], "bad_payload"),
        ([refusal("rate_limited"), refusal("disabled"), refusal("not_configured")], "rate_limited"),
        ([refusal("not_configured"), refusal("disabled")], "disabled"),
    ],
)
def test_the_reason_is_of_who_was_asked_last_else_of_who_is_on(
    refusals: list[Refusal], reason: str
) -> None:
    assert SourceUnavailable("nobody", refusals).reason == reason
