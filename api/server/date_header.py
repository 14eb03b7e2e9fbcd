"""uvicorn's state of a server, with a Date header that is made when it is read."""

from email.utils import formatdate
from math import inf

import uvicorn
from uvicorn.server import ServerState

from backend.clock import Clock

Headers = list[tuple[bytes, bytes]]


class DatedState(ServerState):
    """uvicorn makes the header each second, for which an idle process has to wake up."""

    def __init__(self, config: uvicorn.Config, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._headers: Headers = []
        self._until = -inf
        super().__init__()

    @property
    def default_headers(self) -> Headers:
        """The headers of every response: the date of this second, and those of the options."""
        now = self._clock.monotonic()
        if now >= self._until:
            date = self._clock.now()
            self._until = now + 1 - date.microsecond / 1e6
            stamp = formatdate(date.timestamp(), usegmt=True).encode()
            dated = [(b"date", stamp)] if self._config.date_header else []
            self._headers = dated + self._config.encoded_headers
        return self._headers

    @default_headers.setter
    def default_headers(self, _headers: Headers) -> None:
        """uvicorn sets it at each tick of its main loop."""
