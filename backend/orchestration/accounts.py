"""What paid keys are really allowed: asked at the start, and again where nobody could be asked."""

import asyncio
from collections.abc import Sequence

from backend.orchestration.provider import Provider
from backend.settings import Configuration

#: Between two questions for an account that could not be asked.
FIRST_PAUSE_S, PAUSE_GROWTH, LONGEST_PAUSE_S = 60.0, 10, 21_600.0


async def learn_accounts(providers: Sequence[Provider], configuration: Configuration) -> None:
    """Until all are known, ever less often."""
    pause_s = FIRST_PAUSE_S
    while providers := [one for one in providers if not await _learn(one, configuration)]:
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)


async def _learn(provider: Provider, configuration: Configuration) -> bool:
    """A user's own word on limits stands above what a vendor tells."""
    has_own = bool(configuration.providers[provider.name].limits)
    timeout_s = configuration.gateway.provider_timeout
    return await provider.learn_account(timeout_s, keeps_limits=has_own)
