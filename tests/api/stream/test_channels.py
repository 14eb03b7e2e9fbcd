"""The rules of the channels are those of docs/stream.md."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from api.encoding import to_json
from api.stream.channels import by_rank, changed_coins
from backend.models.answer import Answer
from backend.models.market import Coin, Market
from tests.api.stream.applying import RULES
from tests.clocks import EPOCH

FIGURES = (
    "image market_cap_rank price market_cap volume_24h high_24h low_24h price_change_24h "
    "price_change_percentage_24h circulating_supply last_updated"
).split()


def coin(id: str, rank: int | None) -> Coin:  # noqa: A002 - the row's word
    figures = dict.fromkeys(FIGURES) | {"market_cap_rank": rank}
    return Coin(id=id, symbol=id.upper(), name=id, source="coingecko_free", **figures)


@pytest.mark.parametrize("ranks", [(None, None), (7, 7), (2, None), (2, 1)])
def test_coins_are_ordered_by_rank_and_equal_ranks_stay(ranks: tuple[int | None, ...]) -> None:
    """A client knows only the documented order; another one would put equal ranks elsewhere."""
    coins = [coin(name, rank) for name, rank in zip("ba", ranks, strict=True)]
    _, documented, _ = RULES["market"]
    rows = sorted(orjson.loads(to_json(coins)), key=documented)
    assert [one.id for one in sorted(coins, key=by_rank)] == [row["id"] for row in rows]


def answer(*coins: Coin, **changes: Any) -> Answer[Market]:
    return replace(Answer(Market(coins, True), "coingecko_free", EPOCH, 12.0), **changes)


A, B, C = (coin(name, rank) for name, rank in (("a", 1), ("b", 2), ("c", None)))


def test_the_changes_of_a_tick_are_its_rows() -> None:
    dearer = replace(B, price=2.0)
    assert changed_coins(answer(A, B, C), answer(A, dearer, C)) == {"b": dearer}
    assert changed_coins(answer(A, B, C), answer(A, replace(B), C, refresh_id=9, age_s=3.0)) == {}


@pytest.mark.parametrize(
    "after",
    [
        answer(A, B),
        answer(B, A, C),
        answer(A, replace(B, market_cap_rank=3), C),
        answer(A, replace(B, symbol="BEE"), C),
        answer(A, B, replace(C, id=None)),
        answer(A, B, C, fetched_at=EPOCH + timedelta(seconds=1)),
        answer(A, B, C, stale=True, stale_reason="timeout"),
        answer(A, B, C, warnings=("odd",)),
        answer(A, B, C, data=Market((A, B, C), False)),
    ],
    ids="left order rank symbol id refreshed stale warned unranked".split(),
)
def test_a_change_of_more_than_figures_is_not_said_by_rows(after: Answer[Market]) -> None:
    assert changed_coins(answer(A, B, C), after) is None
