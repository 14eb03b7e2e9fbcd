"""Request heads that were parsed before, by their bytes."""

from typing import Any, NamedTuple

#: Most heads of a generation, and the size in bytes of the longest.
MAX_HEADS, MAX_HEAD_BYTES = 2_048, 2_048
#: Memory of a generation, in bytes. A head takes three times its length, for the text that was read
#: from it, and as much as this for each header field: short ones cost far more than their text.
MAX_BYTES, FIELD_BYTES = 8 * 1024 * 1024, 150


class KnownHead(NamedTuple):
    """`request` is what `CachedResponses.read` gave, `headers` are the header fields."""

    request: Any
    headers: list[tuple[bytes, bytes]]


class HeadCache:
    """Heads to which cached responses were sent twice or more: to keep each one would cost a tenth
    of the response to a head that is never sent again.

    They are in two generations: when the newer one is full, what was in the older one, and not
    asked for since, is dropped as a whole.
    """

    def __init__(self) -> None:
        self._newer: dict[bytes, KnownHead] = {}
        self._older: dict[bytes, KnownHead] = {}
        #: Estimated memory of the newer ones.
        self._bytes = 0
        #: Hashes of heads that came once.
        self._once: set[int] = set()

    def __repr__(self) -> str:
        return f"<HeadCache {len(self._newer)} newer and {len(self._older)} older heads>"

    def get(self, data: bytes) -> KnownHead | None:
        head = self._newer.get(data)
        if head is None:
            head = self._older.get(data)
            if head is not None:
                self._keep(data, head)
        return head

    def add(self, data: bytes, head: KnownHead) -> None:
        """`data` is one complete request without a body."""
        if len(data) > MAX_HEAD_BYTES:
            return
        if hash(data) in self._once:
            self._once.discard(hash(data))
            self._keep(data, head)
            return
        if len(self._once) >= MAX_HEADS:
            self._once.clear()
        self._once.add(hash(data))

    def _keep(self, data: bytes, head: KnownHead) -> None:
        size = 3 * len(data) + FIELD_BYTES * len(head.headers)
        if len(self._newer) >= MAX_HEADS or self._bytes + size > MAX_BYTES:
            self._newer, self._older, self._bytes = {}, self._newer, 0
        self._newer[data] = head
        self._bytes += size
