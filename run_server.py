"""Starts the gateway: settings, application, uvicorn."""

import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.hf_unified_server import OpenGateway, create_app
from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import BoundedWebSocket
from api.server.connections import OTHER_DESCRIPTORS
from api.server.direct_http import DirectHttp
from api.server.hooks import ConnectionTimeouts
from api.server.listening import bound_sockets, warn_if_open_to_all
from api.ws_data_broadcaster import MOST_FRAME_BYTES, Broadcaster
from backend.gateway import open_gateway, read_configuration
from backend.observability.logs import open_logs
from backend.observability.redaction import Redactor
from backend.settings import Configuration, SettingsError

#: So much longer than a reader may be stuck: that one is told why, not just dropped.
PONG_SLACK_S = 30
#: uvicorn waits this long for answers under way; with the clean-up it stays under 5 seconds.
DRAIN_S = 4
#: What still hangs then (a disk, a name server, whoever should read our output) is left behind.
LAST_S = 4.6
#: What uvicorn logs as a failure of ours, with a trace, and is a reader's broken frame.
NO_UTF8 = "Invalid UTF-8 sequence received from client."
#: Of uvicorn's main loop.
TICKS_PER_S = 10

log = logging.getLogger("gateway")


class Server(uvicorn.Server):
    """uvicorn, which says goodbye to the stream's readers before it closes connections."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app
        self._has_descriptors = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets:  # uvicorn takes that for one of many workers, and says nothing
            self._log_started_message(sockets)
        gc.collect()
        gc.freeze()  # what a start makes stays: to look through it again and again costs readers

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The end begins; it is bounded, so further signals have nothing to force."""
        if not self.should_exit:
            watch = threading.Timer(LAST_S, _leave_behind)
            watch.daemon = True
            watch.start()
        super().handle_exit(signal.SIGTERM, frame)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_S == 0:
            self._keep_descriptors()
        return await super().on_tick(counter)

    def _keep_descriptors(self) -> None:
        """When none is left, idle connections go: else they would keep everybody else out."""
        has_any, had_any = _has_descriptors(), self._has_descriptors
        self._has_descriptors = has_any
        if has_any:
            return
        if had_any:
            log.warning("no file descriptor is left, idle connections are closed")
        for connection in list(self.server_state.connections):
            if not isinstance(connection, WebSocketsSansIOProtocol):  # its readers are not idle
                connection.shutdown()  # at once, or after the answer under way

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.app.state.is_ending = True
        broadcaster: Broadcaster | None = getattr(self.app.state, "broadcaster", None)
        if broadcaster:  # None where the start failed
            await broadcaster.aclose()
        await super().shutdown(sockets)


def server(
    configuration: Configuration,
    *,
    opened: OpenGateway = open_gateway,
    timeouts: ConnectionTimeouts | None = None,
    **options: Any,
) -> Server:
    """Ready to run; `options` override our own options of uvicorn."""
    settings, app = configuration.gateway, create_app(configuration, opened, timeouts)
    logging.getLogger("uvicorn.error").addFilter(_is_ours)
    ours: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,  # our one queue takes uvicorn's records too
        "access_log": False,
        "server_header": False,
        "http": DirectHttp if settings.http_direct else BoundedHttp,
        "ws": BoundedWebSocket,
        "proxy_headers": False,  # TRUST_PROXY says whom to believe, not uvicorn's default
        "timeout_graceful_shutdown": DRAIN_S,
        "ws_max_size": MOST_FRAME_BYTES,
        "ws_ping_timeout": settings.ws_stuck_seconds + PONG_SLACK_S,
        "ws_per_message_deflate": False,  # for each reader again what all of them share
    }
    return Server(uvicorn.Config(app, **(ours | options)), app)


def main() -> int:
    try:
        configuration = read_configuration()
    except SettingsError as error:
        return _refuse(error)
    settings = configuration.gateway
    # uvicorn stops gracefully on a signal, then raises it again: the defaults would kill us before
    # the logs are written out, or show a traceback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with open_logs(settings.log_dir, settings.log_level, Redactor(configuration.secrets())):
        try:
            sockets = bound_sockets(settings.host, settings.port)
        except SettingsError as error:
            return _refuse(error)
        raise_descriptors(settings.ws_max_clients + OTHER_DESCRIPTORS)
        warn_if_open_to_all(settings, sockets)
        server(configuration).run(sockets)
    return 0


def _refuse(error: SettingsError) -> int:
    """Gives the exit code."""
    print(f"wrong setting  {error}", file=sys.stderr)
    return 2


def _is_ours(record: logging.LogRecord) -> bool:
    return record.msg != NO_UTF8


def raise_descriptors(wanted: int) -> None:
    """As many files at once as are wanted, if the hard limit allows; says when it does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if resource.RLIM_INFINITY != soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("%d open files are allowed, WS_MAX_CLIENTS may need %d", allowed, wanted)


def _has_descriptors() -> bool:
    try:
        socket.socket().close()
    except OSError:
        return False
    return True


def _leave_behind() -> NoReturn:
    log.warning("the end takes too long, what hangs is left behind")
    threading.Event().wait(0.1)  # for the thread that writes it
    os._exit(0)


def run() -> NoReturn:
    """Ends the process at once: the interpreter's own way waits for threads and for our output."""
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    os._exit(code)


if __name__ == "__main__":
    run()
