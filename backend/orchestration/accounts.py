"""Asks the vendors which limits the paid keys have, at the start and until all are known."""

import asyncio
from collections.abc import Sequence
from itertools import chain, repeat

from backend.orchestration.provider import Provider
from backend.settings import Configuration

#: Waits before accounts that could not be asked are asked again, in seconds; then the last of them.
DELAYS_S = (60.0, 600.0, 6_000.0, 21_600.0)


async def learn_accounts(providers: Sequence[Provider], configuration: Configuration) -> None:
    """Returns when the limits of all accounts are known."""
    for delay_s in chain(DELAYS_S, repeat(DELAYS_S[-1])):
        providers = [one for one in providers if not await _learn(one, configuration)]
        if not providers:
            return
        await asyncio.sleep(delay_s)


async def _learn(provider: Provider, configuration: Configuration) -> bool:
    """Limits that the user has set are kept, whatever the vendor states."""
    has_own = bool(configuration.providers[provider.name].limits)
    timeout_s = configuration.gateway.provider_timeout
    return await provider.learn_account(timeout_s, keeps_limits=has_own)
