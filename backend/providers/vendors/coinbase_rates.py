"""Coinbase's exchange rates of the dollar, for national currencies and coins; no key.

Documentation: docs.cdp.coinbase.com (Exchange rates, v2). The rates are live, but have no time.
"""

import re
from collections.abc import Sequence
from typing import Any

from backend.models.rates import ExchangeRates, RatesQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rates import exchange_rates
from backend.providers.rows import decimal_number

PUBLIC = Plan("public", ("https://api.coinbase.com",), (Window(6, 60),))
#: Largest error by rounding: `0.88` may be off by 0.6 %, `1` by half.
MOST_ROUNDING = 0.01

build_rates = Call("/v2/exchange-rates", (("currency", "USD"),), max_bytes=256 * KIB).always


def parse_rates(_query: RatesQuery, payloads: Sequence[Any], _context: Context) -> ExchangeRates:
    """Rates of zero, rounded too far, or of odd codes are left out and named."""
    data = payloads[0]["data"]
    if data["currency"] != "USD":
        raise ValueError("the rates are not those of the dollar")
    return exchange_rates(data["rates"], _rate, as_of=None)


def _rate(text: str) -> float:
    """The rate. Raises ValueError where its digits are too few to convert an amount."""
    rate = decimal_number(text)
    half_a_step = 0.5 / 10 ** len(re.sub(r"^[^.]*\.?", "", text))
    if half_a_step > MOST_ROUNDING * rate:
        raise ValueError("zero, or rounded too far")
    return rate


ADAPTER = Adapter(
    vendor="coinbase_rates",
    operations=(Operation("exchange_rates", RatesQuery, build_rates, parse_rates),),
)
