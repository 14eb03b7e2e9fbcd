"""The page of coins that the gateway's own list is, for programs of CoinGecko."""

import json
from typing import Any

import pytest

from backend.sources import encoded_page


def test_a_page_is_the_rows_as_the_vendor_sent_them() -> None:
    rows = [{"id": "bitcoin", "current_price": 1e-12, "roi": None, "ath": 69_045}]
    body = encoded_page(rows)
    assert body is not None
    assert json.loads(body) == rows


@pytest.mark.parametrize("value", ["\ud800", 2**70, {1: 2}])
def test_rows_that_json_cannot_have_make_no_page(value: Any) -> None:
    assert encoded_page([{"id": "bitcoin", "current_price": value}]) is None
