"""`simple/price`: from the market where that has the prices, else from CoinGecko."""

from datetime import timedelta

import pytest

from api.facades.coingecko.prices import known_at, newest_stamps, rounded
from backend.models.market import Coin, Market
from tests.api.facades.coingecko.conftest import Scene
from tests.clocks import EPOCH

MARKET = "coins/markets"
#: After this an answer is not served while it is renewed: readers wait.
PAUSE_S = 130
STAMP = int(EPOCH.timestamp()) - 20
ALL = "include_market_cap=true&include_24hr_vol=true&include_24hr_change=true"


async def test_a_price_is_the_markets(scene: Scene) -> None:
    assert await scene.get("simple/price?ids=bitcoin&vs_currencies=usd") == {
        "bitcoin": {"usd": 50_000}
    }
    assert [path for path, _ in scene.calls] == [MARKET]


async def test_only_what_is_asked_for_comes_with_it(scene: Scene) -> None:
    answer = await scene.get(
        f"simple/price?ids=ethereum&vs_currencies=usd&{ALL}&include_last_updated_at=true"
    )
    (name,) = answer
    assert list(answer[name].items()) == [
        ("usd", 2_500),
        ("usd_market_cap", 1.25e12),
        ("usd_24h_vol", 1_000_002),
        ("usd_24h_change", 1.01),
        ("last_updated_at", STAMP),
    ]
    assert isinstance(answer[name]["last_updated_at"], int)


async def test_many_different_questions_cost_no_call(scene: Scene) -> None:
    """As many programs ask: each for other coins, with other fields."""
    await scene.get("simple/price?ids=bitcoin&vs_currencies=usd")
    before = len(scene.calls)
    switches = ("include_market_cap=True", "include_24hr_vol=true", "include_24hr_change=TRUE")
    extras = ("", *switches, "precision=2", "precision=full")
    for number in range(60):
        ids = f"coin-{number},coin-{number + 1},bitcoin"
        answer = await scene.get(f"simple/price?ids={ids}&vs_currencies=usd")
        assert set(answer) == set(ids.split(","))
    for extra in extras:
        await scene.get(f"simple/price?ids=tether&vs_currencies=usd&{extra}")
    assert 60 + len(extras) == 66
    assert len(scene.calls) == before == 1


async def test_tickers_are_the_best_ranked_coins(scene: Scene) -> None:
    answer = await scene.get("simple/price?symbols=ETH,btc&vs_currencies=usd")
    assert answer == {"btc": {"usd": 50_000}, "eth": {"usd": 2_500}}
    assert len(scene.calls) == 1


SPELLINGS = [
    "ids=bitcoin,ethereum&vs_currencies=usd",
    "ids=Ethereum,%20Bitcoin&vs_currencies=USD",
    "vs_currencies=usd&ids=ethereum,bitcoin,bitcoin,&include_24hr_vol=False",
    "ids=bitcoin,ethereum&symbols=doge&vs_currencies=usd&_=17&x_cg_demo_api_key=CG-a",
]


async def test_spellings_of_one_question_have_one_answer(scene: Scene) -> None:
    for spelling in SPELLINGS:
        expected = {"bitcoin": {"usd": 50_000}, "ethereum": {"usd": 2_500}}
        assert await scene.get(f"simple/price?{spelling}") == expected
        assert len(scene.calls) == 1


UNKNOWN_TO_THE_MARKET = [
    "ids=bitcoin,far-away&vs_currencies=usd",
    "ids=bitcoin,no-such-coin&vs_currencies=usd",
    "ids=btc&vs_currencies=usd",
    "ids=bitcoin&vs_currencies=eur",
    "ids=bitcoin&vs_currencies=usd,eur",
    "symbols=btc&include_tokens=all&vs_currencies=usd",
    "symbols=btc,far&vs_currencies=usd",
    "symbols=bitcoin&vs_currencies=usd",
    "names=Bitcoin&vs_currencies=usd",
]


async def test_what_the_market_does_not_know_is_asked_as_a_whole(scene: Scene) -> None:
    for query in UNKNOWN_TO_THE_MARKET:
        answer = await scene.get(f"simple/price?{query}")
        path, sent = scene.calls[-1]
        assert path == "simple/price"
        parts = dict(part.split("=") for part in query.split("&"))
        assert sent == {name: ",".join(sorted(text.split(","))) for name, text in parts.items()}
        count = len(scene.calls)
        assert await scene.get(f"simple/price?{query}&_=1") == answer
        assert len(scene.calls) == count


async def test_a_venues_newer_price_counts_and_is_named(with_venue: Scene) -> None:
    scene = with_venue
    await scene.get("simple/price?ids=bitcoin&vs_currencies=usd")
    scene.fails("coingecko_free")
    scene.clock.advance(PAUSE_S)
    answer = await scene.ask("simple/price?ids=bitcoin,tether&vs_currencies=usd")
    assert answer.json() == {"bitcoin": {"usd": 50_500}, "tether": {"usd": 1}}
    assert answer.headers["x-source"] == "binance, coingecko_free"


@pytest.mark.parametrize(
    ("age_s", "query", "expected"),
    [
        (200, "", 200),
        (400, "", 503),
        (400, "&include_last_updated_at=true", 200),
        (800, "&include_last_updated_at=true", 200),
        (1_000, "&include_last_updated_at=true", 503),
    ],
)
async def test_stale_prices_are_served_for_minutes_only(
    scene: Scene, age_s: float, query: str, expected: int
) -> None:
    target = f"simple/price?ids=bitcoin&vs_currencies=usd{query}"
    await scene.get(target)
    scene.fails("coingecko_free")
    scene.clock.advance(age_s)
    answer = await scene.ask(target)
    assert answer.status_code == expected, answer.text
    if expected == 200:
        assert answer.headers["x-cache"] == "stale"
        assert answer.headers["x-stale-reason"] == "upstream_5xx"
        assert answer.headers["age"] == str(age_s)
    else:
        assert answer.json()["status"]["error_code"] == 503


async def test_a_price_without_its_time_is_not_old_while_a_scarce_budget_keeps_the_market(
    scarce: Scene,
) -> None:
    scene = scarce
    target = "simple/price?ids=bitcoin&vs_currencies=usd"
    assert (await scene.ask(target)).headers["cache-control"] == "public, max-age=280"
    timed = await scene.ask(f"{target}&include_last_updated_at=true")
    assert timed.headers["cache-control"] == "public, max-age=880"
    scene.clock.advance(270)
    assert (await scene.ask(target)).headers["age"] == "270"
    assert [path for path, _ in scene.calls] == [MARKET]
    scene.clock.advance(40)
    refused = await scene.ask(target)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "290")
    assert (await scene.ask(f"{target}&include_last_updated_at=true")).headers["age"] == "310"
    scene.clock.advance(310)
    for name in ("bitcoin", "ethereum", "tether"):
        answer = await scene.ask(f"simple/price?ids={name}&vs_currencies=usd")
        assert answer.status_code == 200, answer.text
    assert [path for path, _ in scene.calls] == [MARKET, MARKET]


async def test_a_coin_that_no_venue_trades_is_not_served_for_ever(with_venue: Scene) -> None:
    """The market is renewed by a venue, so it is not stale; but this coin's price is old."""
    scene = with_venue
    await scene.get("simple/price?ids=unlisted&vs_currencies=usd")
    scene.fails("coingecko_free")
    for _ in range(3):
        scene.clock.advance(PAUSE_S)
        assert (await scene.ask("simple/price?ids=bitcoin&vs_currencies=usd")).status_code == 200
    assert (await scene.ask("simple/price?ids=unlisted&vs_currencies=usd")).status_code == 503
    timed = await scene.get(
        "simple/price?ids=unlisted&vs_currencies=usd&include_last_updated_at=true"
    )
    assert timed == {"unlisted": {"usd": 40, "last_updated_at": STAMP}}


async def test_old_prices_come_from_the_list_again_by_one_call(with_venue: Scene) -> None:
    """While a venue renews the market, coins that it does not trade get old."""
    scene = with_venue
    await scene.get("simple/price?ids=unlisted&vs_currencies=usd")
    scene.fails("coingecko_free")
    for _ in range(3):
        scene.clock.advance(PAUSE_S)
        await scene.ask("simple/price?ids=bitcoin&vs_currencies=usd")
    scene.fails()
    scene.clock.advance(PAUSE_S / 10)
    before = len(scene.calls)
    for ids in ("unlisted", "unlisted,tether", "tether", "bitcoin,delisted"):
        answer = await scene.ask(f"simple/price?ids={ids}&vs_currencies=usd")
        assert set(answer.json()) == set(ids.split(",")), answer.text
    assert [path for path, _ in scene.calls[before:]] == [MARKET]


async def test_while_only_a_venue_is_known_the_vendor_is_asked(with_venue: Scene) -> None:
    """A venue knows tickers, and no ids."""
    scene = with_venue
    scene.fails("coingecko_free")
    target = "simple/price?ids=bitcoin&vs_currencies=usd"
    assert (await scene.ask(target)).status_code == 503
    assert (await scene.client.get("/api/market")).status_code == 200
    scene.fails()
    scene.clock.advance(50)
    assert await scene.get(target) == {"bitcoin": {"usd": 50_000}}
    assert scene.calls[-1][0] == "simple/price"


@pytest.mark.parametrize(
    ("price", "decimals", "shown"),
    [
        (29_309.456, None, 29_309.456),
        (29_309.456, 2, 29_309.46),
        (2.675, 2, 2.68),
        (0.5, 0, 1),
        (29_309.4, 0, 29_309),
        (8.199e-05, 6, 0.000082),
        (1e-30, 18, 0.0),
        (1e29, 18, 1e29),
    ],
)
def test_decimals(price: float, decimals: int | None, shown: float) -> None:
    assert rounded(price, decimals) == shown
    assert isinstance(rounded(price, decimals), int) is (decimals == 0)


def coin(name: str, source: str, age_s: float) -> Coin:
    figures = (None, 1.0, None, None, None, None, None, None, None)
    updated = EPOCH - timedelta(seconds=age_s)
    return Coin(name, name.upper(), name, None, *figures, last_updated=updated, source=source)


def test_a_list_tells_prices_of_its_own_time_whatever_the_stamps_of_rows() -> None:
    seldom, often = coin("a", "coingecko_free", 90_000), coin("b", "coingecko_free", 30)
    halted, traded = coin("c", "binance", 400), coin("d", "binance", 1)
    newest = newest_stamps(Market((seldom, often, halted, traded), True))
    ages_s = [
        (EPOCH - known_at(one, newest)).total_seconds() for one in (seldom, often, halted, traded)
    ]
    assert ages_s == [30, 30, 400, 1]
