"""Where logs go: three JSON-lines files of the contract, plain lines to standard output."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.events import (
    CallRetried,
    Event,
    PassedOver,
    ProviderCalled,
    ProviderChosen,
    ProviderStateChanged,
    RefreshFailing,
    TickFeedChanged,
)
from backend.observability.event_log import FILES, EventLog
from backend.observability.logs import QuietFileHandler, open_logs
from backend.observability.redaction import REDACTED, Redactor
from tests.clocks import EPOCH

KEY = "CG-AbCdEfGhIjKlMnOpQrStUvWx"
AT, LATER = "2026-11-22T08:00:00.000Z", "2026-11-22T08:00:30.000Z"
UNTIL = EPOCH + timedelta(seconds=30)
THIRD_PARTIES = ("httpx", "httpcore")

CHOSEN = ProviderChosen(
    EPOCH, "market", "binance", "next in turn", (PassedOver("coingecko_free", "cooldown", UNTIL),)
)
NONE_LEFT = ProviderChosen(EPOCH, "ohlc", None, "nobody is left", (PassedOver("binance", "off"),))
CALLED = ProviderCalled(EPOCH, "binance", "market", "ok", 12.345, 1.0, 200)
FAILED = ProviderCalled(
    EPOCH, "binance", "market", "rate_limited", 8.0, 0.5, 429, "slow down", UNTIL
)
RETRIED = CallRetried(EPOCH, "binance", "geo_blocked", "another_host", 451)
CHANGED = ProviderStateChanged(EPOCH, "binance", "active", "cooldown", "timeout", UNTIL)
STALE = RefreshFailing(EPOCH, "market", "market", "timeout")
LIVE = RefreshFailing(EPOCH, "market", "market", None)


@pytest.fixture(autouse=True)
def _third_party_levels() -> Iterator[None]:
    levels = [logging.getLogger(name).level for name in THIRD_PARTIES]
    yield
    for name, level in zip(THIRD_PARTIES, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def logged(folder: Path, *events: Event, level: str = "INFO") -> dict[str, list[dict[str, Any]]]:
    """The lines of each file after `events`."""
    with open_logs(folder, level, Redactor([KEY])):
        emit = EventLog()
        for event in events:
            emit(event)
    files = {name: (folder / f"{name}.log").read_text(encoding="utf-8") for name in FILES}
    return {name: [json.loads(line) for line in text.splitlines()] for name, text in files.items()}


@pytest.mark.parametrize(
    ("event", "file", "line"),
    [
        (
            CHOSEN,
            "provider_rotation",
            {
                "event": "provider.chosen",
                "at": AT,
                "category": "market",
                "chosen": "binance",
                "reason": "next in turn",
                "passed_over": [
                    {"provider": "coingecko_free", "reason": "cooldown", "until": LATER}
                ],
            },
        ),
        (
            NONE_LEFT,
            "provider_rotation",
            {
                "event": "provider.none_left",
                "at": AT,
                "category": "ohlc",
                "chosen": None,
                "reason": "nobody is left",
                "passed_over": [{"provider": "binance", "reason": "off", "until": None}],
            },
        ),
        (
            CALLED,
            "provider_health",
            {
                "event": "provider.called",
                "at": AT,
                "provider": "binance",
                "category": "market",
                "outcome": "ok",
                "latency_ms": 12.3,
                "success_rate": 1.0,
            },
        ),
        (
            RETRIED,
            "provider_failures",
            {
                "event": "call.retried",
                "at": AT,
                "provider": "binance",
                "reason": "geo_blocked",
                "status": 451,
                "how": "another_host",
                "retry_at": None,
            },
        ),
        (
            CHANGED,
            "provider_health",
            {
                "event": "provider.state_changed",
                "at": AT,
                "provider": "binance",
                "was": "active",
                "now": "cooldown",
                "reason": "timeout",
                "until": LATER,
            },
        ),
        (
            STALE,
            "provider_health",
            {
                "event": "refresh.failed",
                "at": AT,
                "category": "market",
                "subject": "market",
                "reason": "timeout",
            },
        ),
        (
            LIVE,
            "provider_health",
            {
                "event": "refresh.recovered",
                "at": AT,
                "category": "market",
                "subject": "market",
                "reason": None,
            },
        ),
        (
            TickFeedChanged(EPOCH, "binance", "connect_error", EPOCH),
            "provider_health",
            {
                "event": "ticks.lost",
                "at": AT,
                "provider": "binance",
                "reason": "connect_error",
                "retry_at": AT,
            },
        ),
        (
            TickFeedChanged(EPOCH, "binance", None),
            "provider_health",
            {
                "event": "ticks.recovered",
                "at": AT,
                "provider": "binance",
                "reason": None,
                "retry_at": None,
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_is_one_json_line_in_its_file(
    tmp_path: Path, event: Event, file: str, line: dict[str, Any]
) -> None:
    assert logged(tmp_path, event) == {name: [line] if name == file else [] for name in FILES}


def test_a_failed_call_is_told_in_health_and_in_failures(tmp_path: Path) -> None:
    files = logged(tmp_path, FAILED)
    (health,), (failure,) = files["provider_health"], files["provider_failures"]
    assert (health["provider"], health["outcome"]) == ("binance", "rate_limited")
    assert (health["latency_ms"], health["success_rate"]) == (8.0, 0.5)
    assert failure == {
        "event": "provider.failed",
        "at": AT,
        "provider": "binance",
        "category": "market",
        "reason": "rate_limited",
        "status": 429,
        "detail": "slow down",
        "retry_at": LATER,
    }


def test_the_files_are_kept_whatever_the_level_of_the_console(tmp_path: Path) -> None:
    files = logged(tmp_path, CHOSEN, CALLED, RETRIED, level="ERROR")
    assert [len(files[name]) for name in FILES] == [1, 1, 1]


def test_lines_are_added_to_what_the_last_run_left(tmp_path: Path) -> None:
    logged(tmp_path / "new" / "logs", CALLED)
    assert len(logged(tmp_path / "new" / "logs", CALLED)["provider_health"]) == 2


@pytest.mark.parametrize(
    "detail",
    [
        KEY,
        f"refused {KEY}",
        "GET https://h.example/v1?api_key=hunter22&x=1",
        'got "https://h.example/v1?api_key=hunter22"',
        "header x-cg-pro-api-key: hunter22",
        "line one\nAuthorization: Bearer hunter22\nline three",
    ],
)
def test_a_key_in_a_failures_detail_is_redacted_and_the_line_stays_json(
    tmp_path: Path, detail: str
) -> None:
    event = ProviderCalled(EPOCH, "binance", "market", "bad_payload", 8.0, 0.5, 200, detail)
    with open_logs(tmp_path, "INFO", Redactor([KEY])):
        EventLog()(event)
    text = (tmp_path / "provider_failures.log").read_text(encoding="utf-8")
    assert KEY not in text
    assert "hunter22" not in text
    (line,) = text.splitlines()
    assert REDACTED in json.loads(line)["detail"]


def test_the_console_has_plain_lines_and_none_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logs(tmp_path, "INFO", Redactor()):
        EventLog()(CALLED)
        logging.getLogger("gateway").info("Provider Manager initialized  %s", "market: binance")
        logging.getLogger("gateway").debug("too much")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("INFO    gateway  Provider Manager initialized  market: binance")


def test_a_key_in_a_message_or_traceback_is_redacted_on_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logs(tmp_path, "INFO", Redactor([KEY])):
        logging.getLogger("uvicorn.error").warning("asked with %s", KEY)
        try:
            raise RuntimeError(f"no answer to {KEY}")
        except RuntimeError:
            logging.getLogger("uvicorn.error").exception("it broke")
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err
    assert f"asked with {REDACTED}" in shown.out
    assert f"RuntimeError: no answer to {REDACTED}" in shown.out


def test_a_record_that_cannot_be_formatted_shows_nothing_of_its_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logs(tmp_path, "INFO", Redactor([KEY])):
        logging.getLogger("gateway").warning("a number: %d", KEY)
        logging.getLogger("gateway").warning("still here")
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err
    assert "still here" in shown.out


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_what_httpx_says_of_each_call_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    with open_logs(tmp_path, level, Redactor()):
        logging.getLogger("httpx").info("HTTP Request: GET https://h.example/")
        logging.getLogger("httpcore.connection").debug("connect_tcp.started")
    assert capsys.readouterr().out == ""


def test_a_folder_that_cannot_be_made_costs_a_warning_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with open_logs(tmp_path / "file" / "logs", "INFO", Redactor()):
        EventLog()(CALLED)
        logging.getLogger("gateway").info("serving")
    warning, served = capsys.readouterr().out.splitlines()
    assert "WARNING gateway  LOG_DIR cannot be written" in warning
    assert served.endswith("serving")


def test_a_file_that_cannot_be_opened_costs_a_warning_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "provider_health.log").mkdir()
    with open_logs(tmp_path, "INFO", Redactor()):
        EventLog()(CALLED)
    assert "LOG_DIR cannot be written" in capsys.readouterr().out


def test_leaving_restores_the_root_logger(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    with open_logs(tmp_path, "DEBUG", Redactor()):
        assert root.level == logging.DEBUG
        assert not set(root.handlers) & set(before[1])
    assert (root.level, root.handlers) == before


@pytest.mark.parametrize("name", THIRD_PARTIES)
def test_leaving_restores_the_levels_of_other_loggers(tmp_path: Path, name: str) -> None:
    logging.getLogger(name).setLevel(logging.NOTSET)
    with open_logs(tmp_path, "INFO", Redactor()):
        pass
    assert logging.getLogger(name).level == logging.NOTSET


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("provider_health", logging.INFO, __file__, 1, text, None, None)


def test_a_full_file_makes_room_and_only_so_many_are_kept(tmp_path: Path) -> None:
    handler = QuietFileHandler(tmp_path / "x.log", maxBytes=20, backupCount=2, encoding="utf-8")
    for number in range(5):
        handler.emit(record(f"a line as number {number}"))
    handler.close()
    kept = {path.name: path.read_text().strip()[-1] for path in tmp_path.iterdir()}
    assert kept == {"x.log": "4", "x.log.1": "3", "x.log.2": "2"}


def test_a_file_that_fails_is_told_once_until_it_can_be_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = QuietFileHandler(tmp_path / "x.log", maxBytes=10, backupCount=1, encoding="utf-8")
    handler.emit(record("first"))
    for _ in range(2):
        (tmp_path / "x.log.1").mkdir()
        for _ in range(3):
            handler.emit(record("lost"))
        assert capsys.readouterr().err == "log file x.log cannot be written\n"
        (tmp_path / "x.log.1").rmdir()
        handler.emit(record("written"))
        (tmp_path / "x.log.1").unlink()
    handler.close()
    assert (tmp_path / "x.log").read_text() == "written\n"
    assert capsys.readouterr().err == ""
