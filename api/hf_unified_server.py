"""The ASGI application: its routers, the edge in front of them, and what both share."""

import resource
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.cache.response_cache import ResponseCache
from api.edge.access_control import AccessControl, GatewayKeys
from api.edge.access_log import AccessLog
from api.edge.cached_responses import CachedResponses
from api.edge.client_limits import ClientLimits, client_address
from api.edge.error_log import ErrorLog
from api.edge.layer import Edge
from api.edge.origins import AllowedOrigins
from api.edge.page_limits import PageLimits
from api.edge.path_policies import PathPolicies
from api.edge.problems import HANDLERS
from api.edge.request_counts import ApiMetrics, RequestCounts
from api.edge.response_headers import ResponseHeaders
from api.edge.shared_limits import key_of, sharing
from api.facades.binance import route as binance
from api.facades.binance.streams import route as streams
from api.facades.binance.streams.hub import StreamHub
from api.facades.binance.streams.metrics import RawStreamMetrics
from api.facades.coingecko import route as coingecko
from api.facades.mcp import route as mcp
from api.facades.udf import history, lookup, widgets
from api.openapi import CONTACT, DESCRIPTION, openapi_document, operation_id
from api.routes import (
    gas,
    global_market,
    market,
    news,
    ohlc,
    pages,
    search,
    sentiment,
    status,
    stream,
)
from api.routes.checked_routes import RememberedCalls
from api.routes.responder import Responder
from api.routes.schemas import EDGE_ERRORS, documented_errors
from api.routes.slashes import redirect_slashes
from api.server.hooks import OTHER_DESCRIPTORS, Connections, ConnectionTimeouts, ServerHooks
from api.server.known_versions import is_server_known
from api.server.ws_transport import remember_server_send
from api.stream.address_limits import ClientSlots
from api.stream.protocol import StreamTimes
from api.ws_data_broadcaster import Broadcaster
from backend import __version__
from backend.gateway import Gateway, open_gateway, read_configuration
from backend.settings import Configuration, Settings

#: The routes of the categories.
DATA = (market, ohlc, news, sentiment, gas, global_market)
#: The routers of each facade, by its name in the setting.
FACADES: Mapping[str, Sequence[APIRouter]] = {
    "coingecko": (coingecko.router,),
    "binance": (streams.router, binance.router),  # the last one has every other path
    "mcp": (mcp.router,),
    "udf": (lookup.router, history.router, widgets.router),
}
OpenGateway = Callable[[Configuration], AbstractAsyncContextManager[Gateway]]


class Application(FastAPI):
    """FastAPI behind the edge. `server_hooks` is its part in our server."""

    edge: Edge
    server_hooks: ServerHooks

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.policies = PathPolicies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.state.is_server_known:
            remember_server_send(scope, send)
        await self.edge(scope, receive, send)

    def include_router(self, router: APIRouter, **options: Any) -> None:
        super().include_router(router, **options)
        self.policies.declare(router, options.get("prefix", ""))

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own, without the layers whose work the edge does: server errors, body sizes.
        `RememberedCalls` comes before it."""
        routes = AsyncExitStackMiddleware(self.router)
        handled = ExceptionMiddleware(routes, handlers=self.exception_handlers)
        return RememberedCalls(handled)


def create_app(
    configuration: Configuration | None = None,
    opened: OpenGateway = open_gateway,
    timeouts: ConnectionTimeouts | None = None,
) -> Application:
    """The application. Raises SettingsError.

    `opened` opens its gateway; `timeouts` are for the server's connections.
    """
    configuration = configuration or read_configuration()
    app = Application(
        title="Unified Crypto Data Platform",
        version=__version__,
        summary="One API in front of many providers of crypto market data. Never invented data.",
        description=DESCRIPTION,
        contact=CONTACT,
        generate_unique_id_function=operation_id,
        lifespan=partial(_lifespan, configuration, opened),
        openapi_url=None,  # api/routes/pages.py has these
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    app.router.default = partial(redirect_slashes, app.router)
    edge_errors = documented_errors(*EDGE_ERRORS)
    routers = [module.router for module in DATA]
    routers += [search.router, status.router, status.probes, stream.router, stream.events_router]
    # Last: /api/market/{coin} matches every path below /api/market.
    for router in (*routers, market.coin_router):
        app.include_router(router, responses=edge_errors)
    app.include_router(pages.router)
    app.include_router(pages.page_router)
    app.state.facades = configuration.gateway.facades
    for name in app.state.facades:
        for router in FACADES[name]:
            app.include_router(router)
    app.state.stream_times = StreamTimes()
    is_locked = bool(configuration.gateway.gateway_api_keys)
    document = partial(openapi_document, app, app.policies, is_locked=is_locked)
    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way
    _install_edge(app, configuration.gateway, timeouts or ConnectionTimeouts())
    return app


@asynccontextmanager
async def _lifespan(
    configuration: Configuration, opened: OpenGateway, app: Application
) -> AsyncIterator[None]:
    """Opens the gateway and the stream, which routes find in `app.state`."""
    settings = configuration.gateway
    limits, key = app.edge.access.limits, key_of(settings)
    async with (
        opened(configuration) as gateway,
        sharing(limits, gateway.cluster, key) as shared_limits,
    ):
        app.state.gateway = gateway
        slots = ClientSlots(settings.ws_max_clients, settings.client_max_share)
        app.state.broadcaster = broadcaster = Broadcaster(
            gateway,
            slots=slots,
            stuck_s=settings.ws_stuck_seconds,
            share=settings.client_max_share,
            times=app.state.stream_times,
        )
        app.state.raw_streams = raw_streams = _raw_streams(gateway, settings, slots)
        app.state.streams = [each for each in (broadcaster, raw_streams) if each]
        gateway.cluster.count_readers_by(
            lambda: sum(each.counters().clients for each in app.state.streams)
        )
        gateway.metrics.register(ApiMetrics(app.edge.counts, broadcaster.counters))
        if raw_streams is not None:
            gateway.metrics.register(RawStreamMetrics(raw_streams))
        if shared_limits is not None:
            gateway.metrics.register(shared_limits)
        try:
            yield
        finally:
            await close_streams(app)


def _raw_streams(gateway: Gateway, settings: Settings, slots: ClientSlots) -> StreamHub | None:
    """None where the settings switch Binance's dialect or its streams off."""
    if "binance" not in settings.facades or gateway.raw_streams is None:
        return None
    share = settings.client_max_share
    return StreamHub(gateway.raw_streams, clock=gateway.clock, slots=slots, share=share)


async def close_streams(app: FastAPI) -> None:
    """Closes the connections of all stream clients; none can join any more."""
    for each in getattr(app.state, "streams", ()):  # there are none when the start failed
        await each.aclose()


def _install_edge(app: Application, settings: Settings, timeouts: ConnectionTimeouts) -> None:
    """The edge, its part in the server, and what routes share with it in `app.state`."""
    app.state.is_server_known = is_server_known()
    app.state.ws_direct = settings.ws_direct and app.state.is_server_known
    # By ASGI, each message would be compressed for each client.
    compressed = frozenset({"/ws"} if app.state.ws_direct else ())
    app.server_hooks = hooks = ServerHooks(timeouts=timeouts, compressed_paths=compressed)
    keys = GatewayKeys(settings.gateway_api_keys)
    limits = ClientLimits(settings.client_rate_limit, hooks.clock)
    origins = AllowedOrigins(settings.cors_origins)
    headers = ResponseHeaders(origins, limits.policy)
    cache = ResponseCache(headers.complete_stored, stores_responses=settings.prepared_answers)
    page_limits = PageLimits(settings.client_rate_limit, hooks.clock)
    access = AccessControl(app.policies, keys, limits, origins, settings.trust_proxy, page_limits)
    app.state.keys, app.state.origins = keys, origins
    app.state.responder = Responder(cache, app.policies, is_private=bool(keys))
    address_of = partial(client_address, trusted_proxies=settings.trust_proxy)
    counts = RequestCounts()
    access_log = AccessLog(hooks.clock, address_of) if settings.access_log else None
    cached = CachedResponses(cache, access, counts, access_log)
    app.edge = edge = Edge(
        # FastAPI's own __call__ adds telemetry, for which it reads the environment at each request.
        partial(Starlette.__call__, app),
        access=access,
        headers=headers,
        cached=cached,
        is_stopping=lambda: getattr(app.state, "is_ending", False),
        counts=counts,
        errors=ErrorLog(hooks.clock),
        access_log=access_log,
    )
    max_open = None  # no limit of open connections behind a proxy, which all clients share
    if settings.client_max_share < 1 and not settings.trust_proxy:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = settings.ws_max_clients + OTHER_DESCRIPTORS
        available = wanted if allowed == resource.RLIM_INFINITY else min(allowed, wanted)
        max_open = int(settings.client_max_share * available)
    hooks.connections = Connections(address_of, hooks.clock, max_per_address=max_open)
    if settings.prepared_answers:
        hooks.cached_responses = cached
    hooks.refuse, hooks.count_refusal = edge.refuse, edge.count_refusal


@cache
def __getattr__(name: str) -> FastAPI:
    # `uvicorn api.hf_unified_server:app` reads the environment; importing this module does not.
    if name == "app":
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
