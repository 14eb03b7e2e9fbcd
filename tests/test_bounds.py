"""Every collection that lives as long as its owner has a bound, which stands here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_laws import ROOT, dotted, sources

GROWING = {"dict", "set", "list", "deque", "OrderedDict", "Counter", "defaultdict"}
GROWING |= {"WeakValueDictionary", "RequestCounts", "_Watched"}

#: Of a fixed number by construction: of what.
FIXED = {
    "DatedState._headers": "options of the server",
    "Adapter.errors": "declared",
    "VendorPath.parameters": "declared",
    "Body.coded": "codings",
    "Body.tasks": "codings",
    "EventMetrics._losses": "kinds of events",
    "PathPolicies._access": "declared",
    "PathPolicies._key_places": "declared",
    "PathPolicies._locked": "declared",
    "PathPolicies._methods": "declared",
    "PathPolicies._prefixes": "declared",
    "PathPolicies._renderers": "declared",
    "CacheCounters.stale_by_reason": "reasons of the contract",
    "BeatReply.claims": "processes of the cluster",
    "BeatReply.members": "processes of the cluster",
    "CallLog._calls": "ticks of the windows' periods (`delete_before`)",
    "Channel.labels": "declared",
    "ChoosingTransport._transports": "proxies of the settings",
    "Chooser._probed_early_at": "categories",
    "Chooser._rotations": "categories and tiers",
    "CircuitBreaker._backoffs": "effects",
    "Endpoint._without_batches": "hosts of the settings",
    "Connections._next_warning": "kinds of warnings",
    "Hosts._blocked_until": "hosts of the settings",
    "Hosts._backoffs": "hosts of the settings",
    "Hosts._order": "hosts of the settings",
    "RollingRestart._old": "workers of the settings",
    "SavedBlocks._known": "providers and keys of the settings",
    "Members._at_whole_log": "processes of the cluster",
    "Members._members": "processes of the cluster",
    "MessageBus._handlers": "channels",
    "MinuteLog._amounts": "minutes of the period",
    "MinuteLog._assumed": "minutes of the period",
    "PacedWindow._unsaved_assumed": "minutes of the period",
    "ProviderFactory._blocked": "providers and keys of the settings",
    "ProviderFactory.ledgers": "providers and plans",
    "ProviderSpec.tiers": "declared",
    "PushFactory._connects": "venues of the registry",
    "RawSubscriptions._subscribed": "streams of a connection (`most_streams`)",
    "RawSubscriptions._unanswered": "commands within their time limit (`commands_per_s`)",
    "Reachability._silent": "providers",
    "ExchangeRates.older": "currencies of the list",
    "SharedLimits._messages": "results",
    "RatesMonitor._last": "currencies of the list",
    "RatesMonitor._pending": "currencies of the list",
    "SmoothRotation._credit": "providers",
    "StreamHub._tasks": "its two tasks",
    "Supervisor._slots": "workers of the settings",
    "Sources._stores": "categories",
    "Sources.cached": "categories",
    "UniverseSource._push_venues": "venues of the registry",
    "TickFailover._venues": "venues of the registry",
    "TickSubscriptions._subjects": "subjects of a connection (`most_subjects`)",
}
#: One for each of something that has a bound itself: of what.
ONE_FOR_EACH = {
    "AnswerExchange._adopting": "message that is being adopted",
    "AnswerExchange._answering": "question of another process (`MOST_QUESTIONS`)",
    "AnswerExchange._waiting": "refresh under way",
    "Sources._pages": "list of coins that was just fetched",
    "ClusterGuard._owners": "call under way (`MAX_IN_FLIGHT`)",
    "RedisStore._running": "command under way (time limit)",
    "WorkerMetrics._scrapes": "scrape under way (time limit)",
    "GroupedAppends._gathered": "call that waits for the store (time limit)",
    "SharedStorage._writes": "write under way (time limit)",
    "Broadcaster._closing": "feed that ends",
    "Connections._addresses": "open connection",
    "Connections._open": "open connection",
    "Connections._unread": "open connection",
    "CoinBatch._tasks": "batch of coins that are waited for",
    "GasSource._heads": "chain",
    "HeardTicks._flows": "series of the feeds of the stream",
    "HeardTicks._subjects": "series of the feeds of the stream",
    "RelayedTicks._last": "series of the feeds of the stream",
    "Feed._subscribers": "topic of the feed, and its subscribers",
    "Feed._topics": "choice of coins that a client follows",
    "LiveService._last_candles": "feed of the stream",
    "LiveService._queries": "feed of the stream",
    "LiveService._wanted": "feed of the stream",
    "CallWindow._in_flight": "call under way (`MAX_IN_FLIGHT`)",
    "ProviderManager._late": "refresh under way",
    "SlidingWindow._log": "call that the window's limit allows",
    "RawStreams._readers": "stream that clients read (`most_streams`)",
    "SqliteStorage._block_writes": "block of a provider",
    "StreamHub._readers": "stream that clients read (`most_streams`)",
    "StreamSession._names": "name in the URL of a client (`MAX_URL_BYTES`)",
    "BoundedWebSocket._unprocessed": "message of a slice (`SLICE_BYTES`)",
    "Subscriber._missed": "topic of a client (`MAX_TOPICS`)",
    "Subscriber.topics": "topic of a client (`MAX_TOPICS`)",
    "Superseded._waiting": "watch of a feed",
    "Topic._places": "row of the channel (`MAX_ROWS`)",
}
#: One for each coin of the market, whose list is bounded by the vendor files.
OF_THE_MARKET = {
    "CoinBook.best",
    "CoinBook._by_key",
    "CoinBook._visible",
    "CoinTagger._names",
    "CoinTagger._words",
    "OutlierFilter._notes",
    "SymbolIndex._by_id",
    "SymbolIndex._by_symbol",
}
#: Made for one request, answer or start, and gone with it.
SHORT_LIVED = {
    "ForeignIds._by_id",
    "ForeignIds._by_name",
    "Additions.coins",
    "Outcome.headers",
    "ToolAnswer.headers",
    "DirectHttp.scope",
    "Refusal.headers",
    "SavedState.answers",
    "SavedState.blocks",
    "SavedState.calls",
    "UsageHistory.assumed",
    "_Scrape.texts",
    "_Body._pieces",
    "_Gathering.queries",
    "_Found.answers",
    "_Found.coins",
    "_Found.not_looked_up",
    "_Found.refresh_ids",
    "_Found.validities",
    "_Found.warnings",
    "_ArticleIndex._by_title",
    "_ArticleIndex.articles",
}
#: The test that fills it beyond its bound, or shows that nothing is left behind.
SHOWN = {
    "TickQueue._waiting": (
        "orchestration/push/test_tick_queue.py",
        "test_whoever_finds_it_full_waits_until_there_is_room",
    ),
    "AddressLimits._followers": (
        "api/stream/test_address_limits.py",
        "test_an_address_without_clients_and_series_uses_no_memory",
    ),
    "ClientSlots._clients": (
        "api/stream/test_address_limits.py",
        "test_an_address_without_clients_and_series_uses_no_memory",
    ),
    "HeadCache._newer": (
        "api/server/test_head_cache.py",
        "test_heads_that_are_not_sent_again_are_dropped",
    ),
    "HeadCache._once": (
        "api/server/test_head_cache.py",
        "test_a_head_that_came_once_is_not_kept",
    ),
    "HeadCache._older": (
        "api/server/test_head_cache.py",
        "test_heads_that_are_not_sent_again_are_dropped",
    ),
    "BoundedMap._entries": (
        "test_bounded_map.py",
        "test_the_least_recently_used_entry_goes_first",
    ),
    "Broadcaster._feeds": (
        "api/stream/test_access.py",
        "test_one_address_cannot_take_all_series",
    ),
    "Broadcaster._watched": (
        "api/stream/test_subscriber.py",
        "test_only_clients_that_lag_or_close_are_watched",
    ),
    "Broadcaster._subscribers": (
        "api/stream/test_access.py",
        "test_one_address_cannot_take_all_connections",
    ),
    "Client.streams": (
        "api/facades/binance/streams/test_access.py",
        "test_the_streams_of_a_client_and_of_an_address_are_bounded",
    ),
    "StreamHub._clients": (
        "api/facades/binance/streams/test_access.py",
        "test_the_places_of_clients_are_shared_with_the_other_stream",
    ),
    "ClientLimits._logs": (
        "api/test_client_limits.py",
        "test_clients_and_log_entries_are_bounded",
    ),
    "DemandTracker._asked": (
        "orchestration/limits/test_demand_tracker.py",
        "test_the_number_of_queries_is_bounded_and_the_oldest_is_dropped",
    ),
    "RawSubscriptions._most_with": (
        "orchestration/push/test_raw_streams.py",
        "test_nothing_is_remembered_of_refused_streams_that_nobody_wants",
    ),
    "MessageBus._unsent": (
        "cluster/test_message_bus.py",
        "test_unsent_messages_are_bounded_and_the_oldest_are_dropped",
    ),
    "NewsStore._articles": (
        "services/news/test_store.py",
        "test_the_store_is_bounded_and_keeps_the_newest",
    ),
    "ConditionalBodies._validated": (
        "providers/test_client_forms.py",
        "test_kept_bodies_are_bounded",
    ),
    "QueueSink._frames": (
        "api/stream/test_subscriber.py",
        "test_a_client_with_far_too_many_buffered_bytes_is_aborted",
    ),
    "ResponseCache._targets": ("api/test_response_cache.py", "test_the_cache_is_bounded"),
    "ResponseCache._views": (
        "api/test_responder.py",
        "test_many_views_with_long_names_stay_within_the_bound",
    ),
    "RowCache._rows": ("api/stream/test_topics.py", "test_rows_are_encoded_once_for_all_topics"),
    "SharedLimits._clients": (
        "api/test_shared_limits.py",
        "test_clients_that_were_told_or_dropped_use_bounded_memory",
    ),
    "SingleFlight._tasks": (
        "cache/test_cached_source.py",
        "test_running_refreshes_are_bounded",
    ),
    "SlidingLog._older": (
        "api/test_client_limits.py",
        "test_clients_and_log_entries_are_bounded",
    ),
    "CallWindow._unsaved": (
        "orchestration/limits/test_sliding_window.py",
        "test_unsaved_calls_are_bounded",
    ),
    "SqliteStorage._pending_calls": (
        "storage/test_sqlite_storage.py",
        "test_pending_calls_of_a_failing_file_are_bounded",
    ),
    "Target.variants": ("api/test_response_cache.py", "test_the_newest_variants_are_kept"),
    "View.targets": ("api/test_response_cache.py", "test_the_cache_is_bounded"),
    "TTLCache._dropped": (
        "cache/test_ttl_cache.py",
        "test_nothing_is_remembered_of_an_evicted_entry",
    ),
    "TTLCache._entries": (
        "cache/test_ttl_cache.py",
        "test_the_least_recently_used_entry_goes_first",
    ),
    "UniverseSource._pushed": (
        "services/market/test_universe.py",
        "test_the_ticker_of_a_coin_that_left_the_market_is_dropped",
    ),
    "UnexpectedErrors._seen": (
        "providers/test_unexpected.py",
        "test_the_number_of_remembered_places_is_bounded",
    ),
}
TESTS = ROOT / "tests"


def is_growing(value: ast.AST | None) -> bool:
    """True for an expression that makes a collection without a bound of its own."""
    if isinstance(value, ast.Dict | ast.Set | ast.List | ast.DictComp | ast.SetComp | ast.ListComp):
        return True
    if not isinstance(value, ast.Call):
        return False
    named: ast.AST = value.func.value if isinstance(value.func, ast.Subscript) else value.func
    name = dotted(named).rpartition(".")[2]
    options = {keyword.arg: keyword.value for keyword in value.keywords}
    if name == "field":
        return dotted(options.get("default_factory", ast.Pass())) in GROWING
    return name in GROWING and "maxlen" not in options


def collections_in(path: Path) -> Iterator[str]:
    """`Class.attribute` of each collection that an object keeps."""
    for owner in ast.walk(ast.parse(path.read_text())):
        if not isinstance(owner, ast.ClassDef):
            continue
        for node in ast.walk(owner):
            if isinstance(node, ast.Assign):
                target: ast.AST = node.targets[0]
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target = node.target
            else:
                continue
            is_of_class = isinstance(target, ast.Name) and node in owner.body
            is_of_self = isinstance(target, ast.Attribute) and dotted(target.value) == "self"
            if (is_of_class or is_of_self) and is_growing(node.value):
                yield f"{owner.name}.{dotted(target).rpartition('.')[2]}"


def kept() -> set[str]:
    paths = [*sources("backend"), *sources("api")]
    return {name for path in paths for name in collections_in(path)}


def test_every_collection_that_an_object_keeps_has_a_known_bound() -> None:
    known = {*FIXED, *ONE_FOR_EACH, *OF_THE_MARKET, *SHORT_LIVED, *SHOWN}
    assert kept() - known == set(), "say in tests/test_bounds.py what bounds it"
    assert known - kept() == set(), "it is no more"


@pytest.mark.parametrize(("file", "name"), sorted(set(SHOWN.values())))
def test_what_shows_a_bound_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (TESTS / file).read_text()


def test_a_collection_without_a_bound_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "class A:\n def __init__(self):\n  self.a = {}\n  self.b = deque(maxlen=3)\n"
        "  c = []\n  self.d = OrderedDict[str, int]()\n  self.e: set[int] = set()\n"
    )
    assert list(collections_in(path)) == ["A.a", "A.d", "A.e"]
