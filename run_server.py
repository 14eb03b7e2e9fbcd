"""Starts the gateway: settings, application, uvicorn."""

import signal
import sys

import uvicorn

from api.hf_unified_server import create_app
from backend.gateway import read_configuration
from backend.observability.logs import open_logs
from backend.observability.redaction import Redactor
from backend.settings import SettingsError

#: uvicorn waits this long for answers under way; with the clean-up it stays under 5 seconds.
DRAIN_S = 4


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
        uvicorn.run(
            create_app(configuration),
            host=settings.host,
            port=settings.port,
            log_config=None,  # our one queue takes uvicorn's records too
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
