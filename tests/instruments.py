"""Instruments as Binance spells them, and those of a market by ticker."""

from backend.identity.instruments import Instrument
from backend.models.market import Market
from backend.providers.vendors.binance import instrument_of


def instrument(symbol: str, venue: str = "binance") -> Instrument:
    found = instrument_of(venue, symbol)
    assert found, f"{symbol} is not a coin against a dollar coin"
    return found


def instruments(*symbols: str) -> tuple[Instrument, ...]:
    return tuple(map(instrument, symbols))


def symbols_of(market: Market) -> dict[str, str] | None:
    """By ticker, the spelling of the first instrument of each coin that has one."""
    if market.instruments is None:
        return None
    return {
        coin.symbol: found[0].symbol
        for coin in market.coins
        if (found := market.instruments.get(coin.key))
    }
