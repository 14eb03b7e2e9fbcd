"""Currencies in which coins are priced."""

#: Dollar coins that price a coin, in order of preference.
QUOTES = ("USDT", "FDUSD", "USDC")
#: What readers write for dollars in a pair; longer names first, as `BTCFDUSD` ends with `USD`.
DOLLARS = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD")
#: National currencies that venues trade like coins: EURUSDT is not a coin's pair.
FIAT = frozenset("ARS AUD BRL COP CZK EUR GBP IDR JPY MXN NGN PLN RON RUB TRY UAH ZAR".split())
