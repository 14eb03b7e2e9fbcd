"""Asks the vendors which limits the paid keys have, at the start and until all are known."""

import asyncio
from collections.abc import Sequence
from itertools import chain, repeat

from backend.errors import MalformedResponse, ProviderError, QueryRefused
from backend.models.account import AccountQuery
from backend.models.status import ProviderState, Refusal
from backend.orchestration.provider import Provider
from backend.settings import Configuration

#: Waits before accounts that could not be asked are asked again, in seconds; then the last of them.
DELAYS_S = (60.0, 600.0, 6_000.0, 21_600.0)


async def learn_accounts(providers: Sequence[Provider], configuration: Configuration) -> None:
    """Returns when the limits of all accounts are known. Limits that the user has set are kept."""
    timeout_s = configuration.gateway.provider_timeout
    unknown, delays_s = list(providers), chain(DELAYS_S, repeat(DELAYS_S[-1]))
    while True:
        for provider in list(unknown):
            keeps_limits = bool(configuration.providers[provider.name].limits)
            if await learn_account(provider, timeout_s, keeps_limits=keeps_limits):
                unknown.remove(provider)
        if not unknown:
            return
        await asyncio.sleep(next(delays_s))


async def learn_account(provider: Provider, timeout_s: float, *, keeps_limits: bool) -> bool:
    """Adopts the limits of the key's own plan, where the vendor has a call that returns them.

    False where the call was not possible now but may be later, or where its result was not saved:
    what others used of the account must outlive a change of the leader.
    """
    offer = provider.offer(AccountQuery())
    if isinstance(offer, Refusal):
        return not provider.is_configured or offer.reason == "unsupported"
    if provider.state is not ProviderState.ACTIVE:
        return False  # the first attempt after a failure is for a client's query
    try:
        answer = await provider.fetch(AccountQuery(), timeout_s, offer=offer)
    except (MalformedResponse, QueryRefused):
        return True
    except ProviderError:
        return False
    endpoint = offer.planned.endpoint
    endpoint.guard.redeclare(answer.data, keeps_limits=keeps_limits)
    return endpoint.ledger is None or await endpoint.ledger.save()
