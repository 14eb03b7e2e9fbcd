"""The server with shorter waits, for tests: the same server, started by the same code."""

from functools import partial

from api import process
from backend.gateway import open_gateway
from backend.storage.sqlite_storage import open_storage

#: Time for requests in progress after a signal, in whole seconds.
DRAIN_S = 1
#: Time after a signal, in seconds, after which the process exits in any case.
EXIT_AFTER_S = 1.6
#: Pause before a failed state file is used again, and SQLite's wait for a lock, in seconds.
RETRY_S, BUSY_TIMEOUT_S = 1.0, 0.2

if __name__ == "__main__":
    open_state = partial(open_storage, retry_s=RETRY_S, busy_timeout_s=BUSY_TIMEOUT_S)
    process.run(
        opened=partial(open_gateway, open_state=open_state),
        exit_after_s=EXIT_AFTER_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
