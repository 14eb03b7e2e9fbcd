"""How calls leave this machine: directly or by a proxy, chosen for each call."""

import asyncio
import ssl

import httpcore
import httpx

from backend.environment.network import NetworkSettings
from backend.environment.proxies import Proxy
from backend.providers.tunnel import Direct, Tunnel

#: One request, one connection: what stands behind an answer is not taken for the next one.
MOST_KEPT = 0
PROXY_AUTHENTICATION_REQUIRED = 407


def open_transport(network: NetworkSettings) -> httpx.AsyncBaseTransport:
    """Ready for calls of any number at once; whoever opens it awaits its `aclose`."""
    tls = network.tls()
    direct = PooledTransport(tls, Direct())
    return ChoosingTransport(network, direct, tls) if network.proxies.proxies else direct


class PooledTransport(httpx.AsyncHTTPTransport):
    """httpx's own over a pool whose connections `backend` makes, which httpx has no option for."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            # Endpoints bound their own calls: one provider's slowness must not queue another's.
            max_connections=None,
            max_keepalive_connections=MOST_KEPT,
            network_backend=backend,
        )


class ForwardingTransport(httpx.AsyncBaseTransport):
    """Plain HTTP by an HTTP proxy: it is asked for the whole address (RFC 9112, 3.2.2)."""

    def __init__(self, proxy: Proxy, tls: ssl.SSLContext) -> None:
        self._url = httpx.URL(proxy.address)
        self._authorization = proxy.authorization
        self._to_proxy = PooledTransport(tls, Direct())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._to_proxy.handle_async_request(self._forwarded(request))
        if response.status_code == PROXY_AUTHENTICATION_REQUIRED:  # the proxy's word, not a host's
            await response.aclose()
            raise httpx.ProxyError("the proxy answered 407", request=request)
        return response

    def _forwarded(self, request: httpx.Request) -> httpx.Request:
        headers = request.headers.copy()
        if self._authorization:
            headers["Proxy-Authorization"] = self._authorization
        url = request.url
        target = b"%b://%b%b" % (url.raw_scheme, url.netloc, url.raw_path)
        return httpx.Request(
            request.method,
            self._url,
            headers=headers,
            stream=request.stream,
            extensions={**request.extensions, "target": target},
        )

    async def aclose(self) -> None:
        await self._to_proxy.aclose()


class ChoosingTransport(httpx.AsyncBaseTransport):
    """The way of each request: by its scheme and host."""

    def __init__(
        self, network: NetworkSettings, direct: httpx.AsyncBaseTransport, tls: ssl.SSLContext
    ) -> None:
        self._proxy_for = network.proxies.proxy_for
        self._direct = direct
        self._ways: dict[tuple[Proxy, str], httpx.AsyncBaseTransport] = {}
        for proxy in network.proxies.proxies:
            tunnel = PooledTransport(tls, Tunnel(proxy, tls))
            is_socks = proxy.scheme == "socks5"
            self._ways[proxy, "https"] = tunnel
            self._ways[proxy, "http"] = tunnel if is_socks else ForwardingTransport(proxy, tls)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        proxy = self._proxy_for(url.scheme, url.raw_host.decode("ascii"), url.port)
        way = self._ways[proxy, url.scheme] if proxy else self._direct
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        ways = {self._direct, *self._ways.values()}
        await asyncio.gather(*(way.aclose() for way in ways))
