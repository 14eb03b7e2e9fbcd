"""A proxy that adds a gateway key to each request, for clients that cannot send one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

READ_BYTES = 65_536


@asynccontextmanager
async def adding_key(key: str, port: int) -> AsyncIterator[str]:
    """Its address. It forwards requests without a body to `port` of this machine."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, forward = await asyncio.open_connection("127.0.0.1", port)
        back = asyncio.create_task(_copy(upstream, writer))
        try:
            with suppress(OSError, EOFError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    forward.write(head[:-2] + f"X-API-Key: {key}\r\n\r\n".encode())
                    await forward.drain()
        finally:
            forward.close()
            back.cancel()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(READ_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.close()
