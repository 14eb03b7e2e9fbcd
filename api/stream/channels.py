"""What each channel shows: the rows and the meta of the same REST answer, and how they are told
apart, ordered and cut by whoever applies updates."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from api.cache.responder import meta
from backend.errors import GatewayError
from backend.gateway import Gateway
from backend.models.answer import Answer
from backend.models.market import Coin
from backend.models.ohlc import Interval
from backend.models.status import GatewayStatus, WebSocketStatus
from backend.models.ticks import Flow
from backend.services.market import MarketView
from backend.services.news import NewsView
from backend.services.ohlc import OhlcView

MOST_ROWS = 250
#: The gateway's own state changes all the time: it is told this often.
STATUS_EVERY_S = 5.0

#: What tells feeds apart: the channel, and for candles the coin and the interval.
FeedKey = tuple[str, ...]
#: A view of a channel: the coins that a reader chose, () for all.
View = tuple[str, ...]


class Followed(Protocol):
    @property
    def flow(self) -> Flow | None: ...
    def answers(self) -> AsyncGenerator[Any]: ...


@dataclass(frozen=True)
class Shown:
    """`data` and `meta` as REST has them; `stale_reason` None while they are not stale."""

    data: Any
    meta: dict[str, Any] | None
    stale_reason: str | None = None


@dataclass(frozen=True)
class Channel:
    """One thing to follow. Its `key` tells rows apart, None where the data is one object.

    Updates are applied so: rows replace those of the same key, others are added; then by `order`
    (stable), and of these `meta.count` stay: the first, or with `keeps_last` the last.
    """

    name: str
    followed: Followed
    show: Callable[[Any, View], Shown]
    key: Callable[[Any], Hashable] | None = None
    order: Callable[[Any], Any] = field(default=lambda _row: 0)
    keeps_last: bool = False
    labels: dict[str, str] = field(default_factory=dict)


def market(gateway: Gateway) -> Channel:
    """`/api/market?limit=250`, or with `&symbols=`."""

    def show(answer: Answer[Any], view: View) -> Shown:
        page = gateway.market.top(answer.data, MarketView(MOST_ROWS, names=view))
        return _shown(answer, page)

    return Channel(
        "market",
        gateway.live.market(),
        show,
        key=coin_key,
        order=lambda coin: (coin.market_cap_rank is None, coin.market_cap_rank or 0),
    )


def ohlc(gateway: Gateway, name: str, symbol: str, interval: Interval) -> Channel:
    """`/api/market/ohlc?symbol=&interval=`: the newest 200 candles; `name` is the coin's id."""
    view = OhlcView(interval)
    return Channel(
        "ohlc",
        gateway.live.candles(name, view),
        lambda answer, _view: _shown(answer, gateway.ohlc.cut(answer, view)),
        key=lambda candle: candle.timestamp,
        order=lambda candle: candle.timestamp,
        keeps_last=True,
        # The id, too: two coins may share a ticker, and one client may follow both.
        labels={"id": name, "symbol": symbol, "interval": str(interval)},
    )


def news(gateway: Gateway) -> Channel:
    """`/api/news`, or with `&symbols=`."""

    def show(answer: Answer[Any], view: View) -> Shown:
        return _shown(answer, gateway.news.pick(answer.data, NewsView(symbols=view)))

    return Channel(
        "news",
        gateway.live.news(),
        show,
        key=lambda article: article.id,
        order=lambda article: -article.published_at.timestamp(),
    )


def sentiment(gateway: Gateway) -> Channel:
    """`/api/sentiment`."""
    return Channel(
        "sentiment",
        gateway.live.sentiment(),
        lambda answer, _view: _shown(answer, gateway.sentiment.cut(answer, 1)),
        key=lambda day: day.timestamp,
        order=lambda day: -day.timestamp.timestamp(),
    )


def gas(gateway: Gateway) -> Channel:
    """`/api/gas`."""
    return Channel(
        "gas",
        gateway.live.gas(),
        lambda answer, _view: _shown(answer, gateway.gas.page(answer.data)),
    )


def status(gateway: Gateway, websocket: Callable[[], WebSocketStatus]) -> Channel:
    """`/api/status`."""
    watched = _StatusWatched(lambda: gateway.status.overview(websocket()))
    return Channel("status", watched, lambda overview, _view: Shown(overview, None))


@dataclass(frozen=True)
class _StatusWatched:
    overview: Callable[[], GatewayStatus]
    flow: Flow | None = None

    async def answers(self) -> AsyncGenerator[GatewayStatus | GatewayError]:
        while True:
            yield self.overview()
            await asyncio.sleep(STATUS_EVERY_S)


@dataclass(frozen=True)
class Place:
    """Where a subscription leads: a feed, by its key, and a view of it."""

    key: FeedKey
    make: Callable[[], Channel]
    view: View = ()


def places(
    gateway: Gateway,
    websocket: Callable[[], WebSocketStatus],
    name: str,
    coins: Sequence[Coin],
    interval: Interval | None,
) -> list[Place]:
    """One place, or for candles one for each coin."""
    if name == "ohlc":
        assert interval is not None
        return [_series(gateway, coin, interval) for coin in coins]
    if name == "market":
        return [_place(name, lambda: market(gateway), {coin_key(coin) for coin in coins})]
    if name == "news":
        return [_place(name, lambda: news(gateway), {coin.symbol for coin in coins})]
    if name == "status":
        return [_place(name, lambda: status(gateway, websocket))]
    maker = {"sentiment": sentiment, "gas": gas}[name]
    return [_place(name, lambda: maker(gateway))]


def _place(name: str, make: Callable[[], Channel], names: Collection[str] = ()) -> Place:
    return Place((name,), make, tuple(sorted(names)))


def _series(gateway: Gateway, coin: Coin, interval: Interval) -> Place:
    name = coin_key(coin)
    return Place(("ohlc", name, str(interval)), lambda: ohlc(gateway, name, coin.symbol, interval))


def coin_key(coin: Coin) -> str:
    """What tells coins apart: the id, or while no ranked list is known the symbol."""
    return coin.id or coin.symbol


def _shown(answer: Answer[Any], page: Any) -> Shown:
    reason = answer.stale_reason or "timeout" if answer.stale else None
    return Shown(page.rows, meta(answer, page), reason)
