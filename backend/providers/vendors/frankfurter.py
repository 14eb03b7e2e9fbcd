"""Reference rates of the European Central Bank, served by Frankfurter; no key.

Documentation: frankfurter.dev (v1). New rates appear on working days at about 16:00 CET; at
weekends those of Friday stand.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backend.models.rates import ExchangeRates, RatesQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rates import exchange_rates
from backend.providers.rows import not_ahead

PUBLIC = Plan("public", ("https://api.frankfurter.dev",), (Window(4, 3_600),))
#: The longest pause of the bank is Easter's, five days.
OLDEST = timedelta(days=7)

build_rates = Call("/v1/latest", (("base", "USD"),), max_bytes=256 * KIB).always


def parse_rates(_query: RatesQuery, payloads: Sequence[Any], context: Context) -> ExchangeRates:
    """The rates and their day. Raises ValueError where they are not current, or not per dollar."""
    payload = payloads[0]
    if payload["base"] != "USD" or payload["amount"] != 1:
        raise ValueError("the rates are not those of one dollar")
    as_of = datetime.strptime(payload["date"], "%Y-%m-%d").replace(tzinfo=UTC)
    now = datetime.fromtimestamp(context.now_ms / 1000, UTC)
    if now - not_ahead(as_of, context.now_ms) > OLDEST:
        raise ValueError("the rates are not current")
    return exchange_rates(payload["rates"], lambda rate: rate, as_of=as_of)


ADAPTER = Adapter(
    vendor="frankfurter",
    operations=(Operation("latest", RatesQuery, build_rates, parse_rates),),
)
