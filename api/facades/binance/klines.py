"""Questions for candles: made equal where their answers are, and the newest ones cut from one."""

from dataclasses import replace

import orjson

from api.encoding import to_json
from backend.models.ohlc import DAY, Interval
from backend.models.pass_through import PassThroughQuery

#: Rows of the newest candles that are asked for, whatever the client's limit: the weight is equal.
PAGE = 1_000
USUAL_LIMIT = 500
#: Candles that are over do not change. The vendor's clock and its database may be late, in ms.
SETTLED_MS = 60_000
CLOSED_TTL_S, CLOSED_STALE_S = 86_400.0, 7 * 86_400.0
#: Length of the longest candle of each interval.
LENGTHS_MS = {"1s": 1_000, **{str(one): one.step_ms for one in Interval}, "1M": 31 * DAY}
#: Those whose candles open on a known grid in UTC. Months differ in length, and no document says
#: which day begins three.
ON_GRID = frozenset(Interval) - {Interval.MONTH, Interval.D3}


def normalized(query: PassThroughQuery, now_ms: int) -> PassThroughQuery:
    """The same question with its range on the interval's grid, and fresh for a day if all of its
    candles are over."""
    parameters = dict(query.params)
    is_over = _is_over(parameters, now_ms)
    changed = replace(query, params=tuple(sorted({**parameters, **_on_grid(parameters)}.items())))
    if is_over:
        return replace(changed, ttl_s=CLOSED_TTL_S, max_stale_s=CLOSED_STALE_S)
    return changed


def newest_limit(query: PassThroughQuery) -> int | None:
    """How many of the newest candles the question is for; None for any other question."""
    parameters = dict(query.params)
    if "startTime" in parameters or "endTime" in parameters:
        return None
    limit = int(parameters.get("limit", USUAL_LIMIT))
    return limit if 1 <= limit <= PAGE else None  # the vendor's matter


def whole_page(query: PassThroughQuery) -> PassThroughQuery:
    parameters = {**dict(query.params), "limit": str(PAGE)}
    return replace(query, params=tuple(sorted(parameters.items())))


def newest_rows(body: bytes, count: int) -> bytes:
    """The last rows of an array. Encoded again they are equal: texts and whole numbers only."""
    rows = orjson.loads(body)
    return to_json(rows[-count:]) if isinstance(rows, list) else body


def _is_over(parameters: dict[str, str], now_ms: int) -> bool:
    """Candles are selected by their opens. The last one opens at the end of the range at most."""
    length_ms = LENGTHS_MS.get(parameters.get("interval", ""))
    if length_ms is None or "endTime" not in parameters:
        return False
    return int(parameters["endTime"]) + length_ms + SETTLED_MS <= now_ms


def _on_grid(parameters: dict[str, str]) -> dict[str, str]:
    """The range from the first open in it to the last; nothing where there may be none, or where
    the grid is not known."""
    interval = parameters.get("interval", "")
    if parameters.get("timeZone", "0") != "0" or interval not in ON_GRID:
        return {}
    grid, rounded = Interval(interval), dict[str, int]()
    if "startTime" in parameters:
        rounded["startTime"] = grid.open_of(int(parameters["startTime"]) + grid.step_ms - 1)
    if "endTime" in parameters:
        rounded["endTime"] = grid.open_of(int(parameters["endTime"]))
    is_empty = len(rounded) == 2 and rounded["startTime"] > rounded["endTime"]
    is_early = min(rounded.values(), default=0) < 0  # before the first Monday
    return {} if is_empty or is_early else {name: str(at) for name, at in rounded.items()}
