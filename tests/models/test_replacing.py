"""`replace` at less cost: the same result as that of `dataclasses`."""

from dataclasses import FrozenInstanceError, replace

import pytest

from api.encoding import to_json
from backend.models.answer import Answer, Attempt, replaced
from backend.models.market import Coin, with_valid_fields
from tests.clocks import EPOCH
from tests.models.test_market import coin

ANSWER = Answer((1, 2), "binance", EPOCH, 12.5, (Attempt("binance", "ok", 12.5),), refresh_id=7)


def test_an_answer_is_replaced_as_by_dataclasses() -> None:
    changed = replaced(ANSWER, data=(3, 4), age_s=4.0)
    assert changed == replace(ANSWER, data=(3, 4), age_s=4.0)
    assert changed.tried is ANSWER.tried
    assert ANSWER.data == (1, 2)


def test_a_row_is_replaced_as_by_dataclasses_and_stays_frozen() -> None:
    changed = with_valid_fields(coin(), price=101.0, market_cap=101_000.0)
    expected = replace(coin(), price=101.0, market_cap=101_000.0)
    assert (type(changed), changed, hash(changed)) == (Coin, expected, hash(expected))
    assert to_json(changed) == to_json(expected)
    with pytest.raises(FrozenInstanceError):
        changed.price = 1.0  # type: ignore[misc] # that is the test


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError):
        replaced(ANSWER, prize=1)
