"""The Date header, which is made when it is read."""

from datetime import timedelta

import pytest
import uvicorn

from api.server.date_header import DatedState
from tests.clocks import EPOCH, ManualClock


def state_of(clock: ManualClock, **options: bool) -> DatedState:
    config = uvicorn.Config("tests:app", headers=[("x-own", "1")], server_header=False, **options)  # type: ignore[arg-type] # options by name
    config.load_app = lambda: lambda: None  # type: ignore[method-assign] # none is served
    config.load()
    return DatedState(config, clock)


def test_it_is_the_time_of_the_second_in_which_it_is_read() -> None:
    clock = ManualClock(EPOCH + timedelta(seconds=0.75))
    state = state_of(clock)
    first = state.default_headers
    assert first == [(b"date", b"Sun, 22 Nov 2026 08:00:00 GMT"), (b"x-own", b"1")]
    clock.advance(0.2)
    assert state.default_headers is first
    clock.advance(0.05)
    assert state.default_headers[0][1].endswith(b"08:00:01 GMT")
    clock.advance(3600)
    assert state.default_headers[0][1].endswith(b"09:00:01 GMT")


def test_what_the_main_loop_sets_is_left_out() -> None:
    state = state_of(ManualClock())
    state.default_headers = [(b"date", b"yesterday")]
    assert state.default_headers[0][1] != b"yesterday"


@pytest.mark.parametrize("has_date", [True, False])
def test_there_is_none_where_the_options_say_so(has_date: bool) -> None:
    names = [name for name, _ in state_of(ManualClock(), date_header=has_date).default_headers]
    assert names == ([b"date"] if has_date else []) + [b"x-own"]
