"""`replace` at less cost: the same result as that of `dataclasses`."""

from dataclasses import FrozenInstanceError, replace

import pytest

from backend.models.answer import Answer, Attempt, replaced
from backend.models.market import Coin
from backend.models.replacing import replacing_unchecked
from tests.clocks import EPOCH
from tests.models.test_market import coin

ANSWER = Answer((1, 2), "binance", EPOCH, 12.5, (Attempt("binance", "ok", 12.5),), refresh_id=7)
with_figures = replacing_unchecked(Coin)


def test_an_answer_is_replaced_as_by_dataclasses() -> None:
    changed = replaced(ANSWER, data=(3, 4), age_s=4.0)
    assert changed == replace(ANSWER, data=(3, 4), age_s=4.0)
    assert changed.tried is ANSWER.tried
    assert ANSWER.data == (1, 2)


def test_a_row_is_replaced_as_by_dataclasses_and_stays_frozen() -> None:
    changed = with_figures(coin(), price=101.0, market_cap=101_000.0)
    assert type(changed) is Coin
    assert changed == replace(coin(), price=101.0, market_cap=101_000.0)
    assert hash(changed) == hash(replace(coin(), price=101.0, market_cap=101_000.0))
    with pytest.raises(FrozenInstanceError):
        changed.price = 1.0  # type: ignore[misc] # that is the test


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError):
        replaced(ANSWER, prize=1)
    with pytest.raises(ValueError, match="prize"):
        with_figures(coin(), prize=1.0)
