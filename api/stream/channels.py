"""Channels of the stream: where each one's answers come from, and which content a client sees.

The content is the `data` and `meta` of the same REST answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress, count
from math import inf
from operator import attrgetter, is_not
from typing import Any

from api.cache.formats import candle_row, meta
from api.stream.commands import Subscribe
from api.stream.protocol import MAX_ROWS
from backend.categories import CATEGORIES
from backend.errors import UnknownSymbol
from backend.gateway import Gateway
from backend.models.answer import Answer, Query
from backend.models.chains import DEFAULT_CHAIN, ChainName
from backend.models.market import Coin, Market, MarketQuery
from backend.models.news import NewsQuery
from backend.models.ohlc import Interval
from backend.models.sentiment import SentimentQuery
from backend.models.status import GatewayStatus, WebSocketStatus
from backend.models.ticks import Flow
from backend.services.candles.service import OhlcView
from backend.services.market.service import MarketView
from backend.services.news.view import NewsView
from backend.services.sentiment import newest_days

#: The status is sent as soon as a state in it changes, in seconds: it is built anew after an event,
#: but no more often than at the first interval; without one at the second, as a cooldown may have
#: ended; and sent in any case at the third, because ages and counters change.
STATUS_CHECK_S, STATUS_REBUILD_S, STATUS_INTERVAL_S = 0.25, 1.0, 5.0

#: Identifies a channel: its name; for candles the coin and the interval, for gas the chain.
ChannelKey = tuple[str, ...]
#: The coins that a subscription is limited to (market: keys, news: tickers); () is all of them.
Coins = tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """`data` and `meta` as REST has them; `stale_reason` is None while they are not stale.
    `fetched_at` is None for what does not age."""

    data: Any
    meta: dict[str, Any] | None
    stale_reason: str | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True)
class Channel:
    """Something that can be followed. `row_key` identifies a row; None if the data is one object.

    A client applies an update so: rows replace those of the same key, others are added; then all
    are sorted by `order` (stable), and `meta.count` rows remain: the first ones, or with
    `keeps_last` the last ones.
    """

    key: ChannelKey
    #: The answers as they change, or GatewayErrors. Nothing is requested before it is iterated.
    watch: Callable[[], AsyncGenerator[Any]]
    #: Content of an answer for some coins. Raises GatewayError.
    content: Callable[[Any, Coins], Content]
    #: Whether a venue's ticks of an answer come in; None where it has none.
    flow: Callable[[Any], Flow | None] = lambda _answer: None
    #: Whether an answer may have other ticks than the one before it.
    flow_varies: bool = False
    row_key: Callable[[Any], Hashable] | None = None
    #: The rows in which an answer differs from the one before it, by their keys. None if more than
    #: these rows may differ, so that `content` must say.
    changes: Callable[[Any, Any], dict[Hashable, Any] | None] = lambda _before, _after: None
    order: Callable[[Any], Any] = field(default=lambda _row: 0)
    keeps_last: bool = False
    #: The highest age, in seconds, at which the content may be shown.
    max_stale_s: Callable[[], float] = lambda: inf
    #: Makes what clients get from a row; None: the row itself.
    shape: Callable[[Any], Any] | None = None
    #: Fields of each frame besides `channel`.
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.key[0]


class Channels:
    """Makes the channels of a gateway."""

    def __init__(self, gateway: Gateway, websocket_status: Callable[[], WebSocketStatus]) -> None:
        self._gateway = gateway
        self._websocket_status = websocket_status

    def subscriptions(
        self, command: Subscribe, coins: tuple[Coin, ...]
    ) -> list[tuple[Channel, Coins]]:
        """One channel and the coins that it is limited to; for candles a channel for each coin."""
        only: tuple[Channel, Coins]
        match command.channel:
            case "ohlc":
                assert command.interval is not None
                return [(self.ohlc(coin, command.interval), ()) for coin in coins]
            case "market":
                only = self.market(), tuple(sorted({coin.key for coin in coins}))
            case "news":
                only = self.news(), tuple(sorted({coin.symbol for coin in coins}))
            case "sentiment":
                only = self.sentiment(), ()
            case "status":
                only = self.status(), ()
            case "gas":
                only = self.gas(command.chain or DEFAULT_CHAIN), ()
            case category:
                only = self.plain(category), ()
        return [only]

    async def resolve(self, names: Iterable[str]) -> tuple[tuple[Coin, ...], tuple[str, ...]]:
        """The coins of these names, each once, and warnings about ambiguous names. Raises
        GatewayError. The stream has the coins of the list only."""
        if not names:
            return (), ()
        directory = self._gateway.coins
        index = directory.index((await directory.latest()).data)
        try:
            found = [index.resolve(name) for name in names]
        except UnknownSymbol as error:
            raise UnknownSymbol(error.symbol, error.suggestions, "of the stream's list ") from None
        coins = {one.coin.key: one.coin for one in found}
        warnings = dict.fromkeys(warning for one in found for warning in one.warnings)
        return tuple(coins.values()), tuple(warnings)

    def known_coins(self, names: Iterable[str]) -> list[Coin]:
        """The coins of these names in the last market; unknown names are left out."""
        index = self._gateway.coins.known_index
        found = [index.find(name) for name in names] if index else []
        return [resolution.coin for resolution in found if resolution]

    def market(self) -> Channel:
        """`/api/market?limit=250`, or with `&symbols=`."""
        top = self._gateway.market.top
        return self._channel(
            MarketQuery(),
            lambda answer, coins: top(answer.data, MarketView(MAX_ROWS, names=coins)),
            flow=self._gateway.live.flow,
            row_key=lambda coin: coin.key,
            order=by_rank,
            changes=changed_coins,
        )

    def ohlc(self, coin: Coin, interval: Interval) -> Channel:
        """`/api/market/ohlc?symbol=&interval=`: the newest 200 candles."""
        view, live, cut = OhlcView(interval), self._gateway.live, self._gateway.ohlc.cut
        return Channel(
            ("ohlc", coin.key, str(interval)),
            lambda: live.watch_candles(coin.key, view),
            lambda answer, _coins: _content(answer, cut(answer, view)),
            flow=live.flow,
            flow_varies=True,  # a series may come from another venue
            row_key=lambda candle: candle.timestamp,
            order=lambda candle: candle.timestamp,
            keeps_last=True,
            max_stale_s=lambda: self._gateway.status.max_stale_s("ohlc"),
            shape=candle_row,
            # With the id: two coins may share a ticker, and one client may follow both.
            labels={"id": coin.key, "symbol": coin.symbol, "interval": str(interval)},
        )

    def news(self) -> Channel:
        """`/api/news`, or with `&symbols=`."""
        return self._channel(
            NewsQuery(),
            lambda answer, coins: NewsView(symbols=coins).pick(answer.data),
            row_key=lambda article: article.id,
            order=lambda article: -article.published_at.timestamp(),
        )

    def sentiment(self) -> Channel:
        """`/api/sentiment`."""
        return self._channel(
            SentimentQuery(),
            lambda answer, _coins: newest_days(answer, 1),
            row_key=lambda day: day.timestamp,
            order=lambda day: -day.timestamp.timestamp(),
        )

    def gas(self, chain: ChainName) -> Channel:
        """`/api/gas?chain=`."""
        gas = self._gateway.gas
        return self._channel(
            gas.query(chain),
            lambda answer, _coins: gas.page(answer.data),
            chain,
            labels={"chain": chain},
        )

    def plain(self, category: str) -> Channel:
        """Any category with one query whose service makes a `page` of the data."""
        page = getattr(self._gateway, category).page
        query = CATEGORIES[category].provider_query
        return self._channel(query, lambda answer, _coins: page(answer.data))

    def status(self) -> Channel:
        """`/api/status`."""

        async def watch() -> AsyncGenerator[Any]:
            status, history = self._gateway.status, self._gateway.status.history
            shown: Any = None
            waited_s, sent_s_ago, events = 0.0, STATUS_INTERVAL_S, -1
            while True:
                if history.events != events or waited_s >= STATUS_REBUILD_S:
                    events, waited_s = history.events, 0.0
                    overview = status.overview(self._websocket_status())
                    states = states_of(overview)
                    if states != shown or sent_s_ago >= STATUS_INTERVAL_S:
                        shown, sent_s_ago = states, 0.0
                        yield overview
                await asyncio.sleep(STATUS_CHECK_S)
                waited_s += STATUS_CHECK_S
                sent_s_ago += STATUS_CHECK_S

        return Channel(("status",), watch, lambda overview, _coins: Content(overview, None))

    def _channel(
        self, query: Query[Any], page: Callable[[Answer[Any], Coins], Any], *key: str, **rules: Any
    ) -> Channel:
        """A channel with the name of the query's category; `page` is the page of REST. `key` are
        further parts of its key."""
        return Channel(
            (query.category, *key),
            lambda: self._gateway.live.watch(query),
            lambda answer, coins: _content(answer, page(answer, coins)),
            max_stale_s=lambda: self._gateway.status.max_stale_s(query.category),
            **rules,
        )


def states_of(status: GatewayStatus) -> Hashable:
    """What of the status is sent at once when it changes: the states of providers and categories,
    the first call and the first answer of each, and the state of the cluster."""
    return (
        status.status,
        tuple(
            (name, one.status, one.age_seconds is None, one.providers)
            for name, one in status.categories.items()
        ),
        tuple(
            (one.name, one.status, one.reason, one.requests > 0, one.last_success_at is None)
            for one in status.providers
        ),
        (status.cluster.role, status.cluster.leader, status.cluster.reason),
    )


def by_rank(coin: Coin) -> tuple[bool, int]:
    """The documented order: coins of equal rank stay as they are, since a client sorts them so."""
    return coin.market_cap_rank is None, coin.market_cap_rank or 0


#: What `meta` shows of an answer, and what decides which rows of the market a view has, and where.
_provenance = attrgetter(
    *"source latency_ms fetched_at expires_at stale_reason tried warnings".split()
)
_place = attrgetter("id", "symbol", "name", "market_cap_rank")


def changed_coins(before: Answer[Market], after: Answer[Market]) -> dict[Hashable, Any] | None:
    """The coins whose figures a venue's tick has changed; None after a refresh, and where coins
    came, went or moved."""
    old, new = before.data.coins, after.data.coins
    is_same = len(old) == len(new) and before.data.ranked is after.data.ranked
    if not is_same or _provenance(before) != _provenance(after):
        return None
    changed: dict[Hashable, Any] = {}
    for place in compress(count(), map(is_not, old, new)):  # the other rows in native code
        was, row = old[place], new[place]
        if _place(was) != _place(row):
            return None
        if was != row:
            changed[row.key] = row
    return changed


def _content(answer: Answer[Any], page: Any) -> Content:
    reason = answer.stale_reason or "timeout" if answer.stale else None
    return Content(page.rows, meta(answer, page), reason, answer.fetched_at)
