"""Floods a gateway by WebSocket or HTTP from a process of its own, at a steady number of bytes.

Standard library only: `python -S flood.py KIND PORT SECONDS BYTES_PER_S SOURCE [QUERY]`. Comes back
whenever it is closed. Prints one line of JSON: frames, bytes, connections, and each close code or
status with its count.
"""

import base64
import json
import os
import socket
import struct
import sys
import time
import zlib

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CHUNK = 32 * 1024
#: Between two connections, in seconds: a flood of connections is another attack.
PAUSE_S = 0.02


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    first = (fin << 7) | (rsv << 4) | opcode
    size = len(payload)
    if size < 126:
        head = bytes([first, (masked << 7) | size])
    else:
        head = bytes([first, (masked << 7) | 126]) + struct.pack("!H", size)
    return head + b"\0\0\0\0" + payload if masked else head + payload  # a mask of zeros


def bomb() -> bytes:
    """Sixty kilobytes that become sixty megabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b" " * 60_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
    return packed.removesuffix(b"\0\0\xff\xff")


SUBSCRIBE = b'{"op":"subscribe","channel":"market"}', b'{"op":"unsubscribe","channel":"market"}'
#: What is sent once, and what again and again behind it.
KINDS: dict[str, tuple[bytes, bytes]] = {
    "pongs": (b"", frame(PONG)),
    "pings": (b"", frame(PING, b"1234")),
    "fragments": (frame(TEXT, b"{", fin=False), frame(0, b" ", fin=False)),
    "empty fragments": (frame(TEXT, b"", fin=False), frame(0, b"", fin=False)),
    "texts": (b"", frame(TEXT, b"{}")),
    "commands": (b"", frame(TEXT, SUBSCRIBE[0]) + frame(TEXT, SUBSCRIBE[1])),
    "binaries": (b"", frame(BINARY, b"\0")),
    "nested": (b"", frame(TEXT, b"[" * 30_000)),
    "reserved opcodes": (b"", b"".join(frame(code) for code in (3, 4, 7, 11, 15))),
    "reserved bits": (b"", b"".join(frame(TEXT, b"{}", rsv=bits) for bits in range(1, 8))),
    "unmasked": (b"", frame(TEXT, b"{}", masked=False)),
    "no UTF-8": (b"", frame(TEXT, b"\xff\xfe\xed\xa0\x80")),
    "goodbyes": (b"", frame(CLOSE, struct.pack("!H", 1000)) + frame(CLOSE, b"\x03")),
    "odd goodbyes": (b"", frame(CLOSE, struct.pack("!H", 999) + b"\xff")),
    "a length of 2^62": (b"", b"\x81\xff" + struct.pack("!Q", 2**62) + b"\0\0\0\0"),
    "bombs": (b"", frame(TEXT, bomb(), rsv=4)),
}


class Flood:
    def __init__(self, kind: str, port: int, rate: float, source: str, query: str) -> None:
        self.first, self.again = KINDS[kind]
        self.port, self.rate, self.source, self.query = port, rate, source, query
        self.sent = self.connections = 0
        self.ends: dict[str, int] = {}
        self.deflate = kind == "bombs"

    def run(self, seconds: float) -> None:
        self.began = time.monotonic()
        self.end = self.began + seconds
        while time.monotonic() < self.end:
            try:
                self.once()
            except OSError as error:
                self.note(type(error).__name__)
            time.sleep(PAUSE_S)

    def note(self, end: str) -> None:
        self.ends[end] = self.ends.get(end, 0) + 1

    def once(self) -> None:
        """One connection, until it is closed or the time is over."""
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, 5, source_address=(self.source, 0)) as made:
            self.connections += 1
            self.shake_hands(made)
            chunk = self.again * max(1, CHUNK // len(self.again))
            made.setblocking(False)
            waiting = memoryview(self.first + chunk)
            while time.monotonic() < self.end:
                if not self.listen(made):
                    return
                allowed = self.rate * (time.monotonic() - self.began + 0.1)
                if self.sent < allowed:
                    try:
                        count = made.send(waiting)
                    except BlockingIOError:
                        count = 0
                    self.sent += count
                    waiting = waiting[count:] or memoryview(chunk)
                else:
                    count = 0
                if not count:
                    time.sleep(0.002)
            self.note("open")

    def shake_hands(self, made: socket.socket) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.deflate else ""
        key = base64.b64encode(os.urandom(16)).decode()
        made.sendall(
            f"GET /ws{self.query} HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{offer}\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            got = made.recv(4_096)
            if not got:
                raise ConnectionError
            head += got
        if b" 101 " not in head.partition(b"\r\n")[0]:
            self.note(head[9:12].decode("latin-1"))
            raise ConnectionError

    def listen(self, made: socket.socket) -> bool:
        """Takes what is there, as a reader does. False: it was closed."""
        try:
            told = made.recv(65_536)
        except BlockingIOError:
            return True
        if not told:
            self.note("closed")
        return bool(told)


def main() -> None:
    kind, port, seconds, rate, source, *query = sys.argv[1:]
    flood = Flood(kind, int(port), float(rate), source, "".join(query))
    flood.run(float(seconds))
    frames = flood.sent // len(flood.again) or flood.connections
    told = {"frames": frames, "bytes": flood.sent, "connections": flood.connections}
    sys.stdout.write(json.dumps({**told, "ends": flood.ends}))


if __name__ == "__main__":
    main()
