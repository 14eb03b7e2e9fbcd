"""Conditional requests (RFC 9110, 13): the last bodies, with the validators that confirm them."""

import re
from collections import OrderedDict
from dataclasses import dataclass

import httpx

from backend.clock import Clock

#: Bodies kept; a new one replaces the oldest.
MOST_BODIES = 16
#: Longest time that 304 answers may keep a body in use, in seconds: it may have arrived truncated.
LONGEST_UNCHANGED_S = 3_600.0
#: Validators, the request headers that send them back, and the characters and length of one that
#: may be sent (RFC 9110, 8.8.2 and 8.8.3); any other is left out.
VALIDATORS = (
    (b"etag", b"If-None-Match", re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]{0,512}"')),
    (b"last-modified", b"If-Modified-Since", re.compile(rb"[A-Za-z0-9 ,:+-]{1,64}")),
)


@dataclass(frozen=True, slots=True)
class Validated:
    """A body and the request headers that ask for a newer one; `until` is on Clock.monotonic()."""

    body: bytes
    conditions: list[tuple[bytes, bytes]]
    until: float


class ConditionalBodies:
    """The last body of each URL that has validators."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._validated: OrderedDict[str, Validated] = OrderedDict()

    def conditions(self, url: str) -> list[tuple[bytes, bytes]]:
        """The headers that make a request for `url` conditional; none without a body."""
        known = self._validated.get(url)
        return known.conditions if known and self._clock.monotonic() < known.until else []

    def revalidated(
        self, url: str, status: int, headers: httpx.Headers, body: bytes
    ) -> tuple[int, bytes]:
        """Status and body of an answer; a 304 becomes a 200 with the last body."""
        if status == 304 and (known := self._validated.get(url)):
            return 200, known.body
        raw = {name.lower(): value for name, value in headers.raw}
        conditions = [
            (condition, raw[name])
            for name, condition, form in VALIDATORS
            if form.fullmatch(raw.get(name, b""))
        ]
        if status == 200 and conditions:
            until = self._clock.monotonic() + LONGEST_UNCHANGED_S
            self._validated[url] = Validated(body, conditions, until)
            if len(self._validated) > MOST_BODIES:
                self._validated.popitem(last=False)
        return status, body

    def forget(self, base_url: str) -> None:
        """Drops the bodies of a host."""
        host = httpx.URL(base_url).netloc
        for url in [url for url in self._validated if httpx.URL(url).netloc == host]:
            del self._validated[url]
