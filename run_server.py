"""Starts the gateway: settings, application, uvicorn."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.bounded_http import BoundedHttp
from api.hf_unified_server import create_app
from api.problems import problem
from api.ws_data_broadcaster import MOST_FRAME_BYTES, Broadcaster
from backend.gateway import read_configuration
from backend.observability.logs import open_logs
from backend.observability.redaction import Redactor
from backend.settings import Configuration, SettingsError

#: So much longer than a reader may be stuck: that one is told why, not just dropped.
PONG_SLACK_S = 30
#: uvicorn waits this long for answers under way; with the clean-up it stays under 5 seconds.
DRAIN_S = 4
#: What still hangs then (a disk, a name server, whoever should read our output) is left behind.
LAST_S = 4.6
#: Of uvicorn's main loop.
TICKS_PER_S = 10

log = logging.getLogger("gateway")


class LastWord:
    """Tells those who still wait at the end that it is the end: uvicorn would show them a bug."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            told = "the gateway stops, and nobody has answered in time"
            with suppress(RuntimeError):  # its answer had begun: that is cut
                answer = problem(Request(scope), "deadline_exceeded", told)
                await answer(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn, which says goodbye to the stream's readers before it closes connections."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app
        self._has_descriptors = True

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
        broadcaster: Broadcaster | None = getattr(self.app.state, "broadcaster", None)
        if broadcaster:  # None where the start failed
            await broadcaster.aclose()
        await super().shutdown(sockets)


def server(configuration: Configuration, **options: Any) -> Server:
    """Ready to run; `options` take the place of ours."""
    settings, app = configuration.gateway, create_app(configuration)
    ours: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,  # our one queue takes uvicorn's records too
        "access_log": False,
        "server_header": False,
        "http": BoundedHttp,
        "proxy_headers": False,  # TRUST_PROXY says whom to believe, not uvicorn's default
        "timeout_graceful_shutdown": DRAIN_S,
        "ws_max_size": MOST_FRAME_BYTES,
        "ws_ping_timeout": settings.ws_stuck_seconds + PONG_SLACK_S,
        "ws_per_message_deflate": False,  # for each reader again what all of them share
    }
    return Server(uvicorn.Config(LastWord(app), **(ours | options)), app)


def main() -> int:
    try:
        configuration = read_configuration()
    except SettingsError as error:
        print(f"wrong setting  {error}", file=sys.stderr)
        return 2
    settings = configuration.gateway
    # uvicorn stops gracefully on a signal, then raises it again: the defaults would kill us before
    # the logs are written out, or show a traceback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with open_logs(settings.log_dir, settings.log_level, Redactor(configuration.secrets())):
        server(configuration).run()
    return 0


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
