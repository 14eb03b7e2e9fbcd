"""The process that serves: settings, logs, sockets, uvicorn with the application."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI

from api.hf_unified_server import OpenGateway, close_streams, create_app
from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import BoundedWebSocket
from api.server.date_header import DatedState
from api.server.direct_http import DirectHttp
from api.server.hooks import OTHER_DESCRIPTORS, ConnectionTimeouts, hooks_of
from api.server.listening import (
    address_of,
    log_ready,
    open_sockets,
    open_url,
    warn_if_open_to_all,
)
from api.server.resources import collect_from_now_on, give_memory_back, raise_descriptors
from api.server.worker import Worker
from api.server.ws_transport import is_websocket
from api.ws_data_broadcaster import MAX_FRAME_BYTES
from backend.cluster.keys import process_prefix
from backend.cluster.membership import Membership
from backend.environment import SettingsError, invalid_settings
from backend.environment.network import has_free_descriptor
from backend.gateway import open_gateway, read_configuration
from backend.joined_cluster import check_store
from backend.observability.logs import open_logs
from backend.providers.reach import warn_if_unreachable
from backend.redaction import Redactor
from backend.settings import Configuration

#: Added to WS_STUCK_SECONDS, in seconds: a client that is stuck gets our close frame first.
PING_SLACK_S = 30
#: Time for requests in progress after a signal, in seconds. With the clean-up it is under 5.
DRAIN_S = 4
#: Time after a signal, in seconds, after which the process exits whatever still hangs: a disk, a
#: name server, a program that does not read our output.
EXIT_AFTER_S = 4.6
#: uvicorn logs an invalid frame of a client with this message and a trace, like a bug.
INVALID_UTF8 = "Invalid UTF-8 sequence received from client."
#: Ticks of uvicorn's own main loop; at each multiple it does the work of a second.
TICKS_PER_S = 10
#: Interval of the main loop in seconds, and with few connections.
TICK_S, RARE_TICK_S = 1.0, 5.0
#: From this number of connections on, the descriptors are looked at each second.
MANY_CONNECTIONS = 256
#: For connections of a process that ends to send another request, in seconds: its response closes
#: the connection, so that the client goes to another worker, or another gateway behind its proxy.
LEAVE_S = 0.25

log = logging.getLogger("gateway")
uvicorn_log = logging.getLogger("uvicorn.error")


class Server(uvicorn.Server):
    """uvicorn that ends the stream of its clients before it closes connections.

    `exit_after_s` seconds after a signal the process exits in any case. With `worker` it is one of
    several processes, which its supervisor started. `after_start` runs beside the service.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        *,
        exit_after_s: float = EXIT_AFTER_S,
        worker: Worker | None = None,
        after_start: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        #: Set once the gateway is open.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: Coroutine[Any, Any, None] | None = None
        self._should_exit = False
        self._exit_asked = asyncio.Event()
        super().__init__(config)
        if getattr(app.state, "is_server_known", False):  # an application of ours
            self.server_state = DatedState(config, hooks_of(app).clock)
        self._after_start = after_start
        self._reporting: asyncio.Task[None] | None = None
        self.app, self._worker = app, worker
        self._exit_after_s = exit_after_s
        self._has_descriptors = True

    def serve(self, sockets: list[socket.socket] | None = None) -> Coroutine[Any, Any, None]:
        self._serving = super().serve(sockets)
        return self._serving

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:  # a signal may have ended the start first: Python would warn of that
            if self._serving is not None:
                self._serving.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        for listening in sockets or ():  # uvicorn then assumes one of many workers, and logs none
            uvicorn_log.info("Uvicorn running on %s (Press CTRL+C to quit)", address_of(listening))
        collect_from_now_on()
        if self._worker:
            self._worker.serves()
        elif sockets:
            log_ready(open_url(sockets))
        if self._after_start:
            self._reporting = asyncio.create_task(self._after_start())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the shutdown. Its time is limited, so further signals change nothing."""
        if not self.should_exit:
            watchdog = threading.Timer(self._exit_after_s, _exit_hung)
            watchdog.daemon = True
            watchdog.start()
        super().handle_exit(signal.SIGTERM, frame)

    @property
    def should_exit(self) -> bool:
        """As uvicorn's; setting it also wakes the main loop. Signal handlers set it."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, is_asked: bool) -> None:
        self._should_exit = is_asked
        if is_asked and self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._exit_asked.set)

    async def main_loop(self) -> None:
        """As uvicorn's, which wakes the process ten times a second to look for an exit: most of
        the CPU of a process without requests."""
        counter = 0
        while not await self.on_tick(counter):
            counter += TICKS_PER_S
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_tick_s()):
                    await self._exit_asked.wait()

    def _next_tick_s(self) -> float:
        """A process with few connections has descriptors left. A worker tells its supervisor each
        second that it lives."""
        is_rare = len(self.server_state.connections) < MANY_CONNECTIONS and self._has_descriptors
        is_rare = is_rare and isinstance(self.server_state, DatedState) and not self._worker
        return RARE_TICK_S if is_rare else TICK_S

    async def on_tick(self, counter: int) -> bool:
        self._free_descriptors()
        if self._worker:
            self._worker.is_alive()
        return await super().on_tick(counter)

    def _free_descriptors(self) -> None:
        """Closes idle connections when no descriptor is left, so that new clients can connect."""
        had_any, self._has_descriptors = self._has_descriptors, has_free_descriptor()
        if self._has_descriptors:
            return
        if had_any:
            log.warning("no file descriptor is left, idle connections are closed")
        for connection in list(self.server_state.connections):
            if not is_websocket(connection):  # those are not idle
                connection.shutdown()  # at once, or after the current response

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._worker or self._has_http_clients():
            await self._send_clients_to_others(sockets or [])
        self.app.state.is_ending = True
        if self._reporting:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        await close_streams(self.app)
        await super().shutdown(sockets)

    def note_death(self, pid: int) -> None:
        """Another worker of this machine died: if it led the cluster, another takes over now. May
        be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._release_lease_of(pid), self._loop)

    async def _release_lease_of(self, pid: int) -> None:
        cluster = self.app.state.gateway.cluster
        if isinstance(cluster, Membership):
            await cluster.release(process_prefix(pid))

    def _has_http_clients(self) -> bool:
        """They may have sent a request that is not read yet: as cached responses take no time,
        nearly all connections look idle."""
        return any(isinstance(one, BoundedHttp) for one in self.server_state.connections)

    async def _send_clients_to_others(self, sockets: list[socket.socket]) -> None:
        """Accepts no further connections, and makes the next response of each open one its last."""
        for accepting in self.servers:
            accepting.close()
        for listening in sockets:
            listening.close()
        for connection in self.server_state.connections:
            if isinstance(connection, BoundedHttp):
                connection.close_after_next_response()
        await asyncio.sleep(LEAVE_S)


def server(
    configuration: Configuration,
    *,
    opened: OpenGateway = open_gateway,
    timeouts: ConnectionTimeouts | None = None,
    exit_after_s: float = EXIT_AFTER_S,
    worker: Worker | None = None,
    **options: Any,
) -> Server:
    """A server that is ready to run. `options` override the options of uvicorn set here."""
    settings, app = configuration.gateway, create_app(configuration, opened, timeouts)
    uvicorn_log.addFilter(_is_not_invalid_utf8)
    own_options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,  # our one queue takes uvicorn's records too
        "access_log": False,
        "server_header": False,
        "http": DirectHttp if settings.http_direct else BoundedHttp,
        "ws": BoundedWebSocket,
        "proxy_headers": False,  # TRUST_PROXY decides, not uvicorn's default
        "timeout_graceful_shutdown": DRAIN_S,
        "ws_max_size": MAX_FRAME_BYTES,
        "ws_ping_timeout": settings.ws_stuck_seconds + PING_SLACK_S,
        # It would compress shared frames for each client again; `BoundedWebSocket` offers ours.
        "ws_per_message_deflate": False,
    }
    if not app.state.is_server_known:
        own_options |= {"http": "httptools", "ws": "websockets-sansio"}
    config = uvicorn.Config(app, **(own_options | options))
    return Server(
        config,
        app,
        exit_after_s=exit_after_s,
        worker=worker,
        after_start=partial(warn_if_unreachable, configuration),
    )


def main(worker: Worker | None = None, **options: Any) -> int:
    """Serves until a signal; gives the exit code. `options` are those of `server`."""
    give_memory_back()
    # uvicorn stops gracefully on a signal, then raises it again: the default handlers would end
    # the process before the logs are written, or show a traceback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        configuration = read_configuration()
        if configuration.gateway.redis_url:
            check_store(configuration.gateway)
        _serve(replace(configuration, worker=worker.index if worker else 0), worker, **options)
    except SettingsError as error:
        lines = invalid_settings(error)
        if worker:
            worker.says_last(lines)
        else:
            sys.stderr.write(f"{lines}\n")
        return 2
    return 0


def _serve(configuration: Configuration, worker: Worker | None, **options: Any) -> None:
    """A worker serves on its supervisor's sockets, and sends its log lines there."""
    settings, redact = configuration.gateway, Redactor(configuration.secrets())
    lines = worker.lines if worker else None
    folder, level, access_log = settings.log_dir, settings.log_level, settings.access_log
    with open_logs(folder, level, redact, lines, access_log=access_log):
        sockets = worker.listening if worker else open_sockets(settings.host, settings.port)
        raise_descriptors(settings.ws_max_clients + OTHER_DESCRIPTORS)
        serving = server(configuration, worker=worker, **options)
        if worker:
            worker.watch(lambda: serving.handle_exit(signal.SIGTERM, None), serving.note_death)
        else:
            warn_if_open_to_all(settings, sockets)
        serving.run(sockets)


def _is_not_invalid_utf8(record: logging.LogRecord) -> bool:
    return record.msg != INVALID_UTF8


def _exit_hung() -> NoReturn:
    log.warning("the shutdown takes too long, the process exits now")
    threading.Event().wait(0.1)  # for the thread that writes the log
    os._exit(0)


def run(**options: Any) -> NoReturn:
    """Runs `main`, then ends the process at once: a normal exit would wait for threads and for a
    program that reads our output."""
    try:
        code = main(**options)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    os._exit(code)
