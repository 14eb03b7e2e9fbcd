"""What a WebSocket client says: bounded in size and pace, and answered whatever it is."""

import asyncio
from collections import deque

from api.stream.commands import Refused, Subscribe, parse_command
from api.stream.frames import error
from api.stream.subscriber import Subscriber
from api.ws_data_broadcaster import (
    MESSAGES_PER_S,
    MOST_FRAME_BYTES,
    POLICY,
    TOO_LARGE,
    Broadcaster,
)
from backend.clock import Clock
from backend.errors import ClientLimitReached

#: Who goes on for so long after being told to slow down is shown out.
MOST_REFUSED = 200
#: A client that does not read is not heard: how often it is looked whether it does.
LOOK_S = 0.1


class Conversation:
    def __init__(self, broadcaster: Broadcaster, subscriber: Subscriber, clock: Clock) -> None:
        self._broadcaster = broadcaster
        self._subscriber = subscriber
        self._clock = clock
        self._heard: deque[float] = deque(maxlen=MESSAGES_PER_S)
        self._refused = 0

    async def begin(self, commands: tuple[Subscribe, ...]) -> None:
        """What the address subscribed to."""
        for command in commands:
            await self._broadcaster.do(self._subscriber, command)

    async def hear(self, text: str | None) -> None:
        """One message; None is one that was not text."""
        if text is not None and len(text) > MOST_FRAME_BYTES:
            self._subscriber.close(TOO_LARGE, f"a message has at most {MOST_FRAME_BYTES} bytes")
            return
        if self._is_too_fast():
            self._refuse(f"at most {MESSAGES_PER_S} messages a second are heard")
            return
        try:
            self._subscriber.account.charge(1)
        except ClientLimitReached as refusal:
            self._refuse(str(refusal))
            return
        self._refused = 0
        try:
            command = parse_command(text)
        except Refused as refusal:
            self._subscriber.tell(error(refusal.code, str(refusal), refusal.id))
        else:
            await self._broadcaster.do(self._subscriber, command)
        while not self._subscriber.is_free:  # noqa: ASYNC110 - a transport tells nobody that it is
            await asyncio.sleep(LOOK_S)

    def _is_too_fast(self) -> bool:
        now = self._clock.monotonic()
        if len(self._heard) == MESSAGES_PER_S and now - self._heard[0] < 1.0:
            return True
        self._heard.append(now)
        return False

    def _refuse(self, why: str) -> None:
        self._refused += 1
        if self._refused > MOST_REFUSED:
            self._subscriber.close(POLICY, "too many messages")
        else:
            self._subscriber.tell(error("rate_limited", why))
