"""Request ids: the client's own where it is harmless, else a random one."""

import os
import re
from collections.abc import Iterator

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
#: Bytes of a random id, and the number of ids for which random bytes are read at once.
ID_BYTES, IDS_PER_READ = 16, 256


def _random_ids() -> Iterator[bytes]:
    """Reads random bytes for many ids at once: a read for each one took a tenth of a response."""
    while True:
        text = os.urandom(ID_BYTES * IDS_PER_READ).hex().encode()
        yield from (text[at : at + 2 * ID_BYTES] for at in range(0, len(text), 2 * ID_BYTES))


_new_id = _random_ids().__next__


def request_id_for(sent: bytes) -> bytes:
    """`sent` (the X-Request-Id of the request) if it is a valid id, else a new one."""
    if sent and _REQUEST_ID.fullmatch(sent):
        return sent
    return _new_id()
