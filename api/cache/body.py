"""A response body that is encoded once: compressed once for each coding, with its entity tags."""

import asyncio
from dataclasses import dataclass, field
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response

from api.cache.compression import MIN_BYTES, THREAD_BYTES, coding_for, compressed
from api.cache.etags import etag_of, matches
from api.cache.request_fields import field_value

#: Length of a digest in bytes.
DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """`digest` identifies the content; `coded` has it as compressed so far, by coding."""

    content: bytes
    media_type: str
    digest: str
    coded: dict[str, bytes] = field(default_factory=dict)
    #: Compressions in progress, by coding.
    tasks: dict[str, asyncio.Task[bytes]] = field(default_factory=dict)

    async def in_coding(self, coding: str) -> bytes:
        """Compressed at the first use; a long body in a thread, for all requests that wait."""
        if not coding:
            return self.content
        if coding not in self.coded:
            if len(self.content) < THREAD_BYTES:
                self.coded[coding] = compressed(self.content, coding)
            else:
                task = self.tasks.get(coding) or asyncio.create_task(
                    asyncio.to_thread(compressed, self.content, coding)
                )
                self.tasks[coding] = task
                self.coded[coding] = await asyncio.shield(task)
                self.tasks.pop(coding, None)
        return self.coded[coding]


def body_of(content: bytes, media_type: str) -> Body:
    return Body(content, media_type, blake2b(content, digest_size=DIGEST_BYTES).hexdigest())


async def respond_with(request: Request, body: Body, headers: dict[str, str]) -> Response:
    """The body in the best coding that the client accepts, or 304 if the client has it.

    `headers` are those of the response besides ETag, Content-Encoding and Content-Type.
    """
    accepted = field_value(request.headers, "accept-encoding")
    coding = coding_for(accepted, is_small=len(body.content) < MIN_BYTES)
    headers = {**headers, "ETag": etag_of(body.digest, coding)}
    if matches(field_value(request.headers, "if-none-match"), body.digest):
        return Response(status_code=304, headers=headers)
    content = await body.in_coding(coding)
    if coding:
        headers["Content-Encoding"] = coding
    return Response(content, media_type=body.media_type, headers=headers)
