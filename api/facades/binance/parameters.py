"""The parameters of Binance's API that are passed on: how each is spelt, and what it means.

What is sent on is short words and numbers only. Binance's firewall blocks an address for hours when
a parameter looks like an attack, and that would cost the gateway's own prices.
"""

import re
from dataclasses import replace

import orjson

from api.facades.binance.dialect import INVALID, Refused
from api.facades.vendor_paths import Parameter, Spelling, boolean

#: Most symbols of one question; the vendor takes as many in most places.
MOST_SYMBOLS = 100
#: As the vendor has it, whose symbols may also be in other scripts (its change log, 2025-12). Lower
#: case is passed on: the vendor refuses it.
_SYMBOL = re.compile(r"[\w.-]{1,20}")
SYMBOL_RANGE = "legal range is '^[A-Z0-9-_.]{1,20}$'"
_WORD = re.compile(r"\w{1,40}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,20}")
_ZONE = re.compile(r"[+-]?[0-9]{1,2}(:[0-9]{2})?")


def matching(pattern: re.Pattern[str], legal: str) -> Spelling:
    def spelt(text: str) -> str:
        if not pattern.fullmatch(text.strip()):
            raise ValueError(legal)
        return text.strip()

    return spelt


word = matching(_WORD, r"legal range is '^\w{1,40}$'")
symbol = matching(_SYMBOL, SYMBOL_RANGE)
#: A plus sign that was not encoded has become a space.
time_zone = matching(_ZONE, "legal range is '^[+-]?[0-9]{1,2}(:[0-9]{2})?$'")


def number(text: str) -> str:
    """Without zeros before it."""
    if not _DIGITS.fullmatch(text.strip()):
        raise ValueError("legal range is '^[0-9]{1,20}$'")
    return str(int(text))


def symbols(text: str) -> str:
    """A JSON array of symbols without spaces. Their order stays, as that of the answer may depend
    on it. Raises Refused for too many."""
    names = _array(text)
    if len(names) > MOST_SYMBOLS:
        raise Refused(INVALID, f"Parameter 'symbols' has more than {MOST_SYMBOLS} symbols.")
    if not names or not all(_SYMBOL.fullmatch(name) for name in names):
        raise ValueError(SYMBOL_RANGE)
    return orjson.dumps(names).decode()


def permissions(text: str) -> str:
    """One word, or a JSON array of words."""
    if not text.strip().startswith("["):
        return word(text)
    return orjson.dumps([word(name) for name in _array(text)[:MOST_SYMBOLS]]).decode()


def _array(text: str) -> list[str]:
    """Raises ValueError for what is no JSON array of texts."""
    names = orjson.loads(text) if text.strip().startswith("[") else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("it must be a JSON array of texts")
    return names


SYMBOL = Parameter(symbol, "A pair, in Binance's spelling.", "BTCUSDT")
ONE_SYMBOL = replace(SYMBOL, is_required=True)
SYMBOLS = Parameter(
    symbols,
    f"A JSON array of at most {MOST_SYMBOLS} pairs, in place of `symbol`.",
    '["BTCUSDT","ETHUSDT"]',
)
STATUS = Parameter(word, "`TRADING`, `HALT` or `BREAK`; not with a pair.", "TRADING")
INTERVAL = Parameter(
    word, "`1s`, `1m` … `1d`, `3d`, `1w`, `1M`; case matters.", "1h", is_required=True
)
START = Parameter(number, "Epoch milliseconds of the first one.", "1767225600000")
END = Parameter(number, "Epoch milliseconds of the last one, inclusive.", "1767312000000")
ZONE = Parameter(time_zone, "The time zone of the candles, `-12:00` to `14:00`.", "0")
FROM_ID = Parameter(number, "The id of the first trade.", "28457")
KIND = Parameter(word, "`FULL`, or `MINI` with fewer fields.", "FULL")
WINDOW = Parameter(word, "`1m` … `59m`, `1h` … `23h`, `1d` … `7d`.", "1d")
PERMISSIONS = Parameter(permissions, "A permission, or a JSON array of them.", "SPOT")
PERMISSION_SETS = Parameter(boolean, "Whether `permissionSets` are included.", "false")


def limit(usual: int, most: int) -> Parameter:
    return Parameter(number, f"Rows, at most {most}; {usual} without it.", str(usual))
