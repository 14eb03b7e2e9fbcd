"""Whether this machine reaches any provider's host at all, and what a user can do if it does not.

Only connections are opened, no request is sent: nothing counts against a limit.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from backend.environment.network import NetworkSettings
from backend.providers.adapter import ProviderSpec
from backend.providers.connection_errors import CERTIFICATE, describe
from backend.providers.registry import REGISTRY
from backend.providers.tunnel import Direct, ToProxy, Tunnel
from backend.settings import Configuration, ProviderSettings

log = logging.getLogger("gateway")

#: Hosts of different providers that are tried at the same time: a few, and if these fail, more.
HOSTS_FIRST, HOSTS_THEN = 4, 8
#: Time limit of the connections, in seconds.
CONNECT_S = 5.0


async def warn_if_unreachable(configuration: Configuration) -> None:
    """Logs one sentence if this machine reaches no provider; of several workers by the first."""
    if configuration.worker > 0:
        return
    urls = [*first_urls(REGISTRY, configuration.providers)]
    if failures := await find_failures(configuration.network, urls):
        log.warning("%s", no_network(failures, configuration.network))


def first_urls(
    specs: Sequence[ProviderSpec], settings: Mapping[str, ProviderSettings]
) -> Iterator[str]:
    """The first base URL of each provider that is on."""
    for spec in specs:
        own = settings[spec.name]
        plan = (spec.keyed if own.api_key else None) or spec.keyless
        if own.enabled and plan is not None:
            yield (own.base_url or plan.base_urls)[0]


async def find_failures(network: NetworkSettings, urls: Sequence[str]) -> tuple[str, ...]:
    """Why each of the first hosts cannot be connected to; empty as soon as one of them can."""
    first, more = urls[:HOSTS_FIRST], urls[HOSTS_FIRST : HOSTS_FIRST + HOSTS_THEN]
    failures = await _failures(network, first)
    if failures and more:
        others = await _failures(network, more)
        return (*failures, *others) if others else ()
    return failures


async def _failures(network: NetworkSettings, urls: Sequence[str]) -> tuple[str, ...]:
    tasks = [asyncio.create_task(_failure(network, url)) for url in urls]
    try:
        failures = []
        for next_done in asyncio.as_completed(tasks):
            failure = await next_done
            if failure is None:
                return ()
            failures.append(failure)
        return tuple(failures)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def no_network(failures: Sequence[str], network: NetworkSettings) -> str:
    """The sentence for a user whose machine reaches no provider, for these reasons."""
    (reason, count), *others = Counter(failures).most_common()
    where = f" (at {count} of {len(failures)})" if others else ""
    return f"no provider can be reached: {reason}{where}; {_advice(reason, network)}"


def _advice(reason: str, network: NetworkSettings) -> str:
    if CERTIFICATE in reason:
        return (
            "if a proxy or firewall of your own signs certificates anew, set SSL_CERT_FILE to the"
            " file of its authority"
        )
    if network.proxies:
        named = " and ".join(f"{one.variable}={one.address}" for one in network.proxies)
        return f"calls leave through {named}: check that variable and the proxy"
    return (
        "check the connection of this machine, and if it needs a proxy to reach the internet, set"
        " HTTPS_PROXY=http://host:port"
    )


async def _failure(network: NetworkSettings, url: str) -> str | None:
    try:
        async with asyncio.timeout(CONNECT_S):
            await _connect(network, url)
    except Exception as error:  # whatever the library raises, the host was not reached
        return describe(error)
    return None


async def _connect(network: NetworkSettings, url: str) -> None:
    """As a call would, without a request. Raises an error of httpcore."""
    parts = urlsplit(url)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port, tls = parts.port or (443 if is_secure else 80), network.tls()
    proxy = network.proxy_for(parts.scheme, host, parts.port)
    if proxy is None:
        stream = await Direct().connect_tcp(host, port)
    elif is_secure or proxy.scheme == "socks5":
        stream = await Tunnel(proxy, tls).connect_tcp(host, port)
    else:  # plain HTTP is requested from the proxy itself
        stream = await ToProxy().connect_tcp(proxy.host, proxy.port)
    try:
        if is_secure:
            stream = await stream.start_tls(tls, host)
    finally:
        with suppress(Exception):
            await stream.aclose()
