"""Answers in need are as documented, too: cold, refused, late, stale."""

import time
from pathlib import Path
from typing import Any

import pytest

from api.stream.sinks import QueueSink
from tests.fuzz.gateway import Gateway, running
from tests.fuzz.promises import (
    DATA,
    OPERATIONS,
    RIGHT,
    STREAM,
    assert_documented,
    schema_of,
)
from tests.world.server import PROVIDERS

SHORT_LIVED = {f"CACHE_TTL_{name}": "0.05" for name in "MARKET OHLC NEWS SENTIMENT GAS".split()}
OFF = {f"{name.upper()}_ENABLED": "false" for name in PROVIDERS if not name.endswith("_second")}


def fail(gateway: Gateway, fault: str) -> None:
    gateway.world.faults = dict.fromkeys(PROVIDERS, fault)


def assert_all_documented(gateway: Gateway, paths: list[str], *statuses: int) -> None:
    schema = schema_of(gateway)
    for path in paths:
        answer = gateway.get(RIGHT[path])
        assert answer.status_code in statuses, (path, answer.text)
        assert_documented(schema, path, answer)


@pytest.mark.parametrize("fault", ["http500", "http503", "429", "401", "451", "html"])
def test_a_failed_provider_gives_the_documented_error(tmp_path: Path, fault: str) -> None:
    with running(tmp_path) as gateway:
        fail(gateway, fault)
        assert_all_documented(gateway, DATA, 503)
        assert_all_documented(gateway, ["/api/status", "/api/status/explain"], 200)
        assert_all_documented(gateway, ["/readyz"], 200, 503)


def test_no_configured_provider_gives_the_documented_error(tmp_path: Path) -> None:
    with running(tmp_path, **OFF) as gateway:
        assert_all_documented(gateway, [*DATA, "/readyz"], 503)
        assert_all_documented(gateway, ["/api/status", "/api/status/explain"], 200)


def test_a_passed_deadline_gives_the_documented_error(tmp_path: Path) -> None:
    with running(tmp_path, REQUEST_DEADLINE="0.5") as gateway:
        fail(gateway, "silence")
        assert_all_documented(gateway, DATA, 503, 504)
        stream = gateway.get("/api/stream?channels=market&symbols=BTC")
        assert stream.status_code in {503, 504}
        assert_documented(schema_of(gateway), STREAM, stream)


def test_a_stale_answer_is_as_documented(tmp_path: Path) -> None:
    with running(tmp_path, **SHORT_LIVED) as gateway:
        assert_all_documented(gateway, DATA, 200)
        fail(gateway, "http500")
        time.sleep(0.1)
        metas = [meta_of(gateway, path) for path in DATA]
        assert any(meta["stale"] for meta in metas)
        assert_all_documented(gateway, [*DATA, "/api/status"], 200)


def meta_of(gateway: Gateway, path: str) -> Any:
    return gateway.get(RIGHT[path]).json()["meta"]


def test_too_many_stream_clients_give_the_documented_error(tmp_path: Path) -> None:
    async def join(gateway: Gateway) -> None:
        gateway.app.state.broadcaster.join(QueueSink())

    with running(tmp_path, WS_MAX_CLIENTS="1") as gateway:
        gateway.runner.run(join(gateway))
        answer = gateway.get(STREAM)
        assert answer.json()["code"] == "too_many_clients"
        assert_documented(schema_of(gateway), STREAM, answer)


def test_every_operation_is_met_in_need_or_cannot_be() -> None:
    simple = {"/metrics", "/healthz", "/readyz", "/api/status", "/api/status/explain", STREAM}
    assert {*DATA, *simple} == set(OPERATIONS)
