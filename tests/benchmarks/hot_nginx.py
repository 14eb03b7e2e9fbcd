"""nginx by docs/deploy/nginx.conf in front of ours, where it is installed: what a proxy adds."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.deploy.nginx import BINARY, NO_LIMIT, command
from tests.life.process import free_port

#: By the name in the table: what is changed in the file. Readers of the benchmark ask more than
#: its limit of requests allows, so the limit is high; it is counted all the same.
KINDS: dict[str, Mapping[str, str]] = {
    "nginx proxy_cache": NO_LIMIT,
    "nginx, passed on": {**NO_LIMIT, "proxy_cache $zone;": "proxy_cache off;"},
}
#: As `PINNED` of hot_path, for a program that is not Python.
PINNED = (
    "import os, sys; from tests.benchmarks.fanout_control import SERVER, pin; pin(SERVER);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


async def nginx_of(
    stack: AsyncExitStack, folder: Path, ours: int, started: Callable[..., Awaitable[Any]]
) -> list[Any]:
    """The servers, each one process; none where there is no nginx."""
    if BINARY is None:
        return []
    found = []
    for number, (name, changes) in enumerate(KINDS.items()):
        port, one_process = free_port(), "daemon off; master_process off;"
        nginx = command(folder / f"nginx_{number}", port, ours, changes, one_process)
        found.append(
            await started(stack, name, sys.executable, "-c", PINNED, *nginx, PORT=str(port))
        )
    return found
