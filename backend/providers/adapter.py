"""The adapter contract: a vendor's API as declared facts and pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.errors import ProviderError
from backend.models.account import AccountQuery
from backend.models.answer import Query
from backend.models.raw_streams import CommandReply
from backend.models.ticks import Tick, TickSubject

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """A rate limit: at most `limit` per `period_s` seconds, as the vendor counts it.

    `kind`: `sliding` for any such period, or a calendar `day` or `month` in UTC (the month begins
    on `anchor_day`). `unit`: a request counts 1, or its weight. `counts_on`: every attempt, or only
    successful answers. `header`: the response header with the current usage.
    """

    limit: int
    period_s: float
    kind: Literal["sliding", "day", "month"] = "sliding"
    anchor_day: int = 1
    unit: Literal["request", "weight"] = "request"
    counts_on: Literal["attempt", "success"] = "attempt"
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Auth:
    """Where the key is sent: in a request header or in a query parameter."""

    place: Literal["header", "query"]
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of a vendor: its hosts in the order in which they are tried, its limits, its key.

    `independent_hosts`: different operators run the hosts, so that after any failure of one the
    next is called.
    """

    name: str
    base_urls: tuple[str, ...]
    windows: tuple[Window, ...]
    auth: Auth | None = None
    independent_hosts: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """The description of one HTTP request.

    `path` is appended to the base URL; `max_bytes` limits the answer's body. With `json_body` the
    request is a POST. `parts` are the single calls of a JSON-RPC batch: their answers as a list, in
    this order, can replace the answer of the batch. `decode`: the payload is JSON, bytes, or a
    `VerbatimBody`. The answer to a verbatim call is passed on: even a refusal of the question, if
    it is JSON, is an answer, and the call has only pass-through's part of the limits.
    `conditional`: the validators of the last answer are sent, and a 304 gives the last body again.
    `substitute` is sent to a host that does not have the path (PathUnknown).
    `moved_to` is the target of a redirect, instead of base URL, path and parameters.
    """

    path: str = ""
    params: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    max_bytes: int = MIB
    json_body: bytes | None = None
    decode: Literal["json", "bytes", "verbatim"] = "json"
    conditional: bool = False
    moved_to: str | None = field(default=None, repr=False)  # it may contain the key
    parts: tuple[bytes, ...] = ()
    substitute: "Call | None" = None

    def always(self, _query: Query[Any], _context: "Context") -> tuple["Call", ...]:
        """The `build` of an operation that makes this one call for every query."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Context:
    """What a vendor's function knows besides the query: provider, plan, time and host.

    `now_ms` is in epoch milliseconds. `base_url` is the host that answered, empty before a call.
    """

    provider: str
    plan: str
    now_ms: int
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class VerbatimBody:
    """The HTTP status and the body of an answer, and the JSON document in it."""

    status: int
    body: bytes
    document: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful HTTP answer: host, headers, the payload as `Call.decode` says, size in bytes."""

    base_url: str
    headers: Mapping[str, str]
    payload: Any
    size: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a vendor's API. A plan may exclude single operations.

    `build` returns the calls for a query. `parse` returns the model from their payloads, in the
    order of the calls; any exception that it raises becomes a MalformedResponse. `serves` is True
    if the operation can answer the query under the context's plan.
    """

    name: str
    query_type: type[Query[Any]]
    build: Callable[[Any, Context], tuple[Call, ...]]
    parse: Callable[[Any, Sequence[Any], Context], Any]
    serves: Callable[[Any, Context], bool] = lambda _query, _context: True
    #: Parsing takes tens of milliseconds, so that it is done in a thread.
    parse_in_thread: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """One vendor: its operations and its errors.

    `error_code` reads the vendor's code from an error body. `errors` maps (HTTP status, code) to
    an error; None matches any value; other answers have the defaults of `refusals.py`.
    `banned_until_ms` reads the end of a ban from the body, in epoch milliseconds. `quota_reset_s`
    (code, now in epoch ms) gives the seconds to the reset of the quota that `code` calls spent,
    None if the vendor's documentation does not say.
    """

    vendor: str
    operations: tuple[Operation, ...]
    error_code: Callable[[Any], int | str | None] = lambda _payload: None
    errors: Mapping[tuple[int | None, int | str | None], type[ProviderError]] = field(
        default_factory=dict
    )
    banned_until_ms: Callable[[Any], int | None] = lambda _payload: None
    quota_reset_s: Callable[[int | str, int], float | None] = lambda _code, _now_ms: None

    def operations_for(self, query: Query[Any]) -> tuple[Operation, ...]:
        return tuple(op for op in self.operations if isinstance(query, op.query_type))


RawCommand = Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"]


@dataclass(frozen=True, slots=True)
class RawFeed:
    """The description of a vendor's streams that are passed on unchanged, by the vendor's names.

    A connection to `path` has no subscriptions; commands add them. `is_stream` is True for the
    names that clients may ask for, and for no other. `command` returns the text of a command;
    `LIST_SUBSCRIPTIONS` has no streams, and shows that the vendor still answers. `split` returns
    the stream of a message and the bytes of its data, None for other messages, which `parse_reply`
    reads. `is_shutdown_notice` is True for the data of the notice that the connection will end.
    """

    path: str
    most_streams: int
    commands_per_s: float
    is_stream: Callable[[str], bool]
    command: Callable[[RawCommand, Sequence[str], int], str]
    split: Callable[[bytes], tuple[str, bytes] | None]
    parse_reply: Callable[[Any], CommandReply]
    is_shutdown_notice: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class PushFeed:
    """The description of a vendor's WebSocket stream of ticks.

    `path` is appended to the base URL and subscribes to the first `subjects_in_path` subjects.
    `lists_instruments`: there is no subscription to all tickers, so MarketTicks must list them.
    `subscribe` and `unsubscribe` return the text frames for further subjects, with the number of
    the command; each frame counts for `commands_per_s`.
    `parse` returns the tick of a decoded frame, None for a frame without one, and raises on a
    malformed frame. `is_shutdown_notice` is True for the frame that announces the connection's
    end. A subject without a tick for `silence_s` seconds is not live; a subject that is
    `always_active` never pauses that long by itself. `raw` describes the vendor's streams as other
    programs know them; their connections count for `connects`, too.
    """

    base_url: str
    connects: Window
    commands_per_s: float
    most_subjects: int
    subscribe: Callable[[Sequence[TickSubject], int], tuple[str, ...]]
    unsubscribe: Callable[[Sequence[TickSubject], int], tuple[str, ...]]
    parse: Callable[[Any, Context], Tick | None]
    is_shutdown_notice: Callable[[Any], bool]
    silence_s: Callable[[TickSubject], float]
    always_active: Callable[[TickSubject], bool] = lambda _subject: False
    path: Callable[[Sequence[TickSubject]], str] = lambda _subjects: ""
    subjects_in_path: int = 0
    lists_instruments: bool = False
    raw: RawFeed | None = None


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider: a vendor, with its plans with and without a key.

    Without `keyless` the provider needs a key; without `keyed` it accepts none. `other_plans` are
    keyed plans that `<NAME>_PLAN` selects instead of `keyed`. Providers with the same `ledger` can
    share the limits of one account. `push` describes its stream. `tiers` maps a kind of query, or
    `kind.operation`, to a tier; the registry fills it from its table.
    """

    name: str
    adapter: Adapter
    keyed: Plan | None = None
    keyless: Plan | None = None
    other_plans: tuple[Plan, ...] = ()
    ledger: str | None = None
    push: PushFeed | None = None
    tiers: Mapping[str, int] = field(default_factory=dict)

    @property
    def categories(self) -> tuple[str, ...]:
        found = (operation.query_type for operation in self.adapter.operations)
        return tuple(dict.fromkeys(kind.category for kind in found if kind is not AccountQuery))

    def tier(self, query: Query[Any], operation: Operation) -> int:
        """Tier 0 is called first. Providers of one tier take turns."""
        default = self.tiers.get(query.kind, 0)
        return self.tiers.get(f"{query.kind}.{operation.name}", default)

    @property
    def key_variable(self) -> str:
        return f"{self.name.upper()}_API_KEY"
