"""The rules of the channels are those of docs/stream.md."""

import orjson
import pytest

from api.encoding import to_json
from api.stream.channels import by_rank
from backend.models.market import Coin
from tests.api.stream.applying import RULES

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
