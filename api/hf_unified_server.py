"""The ASGI application: life, routes, layers, error handlers. No rule about data lives here."""

import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.cache.responder import Responder
from api.cache.response_cache import PreparedAnswers
from api.edge import problems
from api.edge.access_control import CountClients, Doors, GatewayKeys
from api.edge.client_limits import ClientLimits, client_address
from api.edge.middleware import BugNet, HeadAsGet, LastWord, RequestId
from api.edge.refusals import Refusals
from api.edge.request_counts import (
    CountRequests,
    FloorMetrics,
    RequestCounts,
    templates_by_endpoint,
)
from api.edge.security_headers import SecurityHeaders
from api.openapi import described
from api.routes import dashboard, docs, gas, market, metrics, news, ohlc, sentiment, status, stream
from api.routes.common import DOORS, documented_errors
from api.routes.slashes import SlashRedirects
from api.server.connections import OTHER_DESCRIPTORS, Connections
from api.server.hooks import ConnectionTimeouts, ServerHooks
from api.server.ws_transport import remember_server_send
from api.ws_data_broadcaster import Broadcaster
from backend import __version__
from backend.clock import Clock
from backend.gateway import Gateway, open_gateway, read_configuration
from backend.settings import Configuration, Settings

TITLE = "Unified Crypto Data Platform"
EXPOSED = ["Age", "ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Cache", "X-Request-Id"]
OpenGateway = Callable[[Configuration], AbstractAsyncContextManager[Gateway]]


class Application(FastAPI):
    """FastAPI behind the layers that stand outside of its own: those wrap `send`, and cost."""

    outside: ASGIApp
    server_hooks: ServerHooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        remember_server_send(scope, send)
        await self.outside(scope, receive, send)


def create_app(
    configuration: Configuration | None = None,
    opened: OpenGateway = open_gateway,
    timeouts: ConnectionTimeouts | None = None,
) -> Application:
    """The application. Raises SettingsError.

    `opened` opens its gateway; `timeouts` are for the server's connections.
    """
    configuration = configuration or read_configuration()
    counts = RequestCounts()

    app = Application(
        title=TITLE,
        version=__version__,
        summary="One API in front of many providers of crypto market data. Never invented data.",
        lifespan=_life(configuration, opened, counts),
        openapi_url=None,  # api/routes/docs.py has these
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.default = SlashRedirects(app)
    doors = documented_errors(*DOORS)
    for module in (market, ohlc, news, sentiment, gas, status, metrics):
        app.include_router(module.router, responses=doors)
    # Last: /api/market/{coin} takes everything that stands behind it.
    for router in (stream.router, stream.events_router, market.coin_router):
        app.include_router(router, responses=doors)
    app.include_router(dashboard.router)
    app.include_router(docs.router)
    app.mount(f"/{docs.ASSETS}", docs.docs_assets())
    problems.install(app)
    app.server_hooks = ServerHooks(timeouts=timeouts or ConnectionTimeouts())
    _install_layers(app, configuration, counts)
    app.openapi = lambda: described(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


def _connections(settings: Settings, clock: Clock) -> Connections:
    """Limits of each address; no limit of open connections behind a proxy, which all share."""
    share, max_open = settings.client_max_share, None
    if share < 1 and not settings.trust_proxy:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = settings.ws_max_clients + OTHER_DESCRIPTORS
        available = wanted if allowed == resource.RLIM_INFINITY else min(allowed, wanted)
        max_open = int(share * available)
    address_of = partial(client_address, trusted_proxies=settings.trust_proxy)
    return Connections(address_of, clock, max_per_address=max_open)


def _life(
    configuration: Configuration, opened: OpenGateway, counts: RequestCounts
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What routes find in `app.state`, for as long as the application lives."""
    settings = configuration.gateway

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(configuration) as gateway:
            app.state.gateway = gateway
            app.state.responder = Responder(is_private=bool(settings.gateway_api_keys))
            app.state.ws_direct = settings.ws_direct
            app.state.broadcaster = broadcaster = Broadcaster(
                gateway,
                max_clients=settings.ws_max_clients,
                stuck_s=settings.ws_stuck_seconds,
                share=settings.client_max_share,
            )
            gateway.metrics.register(FloorMetrics(counts, broadcaster.counters))
            try:
                yield
            finally:
                await broadcaster.aclose()

    return lifespan


def _install_layers(app: Application, configuration: Configuration, counts: RequestCounts) -> None:
    # The last one added is the outermost.
    app.add_middleware(HeadAsGet)
    app.add_middleware(BugNet)
    app.add_middleware(LastWord)
    settings, hooks = configuration.gateway, app.server_hooks
    # WebSockets may send their key after the handshake: the route asks the same keys.
    app.state.keys = keys = GatewayKeys(settings.gateway_api_keys)
    limits = ClientLimits(settings.client_rate_limit, hooks.clock)
    app.add_middleware(
        Doors,
        keys=keys,
        limits=limits,
        trusted_proxies=settings.trust_proxy,
        origins=settings.cors_origins,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )
    refusals = Refusals(counts, limits, settings.trust_proxy)
    hooks.refuse, hooks.count_refusal = refusals.app, refusals.count
    hooks.connections = _connections(settings, hooks.clock)
    app.add_middleware(CountClients, limits=limits, trusted_proxies=settings.trust_proxy)
    app.add_middleware(SecurityHeaders)
    templates = templates_by_endpoint(app.routes)
    app.add_middleware(CountRequests, counts=counts, templates=templates)
    app.add_middleware(RequestId)
    inside: ASGIApp = partial(FastAPI.__call__, app)
    if settings.prepared_answers:
        prepared = PreparedAnswers(
            inside,
            keys=keys,
            limits=limits,
            trusted_proxies=settings.trust_proxy,
            counts=counts,
            templates=templates,
        )
        inside, hooks.cached_response = prepared, prepared.at_once
    app.outside = inside


@cache
def _default_app() -> FastAPI:
    return create_app()


def __getattr__(name: str) -> FastAPI:
    # `uvicorn api.hf_unified_server:app` reads the environment; importing this module does not.
    if name == "app":
        return _default_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
