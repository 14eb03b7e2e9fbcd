"""The HTTP transport of upstream calls: direct or through a proxy, chosen for each request."""

import asyncio
import ssl

import httpcore
import httpx

from backend.environment.network import NetworkSettings
from backend.environment.proxies import Proxy
from backend.providers.tunnel import Direct, ToProxy, Tunnel

#: Idle connections kept: none, so that bytes behind an answer cannot become the next answer.
MOST_KEPT = 0
PROXY_AUTHENTICATION_REQUIRED = 407


def open_transport(network: NetworkSettings) -> httpx.AsyncBaseTransport:
    """A transport without a limit on concurrent calls. The caller awaits its `aclose`."""
    tls = network.tls()
    direct = PooledTransport(tls, Direct())
    return ChoosingTransport(network, direct, tls) if network.proxies else direct


class PooledTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool that connects through `backend`; httpx has no such option."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            # Each endpoint limits its own calls: a slow provider must not delay another.
            max_connections=None,
            max_keepalive_connections=MOST_KEPT,
            network_backend=backend,
        )


class ForwardingTransport(PooledTransport):
    """Plain HTTP through an HTTP proxy, with the absolute URL as target (RFC 9112, 3.2.2)."""

    def __init__(self, proxy: Proxy, tls: ssl.SSLContext) -> None:
        super().__init__(tls, ToProxy())
        self._url = httpx.URL(proxy.address)
        self._authorization = proxy.authorization

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers.copy()
        if self._authorization:
            headers["Proxy-Authorization"] = self._authorization
        url = request.url
        target = b"%b://%b%b" % (url.raw_scheme, url.netloc, url.raw_path)
        extensions = {**request.extensions, "target": target}
        forwarded = httpx.Request(
            request.method, self._url, headers=headers, stream=request.stream, extensions=extensions
        )
        response = await super().handle_async_request(forwarded)
        if response.status_code == PROXY_AUTHENTICATION_REQUIRED:  # sent by the proxy
            await response.aclose()
            raise httpx.ProxyError("the proxy answered 407", request=request)
        return response


class ChoosingTransport(httpx.AsyncBaseTransport):
    """Chooses direct or proxy for each request, by scheme and host."""

    def __init__(
        self, network: NetworkSettings, direct: httpx.AsyncBaseTransport, tls: ssl.SSLContext
    ) -> None:
        self._proxy_for = network.proxy_for
        self._direct = direct
        self._transports: dict[tuple[Proxy, str], httpx.AsyncBaseTransport] = {}
        for proxy in network.proxies:
            tunnel = PooledTransport(tls, Tunnel(proxy, tls))
            plain = tunnel if proxy.scheme == "socks5" else ForwardingTransport(proxy, tls)
            self._transports |= {(proxy, "https"): tunnel, (proxy, "http"): plain}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        proxy = self._proxy_for(url.scheme, url.raw_host.decode("ascii"), url.port)
        transport = self._transports[proxy, url.scheme] if proxy else self._direct
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        transports = {self._direct, *self._transports.values()}
        await asyncio.gather(*(each.aclose() for each in transports))
