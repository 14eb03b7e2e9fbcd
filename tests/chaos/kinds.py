"""Kinds of faults that are met one after the other in one life: odd bytes, odd rows, odd words.

Each at 4 a minute, with its rivals well and alone.
"""

from tests.chaos.rows import GAS, LISTS, Row, limited, told
from tests.chaos.subjects import VENUES

#: Why a fault says nothing about some.
NO_ROWS = {**dict.fromkeys(GAS, "gas has no rows"), "global": "the whole market has no rows"}
NESTED = dict.fromkeys(LISTS, "its rows have figures one level deeper")
NO_NAMES = {
    **dict.fromkeys(GAS, "gas has no names"),
    **dict.fromkeys(VENUES, "its pairs are identifiers"),
    "global": "the whole market has no names",
    "ohlc": "candles are numbers",
}
NO_TEXTS = {
    **dict.fromkeys(
        (f"{name} (ohlc)" for name in ("coingecko_pro", "coingecko_free", "coinbase", "okx")),
        "candles are numbers",
    ),
    **dict.fromkeys(("mempool_space", "esplora"), "a height is a number"),
}
#: Coinbase's rows are found by their names.
NO_LIST = {"coinbase (market)": "its list is an object"}
NO_SUPPLY = {
    **dict.fromkeys(VENUES, "it tells no supply"),
    **dict.fromkeys(("ohlc", "news", "sentiment", "gas", "global"), "no coins"),
}


def tolerated(
    name: str, fault: str, not_for: dict[str, str] | None = None, is_told: bool = False
) -> Row:
    """Whoever sends it stays as well as he was, and his answer is good."""
    return Row(name, fault, not_for=not_for or {}, tolerant=("all",), is_told=is_told)


def broken(
    name: str, fault: str, reason: str = "bad_payload", not_for: dict[str, str] | None = None
) -> Row:
    return Row(name, fault, reasons=(reason,), not_for=not_for or {})


KINDS = (
    tolerated("odd Set-Cookie", "odd_cookie"),
    tolerated("odd ETag and Last-Modified", "odd_validators"),
    broken("redirect to `javascript:x`", "redirect_script"),
    broken("redirect to `http://xn--/`", "redirect_xn"),
    tolerated("bytes behind a complete answer", "bytes_behind"),
    broken("body shorter than promised", "short_body", "connect_error"),
    broken("truncated gzip", "truncated_gzip"),
    tolerated("several gzip members", "gzip_members"),
    tolerated("Content-Encoding that means nothing", "odd_encoding"),
    tolerated("a byte order mark", "bom"),
    tolerated("one null row", "null_row", NO_ROWS, is_told=True),
    tolerated("one row without its id", "no_id", NO_ROWS | NO_LIST, is_told=True),
    tolerated("one absurd row", "absurd_row", {**NO_ROWS, **NESTED}, is_told=True),
    broken("two of three rows null", "bad_majority", not_for=NO_ROWS),
    tolerated("a supply of 1.7e308", "huge_supply", NO_SUPPLY, is_told=True),
    tolerated("half a character", "surrogate", NO_TEXTS),
    tolerated("control characters in a name", "control_characters", NO_NAMES),
    broken("14,500 rows", "many_rows", not_for=NO_ROWS | NO_LIST),
    broken("a list of 26 MB", "large_list", not_for=NO_ROWS | NO_LIST),
    limited("429 of a daily quota with Retry-After 5", "429_daily", told(5)),
)
#: Its world speaks TLS.
TLS_KIND = broken("damaged TLS record", "damaged_record", "connect_error")
ALL_KINDS = (*KINDS, TLS_KIND)
