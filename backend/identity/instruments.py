"""Instruments: what a venue trades. A coin is not an instrument: several venues trade one coin.

No other module but a vendor's own file knows how a venue spells an instrument.
"""

from dataclasses import dataclass

#: Dollar coins that price a coin, in order of preference.
QUOTES = ("USDT", "FDUSD", "USDC")
#: What readers write for dollars in a pair; longer names first, as `BTCFDUSD` ends with `USD`.
DOLLARS = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD")
#: National currencies that venues trade like coins: EURUSDT is not a coin's pair.
FIAT = frozenset("ARS AUD BRL COP CZK EUR GBP IDR JPY MXN NGN PLN RON RUB TRY UAH ZAR".split())
#: Longest name of a currency or an instrument, in characters.
LONGEST_SYMBOL = 200


@dataclass(frozen=True, slots=True)
class Instrument:
    """One coin against one currency at one venue.

    `venue` is the provider's name (`binance`), `base` the coin's ticker (`BTC`), `quote` the
    currency (`USDT`), `symbol` the venue's own spelling (`BTCUSDT`). Raises ValueError where one
    of them is empty, too long or not printable.
    """

    venue: str
    base: str
    quote: str
    symbol: str

    def __post_init__(self) -> None:
        for text in (self.venue, self.base, self.quote, self.symbol):
            if not 0 < len(text) <= LONGEST_SYMBOL or not text.isprintable():
                raise ValueError("an instrument's names must be short printable texts")


def guessed_instruments(base: str) -> tuple[Instrument, ...]:
    """The instruments that probably stand for a coin, before any venue has listed its own; none
    for a ticker of which no venue can make a name."""
    try:
        return (Instrument("binance", base, "USDT", f"{base}USDT"),)
    except ValueError:
        return ()


def instrument_at(venue: str, instruments: tuple[Instrument, ...]) -> Instrument | None:
    """The first of `instruments` that `venue` trades."""
    return next((one for one in instruments if one.venue == venue), None)
