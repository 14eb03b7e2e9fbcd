"""Holds connections that say something and read nothing, from a process of its own.

Standard library only: `python -S hold.py PORT COUNT SOURCE DRIP_S`; what each connection says comes
from standard input as JSON (a list of texts in latin-1: connection n says text n modulo their
number). With DRIP_S over 0 each says one more byte of a header so often. At the end of a second
line of input all are reset. Prints how many were open, refused and closed by the other side.
"""

import json
import resource
import select
import socket
import struct
import sys

RESET = struct.pack("ii", 1, 0)


def hold(port: int, count: int, source: str, said: list[bytes]) -> tuple[list[socket.socket], int]:
    held, refused = [], 0
    for number in range(count):
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        made.settimeout(2)
        try:
            made.bind((source, 0))
            made.connect(("127.0.0.1", port))
            made.sendall(said[number % len(said)])
        except OSError:
            refused += 1
            made.close()
            continue
        made.setblocking(False)
        held.append(made)
    return held, refused


def is_closed(made: socket.socket) -> bool:
    """By the other side; what it sent stays unread."""
    try:
        return not made.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def ended(made: socket.socket) -> bool:
    """Whether the other side is gone, as the kernel knows, whatever waits to be read."""
    poll = select.poll()
    poll.register(made, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


def main() -> None:
    port, count, source, drip_s = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    said = [text.encode("latin-1") for text in json.loads(sys.stdin.readline())]
    held, refused = hold(int(port), int(count), source, said)
    sys.stdout.write(json.dumps({"held": len(held), "refused": refused}) + "\n")
    sys.stdout.flush()
    wait_s = float(drip_s)
    while not select.select([sys.stdin], [], [], wait_s or 0.05)[0]:
        for made in held if wait_s else ():
            try:
                made.send(b"x")
            except OSError:
                continue
    closed = sum(ended(made) or is_closed(made) for made in held)
    for made in held:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        made.close()
    sys.stdout.write(json.dumps({"closed": closed}) + "\n")


if __name__ == "__main__":
    main()
