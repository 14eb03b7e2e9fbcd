"""Accounts that cannot be asked at the start are asked again, at growing intervals."""

import asyncio
from itertools import pairwise

import pytest

from backend.environment.forms import CallLimit
from backend.orchestration import accounts
from backend.orchestration.provider import Provider
from backend.settings import Configuration, ProviderSettings, Settings
from tests.clocks import LoopClock
from tests.walk import Walk

NOWHERE = "NOBODY_SETS_THIS_"
LIMITED = ProviderSettings(_env_prefix=NOWHERE, _env_file=None, limits=(CallLimit(10, 60.0),))


@pytest.mark.looptime
async def test_an_account_that_cannot_be_asked_is_asked_again_at_growing_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    async def learn(_provider: Provider, timeout_s: float, *, keeps_limits: bool) -> bool:
        assert timeout_s > 0
        assert keeps_limits, "the user's own limits are kept"
        asked.append(asyncio.get_running_loop().time())
        return len(asked) == 5

    monkeypatch.setattr(accounts, "learn_account", learn)
    settings = Settings(_env_prefix=NOWHERE, _env_file=None)
    provider = Walk(LoopClock()).add("a")
    await accounts.learn_accounts([provider], Configuration(settings, {"a": LIMITED}))
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses == pytest.approx([60, 600, 6_000, 21_600])
