"""A supervisor of light workers, with shorter times: arguments are its port, the number of workers
and what they do."""

import os
import socket
import sys
from pathlib import Path

from api.server.supervisor import Supervisor, Times
from api.server.workers import write_lines
from backend.observability import log_files
from backend.observability.logs import STOP_S, open_logs
from backend.redaction import Redactor

TIMES = Times(stop_s=1.0, silence_s=1.5, start_s=20.0, restart_s=(0.1, 0.5), steady_s=60.0)


def main(port: int, workers: int, does: str) -> int:
    log_files.FILE_BYTES, log_files.FILE_BACKUPS = 300_000, 50
    command = [sys.executable, "-m", "tests.api.server.light_worker", does]
    with (
        open_logs(Path("logs"), "INFO", Redactor()) as writing,
        socket.create_server(("127.0.0.1", port)) as listening,
    ):
        received, lines = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        thread = write_lines(received, writing.handle)
        code = Supervisor(command, workers, [listening], lines, times=TIMES, most_starts=2).run()
        lines.close()
        thread.join(STOP_S)
    return code


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
