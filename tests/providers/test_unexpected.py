"""An exception that nobody foresaw is logged with its traceback, once."""

import logging

import pytest

from backend.providers.unexpected import MOST_KINDS, UnexpectedErrors


def stumble(number: int) -> None:
    if number == 0:
        raise KeyError("one")
    raise KeyError("another")


def caught(number: int) -> Exception:
    try:
        stumble(number)
    except KeyError as error:
        return error
    raise AssertionError


def test_each_line_of_code_is_logged_once_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = UnexpectedErrors()
    for number in (0, 0, 1, 0, 1):
        errors.log("the call to acme", caught(number))
    assert [record.getMessage() for record in caplog.records] == [
        "unexpected KeyError in the call to acme"
    ] * 2
    assert all(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


def test_the_number_of_remembered_places_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    errors = UnexpectedErrors()
    for number in range(MOST_KINDS + 50):
        errors.log("a test", type(f"Odd{number}", (Exception,), {})())
    assert len(caplog.records) == MOST_KINDS
