"""The adapter contract: a vendor's API as declared facts and pure functions, nothing more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.errors import ProviderError
from backend.models.account import AccountQuery
from backend.models.answer import Query
from backend.models.ticks import Tick, TickSubject

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` per `period_s` seconds, as the vendor counts it.

    `kind`: within any such span, or within a calendar's `day` or `month` in UTC (a month that
    begins on `anchor_day`). `unit`: each request counts one, or its weight. `counts_on`: every
    attempt, or only answers that succeeded. `header`: the response header in which the vendor
    tells our use of it.
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
    """Where a key goes: a request header, or a query parameter."""

    place: Literal["header", "query"]
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one kind of credential buys: hosts (tried in order), limits, where the key goes.

    Hosts and key belong to one plan, so that they can't drift apart. `independent_hosts`: they are
    run by different people, so whatever one does wrong, the next is asked.
    """

    name: str
    base_urls: tuple[str, ...]
    windows: tuple[Window, ...]
    auth: Auth | None = None
    independent_hosts: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, described. `path` stands behind the base URL, `max_bytes` caps the body.

    With `json_body` it is a POST; of a JSON-RPC batch `parts` are the bodies of its single calls,
    whose answers in a list, in order, are as good as the batch's. `decode` says what the payload
    is: JSON, or the body's bytes.
    A `conditional` one carries the validators of the last answer; unchanged, that is given again.
    `moved_to` is where the host sent us on, in place of base URL, path and parameters.
    """

    path: str = ""
    params: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    max_bytes: int = MIB
    json_body: bytes | None = None
    decode: Literal["json", "bytes"] = "json"
    conditional: bool = False
    moved_to: str | None = field(default=None, repr=False)  # it may hold the key
    parts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a pure vendor function may know besides the query: who asks, under which plan, when.

    `now_ms` is epoch ms. `base_url` is the host that answered, empty before one did.
    """

    provider: str
    plan: str
    now_ms: int
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A good HTTP answer: whose it is, its headers, its body as JSON or as bytes, its size."""

    base_url: str
    headers: Mapping[str, str]
    payload: Any
    size: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a vendor can do. Plans are restricted by operation.

    `build` gives the calls of a query; `parse` turns their payloads into the model, or raises
    any exception: the client converts it to a MalformedResponse. `serves` is True where the
    operation can answer the query under the context's plan.
    """

    name: str
    query_type: type[Query[Any]]
    build: Callable[[Any, Context], tuple[Call, ...]]
    parse: Callable[[Any, Sequence[Any], Context], Any]
    serves: Callable[[Any, Context], bool] = lambda _query, _context: True
    #: Parsing takes long enough (tens of ms) to be done in a thread.
    parse_in_thread: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """One vendor.

    `error_code` reads the vendor's own code out of an error body; `errors` maps (HTTP status,
    code) to what it means, None in a pair standing for any; what the table does not name falls
    to the client's defaults. `banned_until_ms` reads an end of a ban that stands in the text.
    `quota_reset_s` (code, now in epoch ms): seconds to the reset of the quota that `code` calls
    spent, None where the vendor's documentation does not fix it.
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


@dataclass(frozen=True, slots=True)
class PushFeed:
    """A vendor's WebSocket that pushes ticks, described.

    `path` stands behind the base URL and asks for the first subjects; `ask` and `drop` give the
    text frame that asks for more subjects, or lets some go (the number tells its answer apart).
    `parse` turns one decoded frame into a tick, None for one that holds none, and raises on junk;
    `is_shutdown_notice` knows the frame that announces the connection's end. A subject that says
    nothing for `silence_s` is not flowing; one that `always_tells` is then not just quiet.
    """

    base_url: str
    connects: Window
    commands_per_s: float
    most_subjects: int
    path: Callable[[Sequence[TickSubject]], str]
    ask: Callable[[Sequence[TickSubject], int], str]
    drop: Callable[[Sequence[TickSubject], int], str]
    parse: Callable[[Any, Context], Tick | None]
    is_shutdown_notice: Callable[[Any], bool]
    silence_s: Callable[[TickSubject], float]
    always_tells: Callable[[TickSubject], bool] = lambda _subject: False


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider's place in the registry: a vendor, and the plans that a key or none gives.

    Without `keyless` the provider needs a key; without `keyed` it takes none. `other_plans` are
    keyed ones that `<NAME>_PLAN` chooses in place of `keyed`. Providers with the same `ledger` may
    share one account's limits. `push` describes its push stream. `tiers` maps a kind of query, or
    `kind.operation`, to the provider's tier; the registry fills it in from its table.
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
        """0 is asked first. Providers of the same tier take turns."""
        default = self.tiers.get(query.kind, 0)
        return self.tiers.get(f"{query.kind}.{operation.name}", default)

    @property
    def key_variable(self) -> str:
        return f"{self.name.upper()}_API_KEY"
