"""Accounts that can't be asked at the start are asked again, ever less often, and then no more."""

import asyncio
from itertools import pairwise
from typing import cast

import pytest

from backend.orchestration.accounts import learn_accounts
from backend.orchestration.provider import Provider
from backend.settings import CallLimit, Configuration, ProviderSettings, Settings

NOWHERE = "NOBODY_SETS_THIS_"
LIMITED = ProviderSettings(_env_prefix=NOWHERE, _env_file=None, limits=(CallLimit(10, 60.0),))


class Reluctant:
    """Tells at the fifth question."""

    name = "a"

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def learn_account(self, timeout_s: float, *, keeps_limits: bool) -> bool:
        assert timeout_s > 0
        assert keeps_limits, "a user's own limits are taken from him"
        self.asked.append(asyncio.get_running_loop().time())
        return len(self.asked) == 5


@pytest.mark.looptime
async def test_who_cannot_be_asked_is_asked_again_ever_less_often() -> None:
    settings = Settings(_env_prefix=NOWHERE, _env_file=None)
    provider = Reluctant()
    known = Configuration(settings, {"a": LIMITED})
    await learn_accounts([cast("Provider", provider)], known)
    pauses = [later - earlier for earlier, later in pairwise(provider.asked)]
    assert pauses == pytest.approx([60, 600, 6_000, 21_600])
