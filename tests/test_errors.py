"""The reason that an error gives if no provider answered."""

import pytest

from backend.errors import SourceUnavailable
from backend.models.answer import Attempt
from backend.models.status import Refusal


@pytest.mark.parametrize(
    ("called", "not_called", "reason"),
    [
        (["timeout"], ["rate_limited"], "timeout"),
        (["timeout", "bad_payload"], [], "bad_payload"),
        ([], ["rate_limited", "disabled", "not_configured"], "rate_limited"),
        ([], ["not_configured", "disabled"], "disabled"),
    ],
)
def test_the_reason_is_that_of_the_last_attempt_else_of_the_last_provider_that_is_on(
    called: list[str], not_called: list[str], reason: str
) -> None:
    refusals = [Refusal("a", each) for each in (*called, *not_called)]
    attempts = [Attempt("a", each, 5.0) for each in called]
    assert SourceUnavailable("nobody", refusals, attempts).reason == reason
