"""Compression of WebSocket messages (permessage-deflate, RFC 7692) by frames that clients share.

No message depends on the one before it, so that the same bytes are right for every client. A client
may ask for a smaller window than theirs; it gets plain frames, which the extension allows.
"""

import zlib

from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.server import ServerProtocol

WINDOW_BITS = 15
#: Of 1 to 9. Level 6 takes twice the time of 4 for a twentieth fewer bytes.
LEVEL = 4
#: Smaller messages are sent as they are, in bytes: most would not become shorter.
MIN_BYTES = 512
#: The end of each flushed block, which the extension leaves out (RFC 7692, 7.2.1).
_BLOCK_END = b"\x00\x00\xff\xff"


def offer_compression(connection: ServerProtocol) -> None:
    """Before the handshake. Afterwards a client's messages may come compressed, too."""
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True, client_no_context_takeover=True
    )
    connection.available_extensions = [factory]


def takes_compressed(connection: ServerProtocol) -> bool:
    """Whether `compressed` is right for this client; known after the handshake."""
    return any(
        isinstance(one, PerMessageDeflate) and one.local_max_window_bits == WINDOW_BITS
        for one in connection.extensions
    )


def compressed(text: bytes) -> bytes:
    """The payload of a compressed message."""
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS)
    data = deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(_BLOCK_END)
