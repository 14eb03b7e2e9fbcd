"""Instruments: what names them, and which of them stand for a coin."""

import ast
from pathlib import Path

import pytest

from backend.identity.instruments import (
    DOLLAR,
    QUOTES,
    Instrument,
    guessed_instruments,
    instrument_at,
)
from tests.test_laws import ROOT, sources

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


def test_before_any_list_each_venue_is_expected_to_trade_a_coin_in_its_own_spelling() -> None:
    guessed = guessed_instruments("BTC")
    assert [(one.venue, one.symbol) for one in guessed] == [
        ("binance", "BTCUSDT"),
        ("coinbase", "BTC-USD"),
        ("okx", "BTC-USDT"),
        ("bitstamp", "btcusd"),
        ("kraken", "BTC/USD"),
    ]
    assert {one.currency for one in guessed} == {"USD"}


def test_a_guess_in_another_currency_names_books_in_that_currency_only() -> None:
    in_pounds = guessed_instruments("BTC", "GBP", listed=("coinbase",))
    assert [one.symbol for one in in_pounds] == ["btcgbp", "BTC/GBP"]
    assert guessed_instruments("BTC", "JPY") == ()


@pytest.mark.parametrize("ticker", ["B" * 197, "B\u200d"], ids=ascii)
def test_no_instrument_is_guessed_for_a_ticker_that_gives_no_valid_name(ticker: str) -> None:
    assert guessed_instruments(ticker) == ()


def test_no_other_module_builds_a_venues_spelling() -> None:
    """Texts may name pairs as examples for readers; code may not compose or compare them."""
    owners = ("backend/identity/", "backend/providers/vendors/")
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sources("backend")
        if not str(path.relative_to(ROOT)).startswith(owners)
        for text in texts_in(path)
        if any(quote in text for quote in QUOTES if quote != DOLLAR)
    ]
    assert found == []


def texts_in(path: Path) -> list[str]:
    """All string constants of a module but its docstrings."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [
        node.value for node in constants if isinstance(node.value, str) and id(node) not in docs
    ]
