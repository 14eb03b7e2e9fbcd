"""Lines from workers to the supervisor: whole, in order, and never at the expense of the worker."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.observability import log_channel
from backend.observability.log_channel import (
    MAX_LINE_BYTES,
    PART_BYTES,
    FinishedLine,
    LineSender,
    received_lines,
)
from backend.observability.log_files import HEALTH
from backend.observability.logs import LineFormatter, open_logs
from backend.redaction import REDACTED, Redactor

Pair = tuple[socket.socket, socket.socket]
KEY = "the-key-of-this-test"


@pytest.fixture
def pair() -> Iterator[Pair]:
    supervisor, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with supervisor, worker:
        yield supervisor, worker


def received(pair: Pair) -> list[tuple[str, str]]:
    """Everything that was sent; the worker's end is closed."""
    pair[1].close()
    return [(line.name, line.text) for line in received_lines(pair[0])]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 100_000])
def test_a_line_of_any_size_arrives_whole(pair: Pair, size: int) -> None:
    LineSender(pair[1], 0).send("", "x" * size)
    assert received(pair) == [("", "x" * size)]


def test_a_character_at_the_border_of_two_parts_stays_whole(pair: Pair) -> None:
    line = "x" * (PART_BYTES - 1) + "\N{EURO SIGN}\n  File"
    LineSender(pair[1], 0).send(HEALTH, line)
    assert received(pair) == [(HEALTH, line)]


def test_a_line_that_is_far_too_long_becomes_a_note(pair: Pair) -> None:
    LineSender(pair[1], 3).send(HEALTH, "x" * (MAX_LINE_BYTES + 1))
    ((log, line),) = received(pair)
    assert log == HEALTH
    assert json.loads(line) == {
        "event": "log.line_too_long",
        "bytes": MAX_LINE_BYTES + 1,
        "process": 3,
    }


def test_parts_of_several_workers_are_not_mixed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_channel, "PART_BYTES", 2)
    ends = [pair[1].dup() for _ in range(2)]
    parts: list[bytes] = []
    with ends[0], ends[1]:
        for process, text in enumerate(("abcde", "uvwxy")):
            LineSender(ends[process], process).send("", text)
            parts += [pair[0].recv(100) for _ in range(3)]
    for first, second in zip(parts[:3], parts[3:], strict=True):
        pair[1].send(first)
        pair[1].send(second)
    assert received(pair) == [("", "abcde"), ("", "uvwxy")]


def test_a_line_without_all_its_parts_is_dropped(pair: Pair) -> None:
    sender = LineSender(pair[1], 0)
    sender.send("", "x" * 3 * PART_BYTES)
    first, _, third = (pair[0].recv(2 * PART_BYTES) for _ in range(3))
    pair[1].send(third)
    pair[1].send(first)
    sender.send("", "whole")
    pair[1].send(third)
    assert received(pair) == [("", "whole")]


def test_a_full_pair_drops_lines_after_a_moment(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_channel, "SEND_S", 0.1)
    sender = LineSender(pair[1], 0)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < 0.1:
        sender.send("", f"line {sent}")
        sent += 1
    lines = received(pair)
    assert 10 < len(lines) < sent
    assert lines == [("", f"line {number}") for number in range(len(lines))]


def test_a_worker_without_its_supervisor_goes_on(pair: Pair) -> None:
    pair[0].close()
    LineSender(pair[1], 0).send("", "to nobody")


def test_lines_are_redacted_and_numbered_before_they_are_sent(pair: Pair, tmp_path: Path) -> None:
    with open_logs(tmp_path, "INFO", Redactor([KEY]), LineSender(pair[1], 2)):
        logging.getLogger("gateway").info("a key: %s\nforged", KEY)
        logging.getLogger(HEALTH).setLevel(logging.INFO)
        logging.getLogger(HEALTH).info('{"event":"tested","in":{"key":"%s"}}', KEY)
    plain, health = received(pair)
    assert plain[0] == ""
    assert plain[1].endswith(f"INFO    gateway[2]  a key: {REDACTED}\\nforged")
    assert json.loads(health[1]) == {"event": "tested", "in": {"key": REDACTED}, "process": 2}
    assert health[0] == HEALTH
    assert list(tmp_path.iterdir()) == []  # the supervisor has the files


def test_what_each_start_has_alike_is_dropped_and_warnings_are_not(
    pair: Pair, tmp_path: Path
) -> None:
    sender = LineSender(pair[1], 1, is_starting=True)
    with open_logs(tmp_path, "INFO", Redactor(), sender):
        log = logging.getLogger("gateway")
        alike = log.makeRecord("gateway", logging.INFO, "backend/gateway.py", 1, "alike", (), None)
        log.handle(alike)
        logging.getLogger("uvicorn.error").info("alike")
        logging.getLogger("uvicorn.error").error("failed")
        log.info("leads")
        sender.is_starting = False
        log.handle(alike)
    assert [text.split()[-1] for _, text in received(pair)] == ["failed", "leads", "alike"]


def test_a_finished_line_is_written_as_it_came() -> None:
    text = "a traceback\n  File"
    formatter = LineFormatter("%(levelname)s %(message)s", Redactor())
    assert formatter.format(FinishedLine("", text)) == text
