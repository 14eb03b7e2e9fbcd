"""From what a reader writes to one coin of the market."""

import pytest

from backend.errors import NotReady, UnknownSymbol
from backend.models.market import Coin, Market
from backend.services.market.symbols import SymbolIndex


def coin(id: str | None, symbol: str, rank: int | None) -> Coin:  # noqa: A002 - the row's word
    return Coin(
        id=id,
        symbol=symbol,
        name=None,
        image=None,
        market_cap_rank=rank,
        price=10.0,
        market_cap=None,
        volume_24h=None,
        high_24h=None,
        low_24h=None,
        price_change_24h=None,
        price_change_percentage_24h=None,
        circulating_supply=None,
        last_updated=None,
        source="coingecko_free",
    )


BITCOIN = coin("bitcoin", "BTC", 1)
ETHEREUM = coin("ethereum", "ETH", 2)
RIPPLE = coin("ripple", "XRP", 3)
PEGGED_XRP = coin("pegged-xrp", "XRP", 180)
BRIDGED_XRP = coin("bridged-xrp", "XRP", None)
DOTTED = coin("bitcoin-bridged", "BTC.B", 200)
CHINESE = coin("life", "币安人生", 220)
UNIVERSE = Market(
    (BITCOIN, ETHEREUM, RIPPLE, PEGGED_XRP, DOTTED, CHINESE, BRIDGED_XRP), ranked=True
)
BARE = Market((coin(None, "BTC", None), coin(None, "ETH", None)), ranked=False)


@pytest.fixture
def index() -> SymbolIndex:
    return SymbolIndex(UNIVERSE)


@pytest.mark.parametrize(
    "text",
    [
        "BTC",
        "btc",
        "Btc",
        "bitcoin",
        "Bitcoin",
        " BTC ",
        "BTCUSDT",
        "btcusdt",
        "BTC/USDT",
        "BTC-USD",
        "BTC_USDC",
        "BTC:USDT",
        "BTC/FDUSD",
    ],
)
def test_every_spelling_of_a_coin_resolves_to_it(index: SymbolIndex, text: str) -> None:
    found = index.resolve(text)
    assert found.coin is BITCOIN
    assert found.is_best_ranked
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("btc.b", DOTTED), ("BTC.B/USDT", DOTTED), ("币安人生", CHINESE), ("币安人生USDT", CHINESE)],
)
def test_dotted_and_non_ascii_symbols_resolve(
    index: SymbolIndex, text: str, expected: Coin
) -> None:
    assert index.resolve(text).coin is expected


BTCB = coin("binance-peg-bitcoin", "BTCB", 190)
FORKS = SymbolIndex(Market((BITCOIN, BTCB), True))
ONLY_BTC, ONLY_BTCB = SymbolIndex(Market((BITCOIN,), True)), SymbolIndex(Market((BTCB,), True))


@pytest.mark.parametrize("cut", ["/", "_", ":", "-"])
@pytest.mark.parametrize("index", [FORKS, ONLY_BTCB], ids=["both", "one"])
def test_a_pair_is_cut_at_its_separator(index: SymbolIndex, cut: str) -> None:
    found = index.resolve(f"BTCB{cut}USD")
    assert (found.coin, found.warnings) == (BTCB, ())


@pytest.mark.parametrize(
    "text", ["BTCB-USD", "BTC-BUSDX", "-USDT", "BTC-", "BTC-USD-T", "BTC-B-USD"]
)
def test_a_pair_with_a_separator_is_cut_nowhere_else(text: str) -> None:
    with pytest.raises(UnknownSymbol):
        ONLY_BTC.resolve(text)


def test_a_pair_is_cut_at_its_last_separator() -> None:
    dashed = coin("dashed", "A-B", 9)
    assert SymbolIndex(Market((BITCOIN, dashed), True)).resolve("a-b/usdt").coin is dashed


LETTERS = [
    ("BTCBUSD", ("BTC", "BUSD"), ("BTCB", "USD")),
    ("btctusd", ("BTC", "TUSD"), ("BTCT", "USD")),
    ("SFDUSD", ("S", "FDUSD"), ("SFD", "USD")),
]


@pytest.mark.parametrize(("text", "long_quote", "plain"), LETTERS)
@pytest.mark.parametrize("is_plain_first", [False, True])
def test_a_pair_that_can_be_cut_twice_is_its_best_ranked_coin_and_names_the_other(
    text: str, long_quote: tuple[str, str], plain: tuple[str, str], is_plain_first: bool
) -> None:
    ranked = [plain, long_quote] if is_plain_first else [long_quote, plain]
    coins = tuple(coin(f"id-of-{base}", base, rank) for rank, (base, _) in enumerate(ranked, 1))
    found = SymbolIndex(Market(coins, True)).resolve(text)
    (base, quote), (other, dollars) = ranked
    assert found.coin is coins[0]
    assert found.warnings == (
        f"{text} is ambiguous: read as {base} against {quote}, not {other} against {dollars}; "
        f"write {other}-{dollars} for id-of-{other}",
    )


@pytest.mark.parametrize(("text", "long_quote", "plain"), LETTERS)
def test_of_two_ways_to_cut_a_pair_the_known_coin_counts(
    text: str, long_quote: tuple[str, str], plain: tuple[str, str]
) -> None:
    for base, _ in (long_quote, plain):
        only = coin("only", base, 1)
        assert SymbolIndex(Market((only,), True)).resolve(text).coin is only


@pytest.mark.parametrize(("text", "long_quote", "plain"), LETTERS)
def test_a_pair_whose_other_reading_names_no_known_coin_says_how_it_was_read(
    text: str, long_quote: tuple[str, str], plain: tuple[str, str]
) -> None:
    """A coin that is not listed is not what was asked for by its own name."""
    (base, quote), (other, dollars) = long_quote, plain
    found = SymbolIndex(Market((coin("only", base, 1),), True)).resolve(text)
    assert found.warnings == (
        f"{text} was read as {base} against {quote}, not as {other} against {dollars}, "
        "of which this market has no coin",
    )


CURVE, SONIC = coin("curve-dao-token", "CRV", 80), coin("sonic-3", "S", 90)
DOLLAR_LIKE = SymbolIndex(Market((BITCOIN, CURVE, SONIC), True))


@pytest.mark.parametrize(
    ("text", "expected", "pair"),
    [
        ("crvUSD", CURVE, "CRV-USD"),
        ("CRVUSD", CURVE, "CRV-USD"),
        ("sUSD", SONIC, "S-USD"),
        ("BTCUSD", BITCOIN, "BTC-USD"),
        ("btcusd", BITCOIN, "BTC-USD"),
        ("sUSDC", SONIC, "S-USDC"),
        ("crvUSDT", CURVE, "CRV-USDT"),
    ],
)
def test_a_possible_dollar_coin_beyond_the_list_is_a_pair_with_a_warning(
    text: str, expected: Coin, pair: str
) -> None:
    found = DOLLAR_LIKE.resolve(text)
    assert found.coin is expected
    base, quote = pair.split("-")
    assert found.warnings == (
        f"{text} was read as {base} against {quote}: write {pair} for it, "
        "or the id of a coin that has this name",
    )


@pytest.mark.parametrize("text", ["CRV-USD", "crv/usd", "CRVUSDT", "crvusdt", "SUSDC", "susdc"])
def test_an_unambiguous_pair_has_no_warning(text: str) -> None:
    assert DOLLAR_LIKE.resolve(text).warnings == ()


MEME = coin("harrypotterobamasonic10inu-eth", "BITCOIN", 900)
MEMES = SymbolIndex(Market((BITCOIN, MEME), True))


@pytest.mark.parametrize("text", ["bitcoin", "Bitcoin", "bItCoIn"])
def test_an_id_in_mixed_letters_is_the_id_and_names_the_ticker(text: str) -> None:
    found = MEMES.resolve(text)
    assert (found.coin, found.is_best_ranked) == (BITCOIN, True)
    assert found.warnings == (
        "bitcoin is the id of this coin, "
        "and BITCOIN is the ticker of harrypotterobamasonic10inu-eth",
    )


@pytest.mark.parametrize("text", ["BITCOIN", "BITCOINUSDT", "BITCOIN-USD", "bitcoin-usd"])
def test_an_id_in_capitals_is_the_ticker_and_names_the_id(text: str) -> None:
    found = MEMES.resolve(text)
    assert found.coin is MEME
    assert found.warnings == (
        "BITCOIN is the ticker of harrypotterobamasonic10inu-eth, and bitcoin is another coin's id",
    )


def test_an_exact_id_comes_before_an_exact_symbol() -> None:
    named_so, ticker_so = coin("gala", "GLX", 90), coin("gala-games", "GALA", 10)
    assert SymbolIndex(Market((ticker_so, named_so), True)).resolve("gala").coin is named_so


def test_an_exact_symbol_comes_before_a_pair() -> None:
    short, whole = coin("short", "BTC", 1), coin("whole", "BTCUSDT", 240)
    assert SymbolIndex(Market((short, whole), True)).resolve("BTCUSDT").coin is whole


def test_a_symbol_that_is_itself_a_dollar_is_no_pair() -> None:
    dollar = coin("tether", "USDT", 3)
    index = SymbolIndex(Market((BITCOIN, dollar), True))
    assert index.resolve("USDT").coin is dollar
    assert index.resolve("USDTUSD").coin is dollar


def test_the_base_of_a_pair_is_a_ticker_and_no_id() -> None:
    ticker_so, named_so = coin("gala-games", "GALA", 10), coin("gala", "GLX", 90)
    index = SymbolIndex(Market((ticker_so, named_so), True))
    assert index.resolve("GALAUSDT").coin is ticker_so


@pytest.mark.parametrize("text", ["XRP", "xrp", "XRPUSDT", "XRP/USD"])
def test_an_ambiguous_ticker_is_its_best_ranked_coin_with_a_warning(
    index: SymbolIndex, text: str
) -> None:
    found = index.resolve(text)
    assert found.coin is RIPPLE
    assert found.is_best_ranked
    (warning,) = found.warnings
    assert "XRP" in warning
    assert "ripple" in warning
    assert "pegged-xrp" in warning
    assert "bridged-xrp" in warning


@pytest.mark.parametrize(
    ("text", "expected"), [("pegged-xrp", PEGGED_XRP), ("bridged-xrp", BRIDGED_XRP)]
)
def test_the_id_of_a_lesser_coin_finds_it_but_not_as_best_ranked(
    index: SymbolIndex, text: str, expected: Coin
) -> None:
    found = index.resolve(text)
    assert found.coin is expected
    assert not found.is_best_ranked
    assert found.warnings == ()


def test_the_id_of_the_best_ranked_coin_of_a_ticker_needs_no_warning(index: SymbolIndex) -> None:
    found = index.resolve("ripple")
    assert found.coin is RIPPLE
    assert found.is_best_ranked
    assert found.warnings == ()


@pytest.mark.parametrize("text", ["ETHBTC", "ETH/BTC", "BTCEUR", "USDT", "NOPE", "/USDT", "USD"])
def test_a_text_that_is_neither_a_dollar_pair_nor_a_coin_is_unknown(
    index: SymbolIndex, text: str
) -> None:
    with pytest.raises(UnknownSymbol):
        index.resolve(text)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("bitcon", "bitcoin"), ("etherium", "ethereum"), ("riple", "ripple"), ("BTCC", "BTC")],
)
def test_a_typo_gets_the_right_name_suggested(index: SymbolIndex, typo: str, meant: str) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        index.resolve(typo)
    assert meant in caught.value.suggestions
    assert len(caught.value.suggestions) <= 5
    assert typo in str(caught.value)


def test_nonsense_gets_no_suggestion(index: SymbolIndex) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        index.resolve("qqqqqqqq")
    assert caught.value.suggestions == ()


@pytest.mark.parametrize(
    "text",
    ["", "   ", "x" * 10_000, "USDT" * 2_500, "-" * 10_000, "💥" * 100, "\x00\n", "%s{}<b>", "ß"],
    ids=lambda text: repr(text[:8]),
)
def test_nonsense_of_any_shape_is_only_unknown(index: SymbolIndex, text: str) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        index.resolve(text)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("text", ["BTC", "btc", "BTCUSDT", "BTC/USD", "BTC-USDC"])
def test_without_a_universe_symbols_and_pairs_still_resolve(text: str) -> None:
    found = SymbolIndex(BARE).resolve(text)
    assert found.coin is BARE.coins[0]
    assert found.is_best_ranked


@pytest.mark.parametrize("text", ["bitcoin", "NOPE", "", "x" * 10_000])
def test_without_a_universe_nothing_can_be_called_unknown(text: str) -> None:
    with pytest.raises(NotReady) as caught:
        SymbolIndex(BARE).resolve(text)
    assert caught.value.code == "not_ready"
    assert len(str(caught.value)) < 1_000


def test_the_repr_counts_ids_and_symbols(index: SymbolIndex) -> None:
    assert repr(index) == "<SymbolIndex 7 ids, 5 symbols>"
