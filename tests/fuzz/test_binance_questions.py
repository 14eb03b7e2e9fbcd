"""Whatever is asked below `/binance`, it is answered, or refused in Binance's shape."""

from collections.abc import Iterator
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.facades.binance.paths import KLINES, PATHS
from tests.fuzz.budget import budget
from tests.fuzz.gateway import Gateway, running

TEXTS = st.text(max_size=40) | st.sampled_from(
    ["BTCUSDT", "btcusdt", "NOPEUSDT", "ETH-BTC", "币安"]
)
NUMBERS = st.integers(-2, 10**22).map(str) | st.sampled_from(["0", "1000", "00", "1e3"]) | TEXTS
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.just("BTCUSDT") | TEXTS,
        "symbols": st.lists(TEXTS, max_size=3).map(lambda names: orjson.dumps(names).decode())
        | TEXTS,
        "interval": st.sampled_from(["1s", "1m", "1h", "3d", "1w", "1M", "7h"]) | TEXTS,
        "startTime": NUMBERS,
        "endTime": NUMBERS,
        "limit": NUMBERS,
        "fromId": NUMBERS,
        "timeZone": st.sampled_from(["0", "+8", "-1:00", "14"]) | TEXTS,
        "type": st.sampled_from(["FULL", "MINI"]) | TEXTS,
        "windowSize": st.sampled_from(["1d", "5m"]) | TEXTS,
        "permissions": st.sampled_from(["SPOT", '["SPOT"]', "[]", "["]) | TEXTS,
        "showPermissionSets": st.sampled_from(["true", "False"]) | TEXTS,
        "symbolStatus": st.sampled_from(["TRADING", "HALT"]) | TEXTS,
        "signature": TEXTS,
    },
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway")) as started:
        yield started


def checked(gateway: Gateway, target: str) -> None:
    answer = gateway.get(target)
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    if answer.status_code != 200:
        assert answer.status_code in {400, 403, 404, 429, 503}, answer.text
        assert set(document) == {"code", "msg"}
        assert document["code"] < 0
        assert document["msg"]


@pytest.mark.parametrize("path", [path.template for path in (*KLINES, *PATHS)])
@budget(15)
@given(parameters=PARAMETERS)
def test_any_question_is_answered_or_refused_in_words(
    gateway: Gateway, path: str, parameters: dict[str, str]
) -> None:
    checked(gateway, f"/binance{path}?{urlencode(parameters, errors='replace')}")


@budget(30)
@given(path=TEXTS.map(lambda text: urlencode({"": text}, errors="replace")[1:]))
def test_any_other_path_is_refused_in_words(gateway: Gateway, path: str) -> None:
    checked(gateway, f"/binance/api/v3/{path}")
