"""`python -m tests.benchmarks.deflate`: what it costs to compress a frame for each reader, or once.

In one loop after the other, by CPU: the library's own `permessage-deflate` as each connection has
it (its window goes on from frame to frame), a frame that is compressed once for all, and the write
of a frame to a socket, which all of them need.
"""

import os
import random
import socket
import statistics
import sys
import time
import zlib
from collections.abc import Callable

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

READERS, FRAMES, ROUNDS = 1_000, 4, 5
ROW = b'{"id":"coin-%d","symbol":"C%d","price":%.2f,"market_cap":%.2f,"volume_24h":%.2f},'


def frame(seed: int) -> bytes:
    """About as long as an update of the market, and no two alike."""
    dice = random.Random(seed)
    rows = [ROW % (n, n, dice.random() * 9e4, dice.random() * 9e11, 7e9) for n in range(24)]
    return b'{"op":"data","channel":"market","type":"update","data":[%b]}' % b"".join(rows)[:-1]


def each(frames: list[bytes]) -> int:
    """Bytes that go out; of each reader's own compressor."""
    readers = [PerMessageDeflate(False, False, 12, 12) for _ in range(READERS)]
    return sum(len(one.encode(Frame(Opcode.TEXT, data)).data) for data in frames for one in readers)


def once(frames: list[bytes]) -> int:
    """One compressor that begins anew with each frame, for whoever has agreed to that."""
    total = 0
    for data in frames:
        packer = zlib.compressobj(wbits=-12)
        total += READERS * len(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4])
    return total


def plain(frames: list[bytes]) -> int:
    """The write alone."""
    near, far = socket.socketpair()
    with near, far:
        for data in frames:
            for _ in range(READERS):
                near.send(data)
                far.recv(65_536)
    return READERS * sum(map(len, frames))


def cost(way: Callable[[list[bytes]], int], seed: int) -> tuple[float, int]:
    frames = [frame(seed + n) for n in range(FRAMES)]
    began = time.process_time()
    sent = way(frames)
    return (time.process_time() - began) * 1e6 / (READERS * FRAMES), sent // (READERS * FRAMES)


def main() -> None:
    say, rounds = sys.stdout.write, 1 if "--quick" in sys.argv else ROUNDS
    say(f"A frame of {len(frame(0)):,} bytes to {READERS:,} readers, {rounds} rounds.\n\n")
    say("| | CPU µs a reader and frame | bytes a reader |\n| --- | ---: | ---: |\n")
    for title, way in (
        ("a socket's write and read", plain),
        ("deflate for each reader", each),
        ("deflate once for all", once),
    ):
        costs = [cost(way, 100 * number) for number in range(rounds)]
        microseconds = [one for one, _ in costs]
        span = f"{min(microseconds):.2f}–{max(microseconds):.2f}"
        say(f"| {title} | {statistics.median(microseconds):.2f} ({span}) | {costs[0][1]:,} |\n")
    say(f"\nMachine: {os.cpu_count()} cores, Python {sys.version.split()[0]}.\n")


if __name__ == "__main__":
    main()
