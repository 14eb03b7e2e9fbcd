"""The servers beside ours, sending what ours was heard to send: `python -m … bare|fastapi FILE`.

FILE is JSON: a list of {path, accept, condition, status, headers, body} (body in base64), an
answer for each question.
"""

import base64
import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.benchmarks.fanout_control import SERVER, pin

Key = tuple[str, bytes, bytes]
Kept = tuple[int, list[tuple[bytes, bytes]], bytes]


def key_of(path: str, headers: Any) -> Key:
    found = dict(headers)
    return path, found.get(b"accept-encoding", b""), found.get(b"if-none-match", b"")


def bare(answers: dict[Key, Kept]) -> ASGIApp:
    """The least that an ASGI application can do; for one question it looks at nothing."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        only = answers if len(answers) == 1 else None
        key = next(iter(only)) if only else key_of(scope["path"], scope["headers"])
        status, headers, body = answers[key]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def plain_fastapi(answers: dict[Key, Kept]) -> ASGIApp:
    app = FastAPI()

    @app.get("/{path:path}")
    async def read(request: Request, path: str) -> Response:
        status, headers, body = answers[key_of(f"/{path}", request.scope["headers"])]
        named = {name.decode(): text.decode() for name, text in headers}
        return Response(body, status, named)

    return app


def read(file: Path) -> dict[Key, Kept]:
    rows = json.loads(file.read_text())
    return {
        (row["path"], row["accept"].encode(), row["condition"].encode()): (
            row["status"],
            [(name.encode(), text.encode()) for name, text in row["headers"]],
            base64.b64decode(row["body"]),
        )
        for row in rows
    }


def main(kind: str, file: str) -> None:
    pin(SERVER)
    answers = read(Path(file))
    app = {"bare": bare, "fastapi": plain_fastapi}[kind](answers)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
