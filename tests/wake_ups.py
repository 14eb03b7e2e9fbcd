"""How often a virtual event loop had something to do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def noted_wake_ups() -> Iterator[set[float]]:
    """The times at which a callback ran: what is due at one time is one wake-up of the process."""
    woken_at: set[float] = set()
    run = asyncio.Handle._run

    def noted(handle: asyncio.Handle) -> None:
        woken_at.add(round(asyncio.get_running_loop().time(), 3))
        run(handle)

    with patch.object(asyncio.Handle, "_run", noted):
        yield woken_at
