"""Instruments: what names them, and which of them stand for a coin."""

import pytest

from backend.identity.instruments import Instrument, guessed_instruments, instrument_at

AT_BINANCE = Instrument("binance", "BTC", "USDT", "BTCUSDT")
AT_KRAKEN = Instrument("kraken", "BTC", "USD", "XBT/USD")


@pytest.mark.parametrize("name", ["", "BT\nC", "\u202eBTC", "B" * 201, "B\ud800"], ids=ascii)
@pytest.mark.parametrize("place", range(4))
def test_a_name_that_is_empty_too_long_or_not_printable_is_refused(name: str, place: int) -> None:
    names = ["binance", "BTC", "USDT", "BTCUSDT"]
    names[place] = name
    with pytest.raises(ValueError, match="short printable texts"):
        Instrument(*names)


def test_each_venue_finds_its_own_instrument() -> None:
    traded = (AT_BINANCE, AT_KRAKEN)
    assert instrument_at("kraken", traded) == AT_KRAKEN
    assert instrument_at("binance", traded) == AT_BINANCE
    assert instrument_at("okx", traded) is None


def test_before_any_list_a_coin_is_looked_for_against_usdt_at_binance() -> None:
    assert guessed_instruments("BTC") == (AT_BINANCE,)
