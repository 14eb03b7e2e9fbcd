"""The parameters of CoinGecko's paths: the one spelling of each value, and a description."""

import re
from collections.abc import Mapping

from api.facades.vendor_paths import Parameter, Spelling, lower, lower_list

#: Most rows of a page.
MOST_ROWS = 250
MOST_DECIMALS = 18
#: Digits of a whole number; with more it is no count of days, pages or seconds.
LONGEST_NUMBER = 12
#: Words for true and false.
ON, OFF = ("true", "1", "t", "yes", "on"), ("false", "0", "f", "no", "off")
_DAYS = re.compile(r"\d{1,5}(\.\d{1,4})?", re.ASCII)
_DATE = re.compile(r"(\d{1,2})-(\d{1,2})-(\d{4})")


def unless(default: str, spelling: Spelling) -> Spelling:
    """As `spelling`, but nothing for the default: a question that names it is the same one."""

    def spelt(text: str) -> str:
        found = spelling(text)
        return "" if found == default else found

    return spelt


def stripped(text: str) -> str:
    return text.strip()


def plain_list(text: str) -> str:
    """Of a comma list whose names may differ by case (of contracts, of coins' names): each name
    once, in order."""
    return ",".join(sorted({one.strip() for one in text.split(",")} - {""}))


def switch(text: str) -> str:
    """`true` or `false`; CoinGecko also takes the other usual words."""
    found = lower(text)
    if found in ON:
        return "true"
    if found in OFF:
        return "false"
    raise ValueError("must be true or false")


def whole_number(text: str) -> str:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER):
        raise ValueError("must be a whole number")
    return str(int(digits))


def page_number(text: str) -> str:
    return str(max(1, int(whole_number(text))))


def rows_of_a_page(text: str) -> str:
    """As CoinGecko: never more rows than it has on a page."""
    return str(min(MOST_ROWS, max(1, int(whole_number(text)))))


def days(text: str) -> str:
    """A number, also of parts of a day, or `max`."""
    found = lower(text)
    if found == "max":
        return found
    if not _DAYS.fullmatch(found):
        raise ValueError("must be a number of days, or max")
    return f"{float(found):g}" if "." in found else str(int(found))


def decimals(text: str) -> str:
    found = lower(text)
    if found == "full" or (found.isascii() and found.isdigit() and int(found) <= MOST_DECIMALS):
        return found if found == "full" else str(int(found))
    raise ValueError(f"must be full, or 0 to {MOST_DECIMALS}")


def date(text: str) -> str:
    """`dd-mm-yyyy`; other forms as they are sent."""
    found = _DATE.fullmatch(text.strip())
    return f"{int(found[1]):02d}-{int(found[2]):02d}-{found[3]}" if found else text.strip()


def off(description: str) -> Parameter:
    """A switch that is off by default."""
    return Parameter(unless("false", switch), f"{description}; default `false`", "true")


def on(description: str) -> Parameter:
    """A switch that is on by default."""
    return Parameter(unless("true", switch), f"{description}; default `true`", "false")


COIN = Parameter(stripped, "CoinGecko's id of the coin", "bitcoin")
PLATFORM = Parameter(stripped, "CoinGecko's id of the blockchain", "ethereum")
CONTRACT = Parameter(
    stripped, "address of the token's contract", "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"
)
EXCHANGE = Parameter(stripped, "CoinGecko's id of the exchange", "binance")
CURRENCY = Parameter(lower, "currency of all amounts", "usd", is_required=True)
CURRENCIES = Parameter(
    lower_list, "comma list of the currencies of all amounts", "usd", is_required=True
)
DAYS = Parameter(days, "number of days up to now, or `max`", "1", is_required=True)
PRECISION = Parameter(decimals, "decimals of prices: `full`, or 0 to 18", "2")
PAGE = Parameter(unless("1", page_number), "number of the page, from 1", "1")
PER_PAGE = Parameter(unless("100", rows_of_a_page), "rows of a page, 1 to 250; default 100", "50")
DEX_PAIRS = Parameter(
    unless("contract_address", lower), "names of tokens: `contract_address` or `symbol`", "symbol"
)
STATUS = Parameter(unless("active", lower), "`active` or `inactive`", "active")

#: Which coins; of several the first counts.
COINS: Mapping[str, Parameter] = {
    "ids": Parameter(lower_list, "comma list of CoinGecko's ids", "bitcoin,ethereum"),
    "names": Parameter(plain_list, "comma list of coins' names", "Bitcoin"),
    "symbols": Parameter(lower_list, "comma list of tickers", "btc,eth"),
    "include_tokens": Parameter(
        unless("top", lower), "of coins with the same ticker `top` or `all`", "top"
    ),
}
#: What comes with a price.
INCLUDED: Mapping[str, Parameter] = {
    "include_market_cap": off("with the market cap"),
    "include_24hr_vol": off("with the volume of 24 h"),
    "include_24hr_change": off("with the change over 24 h in percent"),
    "include_last_updated_at": off("with the time of the price, in epoch seconds"),
    "precision": PRECISION,
}
SERIES: Mapping[str, Parameter] = {"vs_currency": CURRENCY, "days": DAYS}
INTERVAL = Parameter(lower, "`hourly` or `daily`; by default it depends on the range", "daily")
RANGE: Mapping[str, Parameter] = {
    "vs_currency": CURRENCY,
    "from": Parameter(stripped, "first time, in epoch seconds", "1795046400", is_required=True),
    "to": Parameter(stripped, "last time, in epoch seconds", "1795132800", is_required=True),
    "interval": INTERVAL,
    "precision": PRECISION,
}
DAY = Parameter(date, "the day, as `dd-mm-yyyy`", "30-12-2025", is_required=True)
TEXT = Parameter(stripped, "what is looked for", "bitcoin", is_required=True)


def order(default: str, example: str) -> Parameter:
    return Parameter(unless(default, lower), f"order of the rows; default `{default}`", example)


def choice(description: str, example: str) -> Parameter:
    return Parameter(lower, description, example)
