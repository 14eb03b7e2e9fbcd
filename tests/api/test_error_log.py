"""Each 5xx is in the log with its request id; a storm of them is counted, not written."""

import asyncio
import logging
from typing import Any

import pytest

from api.edge.error_log import MAX_PATH, MAX_PER_S, MAX_PROVIDERS, PROBLEM, ErrorLog
from tests.api.conftest import Serve
from tests.clocks import ManualClock
from tests.world.server import World


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "gateway"]


def scope(number: int = 0, code: str = "all_providers_failed", **more: Any) -> dict[str, Any]:
    state = {"request_id": f"id-{number}", PROBLEM: (code, ())}
    return {"method": "GET", "path": "/api/gas", "query_string": b"key=x", "state": state} | more


@pytest.mark.parametrize("path", ["/api/market", "/coingecko/api/v3/coins/markets"])
async def test_an_error_is_logged_with_its_request_id_and_the_providers_reasons(
    world: World, serve: Serve, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    for name in ("coingecko_free", "binance"):
        await world.stop(name)
    client = await serve(BINANCE_STREAM_URL="")
    query = {"vs_currency": "usd", "x_cg_demo_api_key": "hunter22"} if "v3" in path else {}
    answer = await client.get(path, params=query, headers={"X-Request-Id": "mine-1"})
    assert answer.status_code == 503
    (line,) = [line for line in lines(caplog) if "mine-1" in line]
    assert line.startswith(f"request mine-1: 503 all_providers_failed for GET {path}; ")
    assert "coingecko_free connect_error" in line
    assert "not_configured" not in line
    assert "hunter22" not in caplog.text


async def test_a_timeout_is_logged(
    world: World, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    world.faults["ethereum_rpc"] = "silence"
    client = await serve(REQUEST_DEADLINE="0.5", PROVIDER_TIMEOUT="0.5")
    answer = await client.get("/api/gas")
    request_id = answer.headers["x-request-id"]
    assert any(line.startswith(f"request {request_id}: 50") for line in lines(caplog))


async def test_answers_and_refusals_of_a_client_are_not_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve()
    for path in ("/api/market", "/api/nothing", "/api/market?limit=0", "/api/market/ohlc"):
        await client.get(path)
    assert not [line for line in lines(caplog) if line.startswith("request ")]


async def test_an_unexpected_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    ErrorLog(ManualClock()).record(scope(code="internal_error"), 500)
    assert lines(caplog) == []


async def test_a_response_without_a_document_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bare = scope() | {"state": {"request_id": "id-1"}, "path": "/x" * MAX_PATH}
    ErrorLog(ManualClock()).record(bare, 503)
    assert lines(caplog) == [f"request id-1: 503 error for GET {('/x' * MAX_PATH)[:MAX_PATH]}"]


@pytest.mark.parametrize(
    ("reasons", "shown"),
    [
        (("timeout", "unsupported", "disabled"), "; p0 timeout"),
        (("unsupported", "not_configured"), "; p0 unsupported"),
        (("disabled",), ""),
    ],
)
async def test_providers_that_could_have_answered_are_shown(
    caplog: pytest.LogCaptureFixture, reasons: tuple[str, ...], shown: str
) -> None:
    failed = [{"provider": f"p{at}", "reason": reason} for at, reason in enumerate(reasons)]
    state = {"request_id": "id", PROBLEM: ("all_providers_failed", failed)}
    ErrorLog(ManualClock()).record(scope() | {"state": state}, 503)
    assert lines(caplog) == [f"request id: 503 all_providers_failed for GET /api/gas{shown}"]


async def test_the_providers_of_a_line_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    failed = [{"provider": f"p{number}", "reason": "timeout"} for number in range(30)]
    state = {"request_id": "id", PROBLEM: ("all_providers_failed", failed)}
    ErrorLog(ManualClock()).record(scope() | {"state": state}, 503)
    (line,) = lines(caplog)
    assert line.count(" timeout") == MAX_PROVIDERS
    assert line.endswith(f"and {30 - MAX_PROVIDERS} more")


@pytest.mark.looptime
async def test_a_storm_is_counted(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorLog(clock)
    for number in range(500):
        errors.record(scope(number), 503)
    assert len(lines(caplog)) == MAX_PER_S
    await asyncio.sleep(1.1)
    assert lines(caplog)[MAX_PER_S:] == [f"{500 - MAX_PER_S} more requests failed within a second"]
    clock.advance(1.0)
    errors.record(scope(501), 503)
    assert lines(caplog)[-1].startswith("request id-501: 503 ")
    await asyncio.sleep(2)
    assert len(lines(caplog)) == MAX_PER_S + 2


async def test_the_rest_is_told_before_the_next_seconds_lines(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    errors = ErrorLog(clock)
    for number in range(MAX_PER_S + 3):
        errors.record(scope(number), 503)
    clock.advance(1.0)
    errors.record(scope(99), 503)
    assert lines(caplog)[-2:][0] == "3 more requests failed within a second"
    assert caplog.records[-1].levelno == logging.WARNING
