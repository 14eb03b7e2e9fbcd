"""The three JSON-lines files of the contract, and plain lines on standard output."""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.events import (
    CallRetried,
    Event,
    ProviderCalled,
    ProviderStateChanged,
    RawStreamsChanged,
    RefreshFailing,
    TickFeedChanged,
)
from backend.models.status import ProviderChosen, Refusal
from backend.observability.event_log import EventLog
from backend.observability.log_files import FILES, QuietFileHandler
from backend.observability.logs import open_logs
from backend.redaction import REDACTED, Redactor
from tests.clocks import EPOCH

KEY = "CG-AbCdEfGhIjKlMnOpQrStUvWx"
AT, LATER = "2026-11-22T08:00:00.000Z", "2026-11-22T08:00:30.000Z"
UNTIL = EPOCH + timedelta(seconds=30)
THIRD_PARTIES = ("httpx", "httpcore")

CHOSEN = ProviderChosen(
    EPOCH, "market", "binance", "next in turn", (Refusal("coingecko_free", "cooldown", UNTIL),)
)
NONE_LEFT = ProviderChosen(
    EPOCH, "ohlc", None, "no provider is eligible", (Refusal("binance", "off"),)
)
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
                "reason": "no provider is eligible",
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
        (
            RawStreamsChanged(EPOCH, "binance", "connect_error", EPOCH),
            "provider_health",
            {
                "event": "raw_streams.lost",
                "at": AT,
                "provider": "binance",
                "reason": "connect_error",
                "retry_at": AT,
            },
        ),
        (
            RawStreamsChanged(EPOCH, "binance", None),
            "provider_health",
            {
                "event": "raw_streams.recovered",
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


def test_a_failed_call_is_logged_in_health_and_in_failures(tmp_path: Path) -> None:
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


def test_log_level_does_not_apply_to_the_files(tmp_path: Path) -> None:
    files = logged(tmp_path, CHOSEN, CALLED, RETRIED, level="ERROR")
    assert [len(files[name]) for name in FILES] == [1, 1, 1]


def test_lines_are_appended_to_the_files_of_the_last_run(tmp_path: Path) -> None:
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


def test_the_console_has_plain_lines_only(
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
def test_the_log_lines_of_httpx_are_not_shown(
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
    told = "LOG_DIR cannot be written: provider_health.log is off: Is a directory"
    assert told in capsys.readouterr().out


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_pipe_with_a_reader(path: Path) -> None:
    os.mkfifo(path)
    READERS.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/full")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # the absolute one may be too long


def a_broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "no folder" / "no file")


READERS: list[int] = []
FOREIGN_OBJECTS = (a_pipe, a_pipe_with_a_reader, a_folder, a_device, a_socket, a_broken_link)


@pytest.fixture
def _close_readers() -> Iterator[None]:
    yield
    while READERS:
        os.close(READERS.pop())


@pytest.mark.usefixtures("_close_readers")
@pytest.mark.parametrize("place", FOREIGN_OBJECTS)
def test_a_foreign_object_in_place_of_a_log_costs_that_log_and_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: Callable[[Path], None]
) -> None:
    place(tmp_path / "provider_health.log")
    with open_logs(tmp_path, "INFO", Redactor()):
        for event in (CALLED, FAILED, CHOSEN, CALLED):
            EventLog()(event)
    shown = capsys.readouterr()
    assert shown.out.count("WARNING") == 1
    assert "LOG_DIR cannot be written: provider_health.log is off" in shown.out
    assert shown.err == ""
    for name in ("provider_failures", "provider_rotation"):
        (line,) = (tmp_path / f"{name}.log").read_text().splitlines()
        assert json.loads(line)


def test_a_log_is_written_again_once_the_foreign_object_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "provider_health.log"
    os.mkfifo(path)
    with open_logs(tmp_path, "INFO", Redactor()):
        path.unlink()
        EventLog()(CALLED)
    assert len(path.read_text().splitlines()) == 1


def test_pipes_in_place_of_all_logs_are_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FILES:
        os.mkfifo(tmp_path / f"{name}.log")
    with open_logs(tmp_path, "INFO", Redactor()):
        EventLog()(FAILED)
    (line,) = capsys.readouterr().out.splitlines()
    assert "LOG_DIR cannot be written, log files are off: not a regular file" in line


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


def test_full_files_are_rotated_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    handler = QuietFileHandler(tmp_path / "x.log", maxBytes=20, backupCount=2, encoding="utf-8")
    for number in range(5):
        handler.emit(record(f"a line as number {number}"))
    handler.close()
    kept = {path.name: path.read_text().strip()[-1] for path in tmp_path.iterdir()}
    assert kept == {"x.log": "4", "x.log.1": "3", "x.log.2": "2"}


def test_a_failing_file_is_reported_once_until_it_can_be_written_again(
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


@pytest.mark.usefixtures("_close_readers")
@pytest.mark.parametrize("place", FOREIGN_OBJECTS)
def test_a_foreign_object_that_replaces_an_open_log_is_reported_once_and_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: Callable[[Path], None]
) -> None:
    path = tmp_path / "x.log"
    handler = QuietFileHandler(path, maxBytes=10_000, backupCount=1, encoding="utf-8")
    handler.emit(record("first"))
    path.rename(tmp_path / "moved")
    place(path)
    for _ in range(3):
        handler.emit(record("lost"))
    assert capsys.readouterr().err == "log file x.log cannot be written\n"
    path.rmdir() if path.is_dir() else path.unlink()
    handler.emit(record("second"))
    handler.close()
    assert (tmp_path / "moved").read_text() == "first\n"
    assert path.read_text() == "second\n"


def test_a_log_that_was_moved_or_deleted_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    handler = QuietFileHandler(path, maxBytes=10_000, backupCount=1, encoding="utf-8")
    handler.emit(record("first"))
    path.rename(tmp_path / "moved")
    path.write_text("of a tool that rotates logs\n")
    handler.emit(record("second"))
    path.unlink()
    handler.emit(record("third"))
    handler.close()
    assert (tmp_path / "moved").read_text() == "first\n"
    assert path.read_text() == "third\n"


FORGERIES = {
    "bitcoin\n2026-11-22T08:00:00.000Z WARNING gateway  forged": r"bitcoin\n2026",
    "bitcoin\r\nforged": r"bitcoin\r\nforged",
    "\x1b[2J\x1b[31mforged": r"\u001b[2J\u001b[31mforged",
    "a\x00b\x07c\x7fd": r"a\u0000b\u0007c\u007fd",
    "a\x85b\x9b31mc": r"a\u0085b\u009b31mc",
    "a\u2028b\u2029c": r"a\u2028b\u2029c",
    "a\u202eb\u2066c\u200fd\u061ce": r"a\u202eb\u2066c\u200fd\u061ce",
    "a\ufeffb": r"a\ufeffb",
    "a\ud83db": r"a\ud83db",
}


@pytest.mark.parametrize(("text", "shown"), FORGERIES.items(), ids=range(len(FORGERIES)))
def test_a_foreign_text_is_one_line_of_plain_characters_on_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    with open_logs(tmp_path, "INFO", Redactor()):
        EventLog()(RefreshFailing(EPOCH, "market", text, "timeout"))
        logging.getLogger("gateway").warning("plain text: %s", text)
    told, plain = capsys.readouterr().out.splitlines()
    assert told.endswith("failing: timeout")
    for line in (told, plain):
        assert shown in line
        assert line.isprintable()


def test_questions_that_readers_pass_through_do_not_flood_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [
        RefreshFailing(EPOCH, "pass_through", "binance /api/v3/depth", reason)
        for reason in ("timeout", None)
    ]
    files = logged(tmp_path, *events)
    assert capsys.readouterr().out == ""
    assert [line["reason"] for line in files["provider_health"]] == ["timeout", None]


@pytest.mark.parametrize("text", FORGERIES, ids=range(len(FORGERIES)))
def test_a_foreign_text_is_part_of_one_json_line_in_the_files(tmp_path: Path, text: str) -> None:
    files = logged(tmp_path, replace(FAILED, detail=text), RefreshFailing(EPOCH, "m", text, "x"))
    (failure,) = files["provider_failures"]
    assert failure["detail"] == text
    assert files["provider_health"][-1]["subject"] == text
    raw = (tmp_path / "provider_failures.log").read_text(encoding="utf-8")
    assert raw.count("\n") == 1
    assert raw.rstrip("\n").isprintable()


def test_emoji_and_other_scripts_stay_readable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logs(tmp_path, "INFO", Redactor()):
        logging.getLogger("gateway").info("%s", "比特币 🚀 👨‍👩‍👧 Ünïcödé")
    assert "比特币 🚀 👨‍👩‍👧 Ünïcödé" in capsys.readouterr().out


def test_a_traceback_keeps_its_lines_and_foreign_texts_in_it_add_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logs(tmp_path, "INFO", Redactor()):
        try:
            try:
                raise ValueError("inner\n2026-11-22 WARNING gateway  forged\x1b[2J")
            except ValueError as error:
                raise KeyError("outer") from error
        except KeyError:
            logging.getLogger("gateway").exception("it broke\n")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("it broke")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[2].startswith('  File "')
    assert r"ValueError: inner\n2026-11-22 WARNING gateway  forged\u001b[2J" in lines
    assert "The above exception was the direct cause of the following exception:" in lines
    assert lines[-1] == "KeyError: 'outer'"


def test_the_tracebacks_of_a_group_keep_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logs(tmp_path, "INFO", Redactor()):
        try:
            raise ExceptionGroup("several", [ValueError("one\nforged"), KeyError("two")])
        except ExceptionGroup:
            logging.getLogger("gateway").exception("it broke")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip(" |") == r"ValueError: one\n    | forged" for line in lines)
    assert any(line.strip(" |") == "KeyError: 'two'" for line in lines)
