"""One worker process, from its start to its end, and its place, as the supervisor sees them."""

import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from api.server.worker import DIED, LAST_LINE, MESSAGE_BYTES, SERVES, worker_arguments


class WorkerProcess:
    """Starts when it is made. Times are readings of the supervisor's clock, in seconds.

    Raises OSError where the system starts no process.
    """

    def __init__(
        self,
        index: int,
        command: Sequence[str],
        lines: socket.socket,
        listening: Sequence[socket.socket],
        now: float,
    ) -> None:
        self.pair, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        handed = [theirs.fileno(), lines.fileno(), *(one.fileno() for one in listening)]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [*command, *worker_arguments(index, handed[0], handed[1], handed[2:])],
                    pass_fds=handed,
                    start_new_session=True,  # Ctrl-C comes by the supervisor only
                    stdin=subprocess.DEVNULL,
                )
        except BaseException:
            self.pair.close()
            raise
        self.pair.setblocking(False)
        self.heard_at = now
        #: When it began to answer requests.
        self.serving_since: float | None = None
        #: When it is killed, once it was told to end.
        self.ends_by: float | None = None
        #: Why it ended, in its own words.
        self.last_line = ""

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_serving(self) -> bool:
        """Whether it answers requests and was not told to end."""
        return self.serving_since is not None and self.ends_by is None

    def exit_code(self) -> int | None:
        """None while it runs; the negative number of the signal that ended it."""
        return self._process.poll()

    def terminate(self, ends_by: float) -> None:
        """Tells it to end."""
        if self.ends_by is None:
            self.ends_by = ends_by
            self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def tell_of_death(self, pid: int) -> None:
        """Tells it that another worker died."""
        with suppress(OSError):  # it hangs, or ends itself
            self.pair.send(DIED + str(pid).encode())

    def read(self, now: float) -> bool:
        """Reads its messages. False once there will be no more."""
        while True:
            try:
                message = self.pair.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not message:
                return False
            self.heard_at = now
            if message == SERVES:
                self.serving_since = now
            elif message.startswith(LAST_LINE):
                self.last_line = message[1:].decode(errors="replace")


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one worker: its number, its process if there is one, and its restarts."""

    index: int
    process: WorkerProcess | None = None
    #: When the next process is due, while there is none.
    due_at: float = 0.0
    #: How often it ended since it served for long.
    failures: int = 0
    is_killed: bool = False

    def __str__(self) -> str:
        return f"worker {self.index} (process {self.process.pid if self.process else '-'})"

    @property
    def is_serving(self) -> bool:
        return self.process is not None and self.process.is_serving
