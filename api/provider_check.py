"""`--check`: a line for each provider and for each data route, on standard output."""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from backend import __version__
from backend.environment import SettingsError, invalid_settings
from backend.errors import ConnectFailed, ProviderTimeout
from backend.gateway import read_configuration
from backend.models.status import ProviderState
from backend.observability.event_log import EventLog
from backend.observability.logs import one_line, open_logs
from backend.provider_check import ROUTES, CheckedProvider, open_check
from backend.providers.reach import no_network
from backend.providers.registry import REGISTRY
from backend.redaction import Redactor
from backend.settings import Configuration

#: The exit codes: every data route has a provider; one has none; a setting is invalid.
ALL_ANSWERED, UNANSWERED, INVALID = 0, 1, 2
#: Reasons of a call that reached no host.
UNREACHED = (ConnectFailed.reason, ProviderTimeout.reason)


def check_providers() -> int:
    """Asks each enabled provider once, prints what was found, and returns the exit code."""
    try:
        configuration = read_configuration()
    except SettingsError as error:
        sys.stderr.write(f"{invalid_settings(error)}\n")
        return INVALID
    settings, redact = configuration.gateway, Redactor(configuration.secrets())
    with open_logs(settings.log_dir, "ERROR", redact):
        loop = asyncio.new_event_loop()  # not closed: it would wait for hanging name lookups
        loop.set_default_executor(ThreadPoolExecutor(len(REGISTRY)))  # these delay no other ones
        return loop.run_until_complete(_check(configuration, redact))


async def _check(configuration: Configuration, redact: Redactor) -> int:
    def tell(line: str) -> None:
        with suppress(OSError):  # the reader of the output may leave (`| head`)
            sys.stdout.write(redact(one_line(line)).rstrip() + "\n")
            sys.stdout.flush()

    tell(f"crypto-gateway {__version__} asks each enabled provider once")
    for warning in configuration.warnings:
        tell(f"warning: {warning}")
    for proxy in configuration.network.proxies:
        tell(f"providers are called through proxy {proxy.address} ({proxy.variable})")
    tell("")
    async with open_check(configuration, EventLog()) as check:
        providers = []
        async for one in check.ask_all():
            providers.append(one)
            tell(_line(one))
        names = [one.spec.name for one in providers if one.can_answer]
        who = {route: check.answering(query, names) for route, query in ROUTES.items()}
    asked = [one for one in providers if one.latency_ms is not None]
    if asked and all(one.outcome in UNREACHED for one in asked):
        tell("")
        tell(no_network([one.detail for one in asked], configuration.network))
    tell("")
    for route, answering in who.items():
        tell(f"{route:<19} {', '.join(answering) or 'nobody answers'}")
    return ALL_ANSWERED if all(who.values()) else UNANSWERED


def _line(one: CheckedProvider) -> str:
    latency = "" if one.latency_ms is None else f"{one.latency_ms:.0f} ms"
    outcome = "reachable" if one.is_ok else one.outcome
    return f"{one.spec.name:<19} {outcome:<15} {latency:>8}  {'; '.join(_facts(one))}"


def _facts(one: CheckedProvider) -> Iterator[str]:
    """The key and what is left of the limits; or why not, and the variable to set."""
    if not one.is_ok:
        yield from filter(None, (one.detail, _advice(one)))
        return
    key = one.spec.key_variable
    if one.has_key:
        yield f"key accepted, plan {one.plan}"
    elif one.spec.keyed is not None:
        yield f"no key, {key} adds one"
    else:
        yield "no key needed"
    yield from (
        f"{quota.remaining:,} of {quota.limit:,} left per {quota.window}"
        for quota in one.status.quotas
    )


def _advice(one: CheckedProvider) -> str:
    name = one.spec.name.upper()
    match one.outcome:
        case ProviderState.AUTH_FAILED:
            without = ", and it is used without one" if one.can_answer else ""
            return f"the key in {one.spec.key_variable} is refused{without}"
        case ProviderState.GEO_BLOCKED:
            return f"{name}_BASE_URL may name another host, {name}_ENABLED=false switches it off"
    return one.status.hint or ""
