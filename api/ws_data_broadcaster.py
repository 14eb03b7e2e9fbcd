"""The stream's public name: `Broadcaster` and what its users need. The code is in api/stream/."""

from api.stream.address_limits import TooManyClients
from api.stream.broadcaster import Broadcaster
from api.stream.protocol import MAX_FRAME_BYTES, MAX_TOPICS, MESSAGES_PER_S

__all__ = ["MAX_FRAME_BYTES", "MAX_TOPICS", "MESSAGES_PER_S", "Broadcaster", "TooManyClients"]
