"""Parses tables of exchange rates: a wrong rate is left out and named."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from backend.models.rates import ExchangeRates
from backend.providers.rows import parse_rows

#: Most rates of an answer; Coinbase has about 640.
MOST_RATES = 5_000
#: Letters only: `00` and `ETH2` are no currencies that readers ask for.
_CODE = re.compile(r"[A-Z]{2,10}")
#: Currencies that are withdrawn from use; some tables still have their last rates.
WITHDRAWN = frozenset("BGN BYR EEK HRK LTL LVL MRO MTL STD VEF ZMK".split())
#: The dollar's own rate may be off by rounding only.
OWN_RATE_ERROR = 1e-6


def _code_of(row: tuple[Any, Any]) -> Any:
    return row[0]


def exchange_rates(
    table: Any, parse: Callable[[Any], float], *, as_of: datetime | None
) -> ExchangeRates:
    """The rates by currency, the dollar's own included.

    `parse` makes a number of a table's value. Raises TypeError, and ValueError if less than half
    of the rates can be used, or if the table is not one of the dollar.
    """
    if not isinstance(table, Mapping):
        raise TypeError("the rates are not a table")

    def parse_rate(row: tuple[Any, Any]) -> tuple[str, float]:
        code, value = row
        if not _CODE.fullmatch(code) or code in WITHDRAWN:
            raise ValueError("not a currency in use")
        rates = ExchangeRates({code: parse(value)}).rates  # refuses zero and other wrong numbers
        return code, rates[code]

    rows, refused = parse_rows(list(table.items()), parse_rate, _code_of, most=MOST_RATES)
    rates = dict(rows)
    if abs(rates.setdefault("USD", 1.0) - 1) > OWN_RATE_ERROR:
        raise ValueError("the rates are not those of the dollar")
    return ExchangeRates(rates, as_of, refused)
