"""Starts the gateway: settings, application, uvicorn."""

import signal
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.bounded_http import BoundedHttp
from api.hf_unified_server import create_app
from api.ws_data_broadcaster import MOST_FRAME_BYTES, Broadcaster
from backend.gateway import read_configuration
from backend.observability.logs import open_logs
from backend.observability.redaction import Redactor
from backend.settings import Configuration, SettingsError

#: So much longer than a reader may be stuck: that one is told why, not just dropped.
PONG_SLACK_S = 30
#: uvicorn waits this long for answers under way; with the clean-up it stays under 5 seconds.
DRAIN_S = 4


class Server(uvicorn.Server):
    """uvicorn, which says goodbye to the stream's readers before it closes connections."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app

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
    return Server(uvicorn.Config(app, **(ours | options)), app)


def main() -> int:
    try:
        configuration = read_configuration()
    except SettingsError as error:
        print(f"wrong setting  {error}", file=sys.stderr)
        return 2
    settings = configuration.gateway
    # uvicorn stops gracefully on SIGTERM, then raises it again: the default would kill us before
    # the logs are written out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open_logs(settings.log_dir, settings.log_level, Redactor(configuration.secrets())):
        server(configuration).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
