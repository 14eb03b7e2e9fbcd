"""Answers of the protocol for the documentation, shortened."""

from typing import Any

SYMBOL = {
    "name": "BTC",
    "ticker": "bitcoin",
    "description": "Bitcoin / US Dollar",
    "type": "crypto",
    "session": "24x7",
    "timezone": "Etc/UTC",
    "exchange": "GATEWAY",
    "pricescale": 100,
    "minmov": 1,
}
SEARCH = [
    {
        "symbol": "BTC",
        "full_name": "GATEWAY:BTC",
        "description": "Bitcoin",
        "exchange": "GATEWAY",
        "ticker": "bitcoin",
        "type": "crypto",
    }
]
HISTORY = {
    "s": "ok",
    "t": [1_795_672_800],
    "o": [60_783.4],
    "h": [61_253.3],
    "l": [60_662.45],
    "c": [61_240.5],
    "v": [85.67],
}
QUOTES: dict[str, Any] = {
    "s": "ok",
    "d": [{"s": "ok", "n": "BTC", "v": {"lp": 61_240.5, "ch": -2_854.81, "chp": -4.662}}],
}
