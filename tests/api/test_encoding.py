"""What values look like in JSON."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.encoding import instant, to_json

ZONES = st.sampled_from([UTC, timezone(timedelta(minutes=345)), timezone(timedelta(hours=-8))])


@given(st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=ZONES))  # noqa: DTZ001 # its bounds are naive
def test_a_time_is_in_utc_to_the_millisecond(at: datetime) -> None:
    usual = at.astimezone(UTC).isoformat(timespec="milliseconds")
    assert instant(at) == usual.replace("+00:00", "Z")
    assert to_json({"at": at}) == b'{"at":"%b"}' % instant(at).encode()


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError):
        to_json({"one": {1, 2}})


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    tags: tuple[str, ...]
    at: datetime
    price: float


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    row = Row("a\ud83db", ("\udc00", "c"), datetime(2026, 11, 22, tzinfo=UTC), 1.5)
    assert to_json({"data": [row], "\ud800": None}) == (
        b'{"data":[{"name":"a?b","tags":["?","c"],"at":"2026-11-22T00:00:00.000Z","price":1.5}],'
        b'"?":null}'
    )
