"""Whether any host can be reached, over real sockets; and the sentence for a user if none can."""

import socket

import pytest

from backend.environment.network import NetworkSettings, read_network
from backend.providers.reach import (
    HOSTS_FIRST,
    HOSTS_THEN,
    find_failures,
    first_urls,
    no_network,
)
from backend.providers.registry import REGISTRY
from backend.settings import ProviderSettings
from tests.providers.raw_server import RawServer, answer, raw_server
from tests.world.proxies import HttpProxy, SocksProxy

REFUSED = "connection refused"


def network(**environment: str) -> NetworkSettings:
    return read_network(environment)[0]


@pytest.fixture
def closed() -> str:
    """The URL of a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def is_untouched(raw: RawServer) -> bool:
    return raw.connections == 1 and raw.requests == []


async def test_one_host_that_can_be_reached_is_enough_and_gets_no_request(closed: str) -> None:
    async with raw_server(answer(b"{}")) as raw:
        assert await find_failures(network(), [closed, closed, raw.url]) == ()
        assert is_untouched(raw)


async def test_each_failure_is_described(closed: str) -> None:
    async with raw_server(answer(b"{}"), tls=True) as raw:
        failures = await find_failures(network(), [closed, raw.url])
    assert sorted(failures) == [
        REFUSED,
        "the certificate is not accepted: unable to get local issuer certificate",
    ]


async def test_further_hosts_are_tried_before_none_counts_as_reached(closed: str) -> None:
    async with raw_server(answer(b"{}")) as raw:
        first = [closed] * HOSTS_FIRST
        assert await find_failures(network(), [*first, raw.url]) == ()
        many = [closed] * (HOSTS_FIRST + HOSTS_THEN)
        assert await find_failures(network(), [*many, raw.url]) == (REFUSED,) * len(many)
        assert raw.connections == 1


async def test_without_hosts_there_is_no_failure() -> None:
    assert await find_failures(network(), []) == ()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("url", ["http://host.example:1", "https://host.example:1"])
async def test_a_proxy_that_is_away_is_the_failure(closed: str, scheme: str, url: str) -> None:
    proxy = closed.replace("http", scheme, 1)
    failures = await find_failures(network(ALL_PROXY=proxy), [url])
    assert failures == ("the proxy cannot be reached: connection refused",)


async def test_hosts_are_reached_through_the_proxy(closed: str) -> None:
    async with raw_server(answer(b"{}")) as raw:
        async with SocksProxy() as proxy:
            settings = network(ALL_PROXY=f"socks5://{proxy.address}")
            assert await find_failures(settings, [raw.url]) == ()
            assert proxy.asked == [raw.url.removeprefix("http://")]
        async with HttpProxy() as http:
            settings = network(ALL_PROXY=f"http://{http.address}")
            assert await find_failures(settings, [raw.url]) == ()
            secure = closed.replace("http:", "https:")
            assert len(await find_failures(settings, [secure])) == 1
            assert http.asked == [secure.removeprefix("https://")]
        assert raw.requests == []


def test_the_sentence_names_the_variable_for_a_proxy() -> None:
    told = no_network([REFUSED, REFUSED], network())
    assert told.startswith("no provider can be reached: connection refused; ")
    assert told.endswith("set HTTPS_PROXY=http://host:port")
    assert "(at 2 of 3)" in no_network([REFUSED, REFUSED, "no route to host"], network())


def test_the_sentence_names_the_proxy_in_use_without_its_password() -> None:
    settings = network(https_proxy="http://anna:hunter22@proxy.corp:3128")
    told = no_network([REFUSED], settings)
    assert "https_proxy=http://proxy.corp:3128" in told
    assert "hunter22" not in told


def test_the_sentence_about_certificates_names_their_file() -> None:
    reason = "the certificate is not accepted: self-signed certificate"
    assert "SSL_CERT_FILE" in no_network([reason], network())
    assert "HTTPS_PROXY" not in no_network([reason], network())


def test_the_hosts_are_those_of_providers_that_are_on() -> None:
    off = ProviderSettings(_env_file=None, enabled=False)
    settings = dict.fromkeys((spec.name for spec in REGISTRY), off)
    own = ProviderSettings(_env_file=None, base_url=("http://one.example", "http://two.example"))
    settings |= {"binance": own, "newsapi": ProviderSettings(_env_file=None)}
    settings["okx"] = ProviderSettings(_env_file=None)
    found = [*first_urls(REGISTRY, settings)]
    assert found == ["http://one.example", "https://www.okx.com"]
