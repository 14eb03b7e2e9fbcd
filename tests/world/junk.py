"""Good bodies spoiled: absurd values, old stamps, other names, in every vendor's own shape."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.world import data
from tests.world.messages import Reply

Change = Callable[[float], float]

#: Where each vendor's figures stand: the one that readers see first, and all that go with it.
PRICES = frozenset("current_price lastPrice last close price value".split())
TOTALS = frozenset("total_market_cap market_cap_usd".split())
GAS = frozenset("SafeGasPrice ProposeGasPrice FastGasPrice baseFeePerGas reward".split())
BITCOIN = frozenset("fastestFee halfHourFee hourFee economyFee minimumFee 1 3 6".split())
FIRST = PRICES | TOTALS | GAS | BITCOIN
CHANGES = frozenset("price_change_24h priceChange".split())
ALL = (
    FIRST
    | CHANGES
    | frozenset("high_24h low_24h market_cap highPrice lowPrice quoteVolume".split())
    | frozenset("open open_24 high low vwap".split())
    | frozenset("open24h high24h low24h volCcy24h".split())
)
#: Instants, in epoch ms, in epoch seconds as text, and in ISO 8601.
STAMPS = frozenset("last_updated updated_at closeTime openTime timestamp ts".split())
#: Their places in a candle: Binance's has twelve fields, Coinbase's six, CoinGecko's five.
CANDLE_PRICES, CANDLE_TIMES = (1, 2, 3, 4), (0, 6)
#: Figures below this are seconds.
FIRST_MS = 1e11
Rewrite = Callable[[Any], Any]


def spoiled(change: Change, names: frozenset[str] = FIRST) -> Callable[[Reply], Reply]:
    """Every figure under `names` changed, and every price of a candle."""
    return _rewritten(names, CANDLE_PRICES, lambda value: _changed(value, change))


def older(by: timedelta) -> Callable[[Reply], Reply]:
    """Every stamp moved back."""
    return _rewritten(STAMPS, CANDLE_TIMES, lambda value: _moved(value, by))


def renamed(reply: Reply) -> Reply:
    """Every field, or tag of an item, has another name."""
    if reply.content_type != "application/json":
        other = re.sub(rb"<(/?)(title|link|pubDate)>", rb"<\1\2-v2>", reply.body)
        return Reply(reply.status, other, {}, reply.content_type)
    return _as_json(reply, _with_other_names(json.loads(reply.body)))


def _rewritten(
    names: frozenset[str], places: tuple[int, ...], rewrite: Rewrite
) -> Callable[[Reply], Reply]:
    def apply(reply: Reply) -> Reply:
        return _as_json(reply, _walked(json.loads(reply.body), names, places, rewrite))

    return apply


def _as_json(reply: Reply, value: Any) -> Reply:
    return Reply(reply.status, data.to_json(value), reply.headers)


def _walked(value: Any, names: frozenset[str], places: tuple[int, ...], rewrite: Rewrite) -> Any:
    if isinstance(value, dict):
        return {
            key: _everywhere(inner, rewrite)
            if key in names
            else _walked(inner, names, places, rewrite)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _candle(inner, places, rewrite)
            if isinstance(inner, list)
            else _walked(inner, names, places, rewrite)
            for inner in value
        ]
    return value


def _candle(row: list[Any], places: tuple[int, ...], rewrite: Rewrite) -> list[Any]:
    return [rewrite(inner) if at in places else inner for at, inner in enumerate(row)]


def _everywhere(value: Any, rewrite: Rewrite) -> Any:
    if isinstance(value, list):
        return [_everywhere(inner, rewrite) for inner in value]
    if isinstance(value, dict):
        return {key: _everywhere(inner, rewrite) for key, inner in value.items()}
    return rewrite(value)


def _changed(value: Any, change: Change) -> Any:
    """Of the type that it was: numbers, decimal and hexadecimal texts."""
    if not isinstance(value, str):
        return change(value)
    if not value:  # OKX's of a pair that is not open yet
        return value
    if not value.startswith("0x"):
        return f"{change(float(value)):.9f}".rstrip("0").rstrip(".")
    figure = change(int(value, 16))
    return hex(int(figure)) if figure == figure else "NaN"  # noqa: PLR0124 - NaN is not itself


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, int | float):
        in_seconds = value < FIRST_MS
        return int(value - by.total_seconds() * (1 if in_seconds else 1000))
    if value.isdecimal():
        return str(_moved(int(value), by))
    if re.fullmatch(r"\d+\.\d+", value):  # a volume in the place of a time
        return value
    moved = datetime.fromisoformat(value) - by
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_other_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{key}_v2": _with_other_names(inner) for key, inner in value.items()}
    return [_with_other_names(inner) for inner in value] if isinstance(value, list) else value
