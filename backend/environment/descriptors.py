"""Whether the process can open another file or socket."""

import socket


def has_free_descriptor() -> bool:
    try:
        socket.socket().close()
    except OSError:
        return False
    return True
