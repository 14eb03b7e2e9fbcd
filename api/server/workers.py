"""WORKERS: whether this process supervises, and the start and end of a supervisor."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable

from api.server.listening import address_of, open_sockets, open_url, warn_if_open_to_all
from api.server.supervisor import Supervisor
from backend.environment import SettingsError, invalid_settings
from backend.observability.log_channel import received_lines
from backend.observability.logs import STOP_S, open_logs
from backend.redaction import Redactor
from backend.settings import Configuration, load_configuration

#: Time for the last log lines after the end of all workers, in seconds.
EXIT_S = 2 * STOP_S

log = logging.getLogger("gateway")


def supervise_workers() -> None:
    """Supervises WORKERS processes and exits when they have ended.

    Returns if this process is to serve by itself: with one worker, or with an invalid setting,
    which the start then reports. Settings of providers are left to the workers.
    """
    try:
        configuration = load_configuration(())
    except SettingsError:
        return
    if configuration.gateway.workers == 1:
        return
    try:
        code = _supervise(configuration)
    except SettingsError as error:
        sys.stderr.write(f"{invalid_settings(error)}\n")
        code = 2
    os._exit(code)  # a normal exit would wait for a program that reads our output


def _supervise(configuration: Configuration) -> int:
    settings = configuration.gateway
    redact = Redactor(configuration.secrets())
    folder, level, access_log = settings.log_dir, settings.log_level, settings.access_log
    with open_logs(folder, level, redact, access_log=access_log) as writing:
        listening = open_sockets(settings.host, settings.port)
        warn_if_open_to_all(settings, listening)
        received, lines = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        thread = write_lines(received, writing.handle)
        names = ", ".join(address_of(one) for one in listening)
        log.info("%d workers are started for %s", settings.workers, names)
        command = [sys.executable, *sys.orig_argv[1:]]
        url = open_url(listening)
        code = Supervisor(command, settings.workers, listening, lines, url=url).run()
        give_up = threading.Timer(EXIT_S, os._exit, [code])  # a thread may hang in a disk's lock
        give_up.daemon = True
        give_up.start()
        lines.close()  # the workers' ends are closed too, so that no further line can come
        thread.join(STOP_S)
    return code


def write_lines(
    received: socket.socket, write: Callable[[logging.LogRecord], None]
) -> threading.Thread:
    """A thread that writes the workers' lines. While it waits for a disk, so do their queues."""

    def run() -> None:
        for line in received_lines(received):
            write(line)

    thread = threading.Thread(target=run, name="lines", daemon=True)
    thread.start()
    return thread
