"""The two Fear & Greed indices: their rows and envelopes as the vendors write them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backend.errors import MalformedResponse
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan
from backend.providers.client import parsed
from backend.providers.vendors import alternative_me, coinmarketcap
from tests.clocks import EPOCH, EPOCH_MS

TODAY = EPOCH.replace(hour=0)
TODAY_MS = int(TODAY.timestamp() * 1000)


@dataclass(frozen=True)
class Index:
    """A vendor, a good row with changes (`...` leaves a field out), and rows in an envelope.

    `bad_values` and `bad_stamps` are no value and no time to this vendor.
    """

    adapter: Adapter
    plan: Plan
    sample: dict[str, Any]
    envelope: Callable[..., dict[str, Any]]
    bad_values: tuple[Any, ...]
    bad_stamps: tuple[Any, ...]

    def __str__(self) -> str:
        return self.adapter.vendor

    @property
    def operation(self) -> Operation:
        (operation,) = self.adapter.operations_for(SentimentQuery())
        return operation

    @property
    def call(self) -> Call:
        (call,) = self.operation.build(SentimentQuery(), self.context())
        return call

    def context(self, now_ms: int = EPOCH_MS) -> Context:
        return Context(str(self), self.plan.name, now_ms)

    def row(self, days_ago: int = 0, **changes: Any) -> dict[str, Any]:
        stamp = str(int((TODAY - timedelta(days=days_ago)).timestamp()))
        found = self.sample | {"timestamp": stamp} | changes
        return {name: value for name, value in found.items() if value is not ...}

    def series(self, *rows: Any, now_ms: int = EPOCH_MS) -> FearGreedSeries:
        return self.parse(self.envelope(*rows), now_ms)

    def parse(self, payload: Any, now_ms: int = EPOCH_MS) -> FearGreedSeries:
        """By the vendor's function alone. Raises whatever it raises."""
        found = self.operation.parse(SentimentQuery(), [payload], self.context(now_ms))
        assert isinstance(found, FearGreedSeries)
        return found

    def is_malformed(self, payload: Any) -> bool:
        """To the client, which turns the vendor's errors into ours."""
        try:
            parsed(self.operation.parse, SentimentQuery(), [payload], self.context())
        except MalformedResponse:
            return True
        return False


def _alternative_me_envelope(*rows: Any, error: Any = None) -> dict[str, Any]:
    return {"name": "Fear and Greed Index", "data": list(rows), "metadata": {"error": error}}


def _coinmarketcap_envelope(*rows: Any, code: Any = "0") -> dict[str, Any]:
    status = {"timestamp": "2026-11-22T08:00:00.000Z", "error_code": code, "error_message": ""}
    return {"data": list(rows), "status": status | {"elapsed": 3, "credit_count": 0}}


NAN = float("nan")
BAD_VALUES: tuple[Any, ...] = (
    "101",
    "-1",
    "13.5",
    "x",
    "",
    " 13",
    "1_3",
    "٤١",
    13.5,
    NAN,
    True,
    None,
    [],
    {},
    ...,
)
BAD_STAMPS: tuple[Any, ...] = ("today", "", "-5", "0", "2026-11-22", str(TODAY_MS), None)
ALTERNATIVE_ME = Index(
    alternative_me.ADAPTER,
    alternative_me.PUBLIC,
    {"value": "41", "value_classification": "Fear"},
    _alternative_me_envelope,
    (*BAD_VALUES, "1e1", "NaN", 13),
    # 1517443199 is the second before the index began.
    (*BAD_STAMPS, "1795305600.5", "1517443199", 1_795_305_600),
)
COINMARKETCAP = Index(
    coinmarketcap.ADAPTER,
    coinmarketcap.KEYLESS,
    {"value": 41, "value_classification": "Neutral"},
    _coinmarketcap_envelope,
    (*BAD_VALUES, 101, -1, 13.0),
    (*BAD_STAMPS, 5, True, TODAY_MS, TODAY_MS / 1000, "2026-11-22T00:00:00", "2017-11-22T00:00Z"),
)
INDICES = (ALTERNATIVE_ME, COINMARKETCAP)
