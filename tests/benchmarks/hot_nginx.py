"""nginx with its cache in front of ours, where it is installed: what a proxy would add."""

import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
worker_cpu_affinity 01; master_process off;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=one:10m;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{ours}; proxy_http_version 1.1; proxy_cache one;
      proxy_cache_key $uri$is_args$args$http_accept_encoding; proxy_cache_valid 200 10h;
      proxy_set_header Accept-Encoding $http_accept_encoding;
    }}
  }}
}}
"""


async def nginx_of(
    stack: AsyncExitStack,
    folder: Path,
    ours: int,
    started: Callable[..., Awaitable[Any]],
    port: int,
) -> Any | None:
    """The server, or None where there is no nginx."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        return None
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, ours=ours))
    return await started(stack, "nginx proxy_cache", binary, "-c", str(file), PORT=str(port))
