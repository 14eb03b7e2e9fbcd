"""Instruments: what a venue trades. A coin is not an instrument: several venues trade one coin.

No other module but a vendor's own file knows how a venue spells an instrument.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

#: What prices a coin in dollars, in order of preference: the dollar, then dollar coins.
QUOTES = ("USD", "USDT", "FDUSD", "USDC")
#: Other currencies in which venues quote coins. Candles exist in these currencies and in dollars.
BOOK_CURRENCIES = ("EUR", "GBP")
DOLLAR = "USD"
#: What readers write for dollars in a pair; longer names first, as `BTCFDUSD` ends with `USD`.
DOLLARS = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD")
#: National currencies that venues trade like coins: EURUSDT is not a coin's pair.
FIAT = frozenset(
    "AED ARS AUD BRL CAD CHF COP CZK EUR GBP IDR JPY MXN NGN PLN RON RUB TRY UAH USD ZAR".split()
)
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

    @property
    def currency(self) -> str:
        """The currency of the instrument's prices: `USD` for the dollar and for dollar coins."""
        return DOLLAR if self.quote in QUOTES else self.quote


#: Coins whose ticker at Kraken is another coin's elsewhere: its LUNA is the old one, LUNC.
KRAKEN_NAMES = {"LUNC": "LUNA", "LUNA": "LUNA2"}


@dataclass(frozen=True, slots=True)
class VenueNames:
    """How a venue spells an instrument, and the quotes of its books, the preferred one of each
    currency first."""

    spell: Callable[[str, str], str]
    quotes: tuple[str, ...]


#: In the order in which candles are looked for.
VENUES: Mapping[str, VenueNames] = {
    "binance": VenueNames(lambda base, quote: base + quote, ("USDT", "EUR")),
    "coinbase": VenueNames(lambda base, quote: f"{base}-{quote}", ("USD", "EUR", "GBP")),
    "okx": VenueNames(lambda base, quote: f"{base}-{quote}", ("USDT",)),
    "bitstamp": VenueNames(lambda base, quote: (base + quote).lower(), ("USD", "EUR", "GBP")),
    "kraken": VenueNames(
        lambda base, quote: f"{KRAKEN_NAMES.get(base, base)}/{quote}", ("USD", "EUR", "GBP")
    ),
}


def guessed_instruments(
    base: str, currency: str = DOLLAR, listed: Collection[str] = ()
) -> tuple[Instrument, ...]:
    """The instruments that probably trade a coin in `currency`, at the venues that are not in
    `listed`: those have not reported their own yet. None for a ticker that gives no valid name.

    A guess proves nothing: the price of its candles must be the coin's.
    """
    found = []
    for venue, names in VENUES.items():
        in_currency = (one for one in names.quotes if (one in QUOTES) == (currency == DOLLAR))
        quote = next((one for one in in_currency if currency in (DOLLAR, one)), None)
        if quote is None or venue in listed:
            continue
        try:
            found.append(Instrument(venue, base, quote, names.spell(base, quote)))
        except ValueError:
            return ()
    return tuple(found)


def instrument_at(venue: str, instruments: tuple[Instrument, ...]) -> Instrument | None:
    """The first of `instruments` that `venue` trades."""
    return next((one for one in instruments if one.venue == venue), None)
