"""Client limits over all processes of a cluster.

Once a second each process tells what its clients have used since its last message. The others count
it in their own logs. Nothing is stored and no request waits. So a process does not know what was
used at others within the last second, what a lost message said, and what was told before it began.

A message is one byte of version, and 20 bytes for each client: a digest of its address and the
units, as big-endian 32 bits. The digest is keyed, so that the address cannot be found by trial.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from urllib.parse import unquote, urlsplit

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.edge.client_limits import MAX_CLIENTS, ClientLimits, Logs
from backend.bounded_map import BoundedMap
from backend.cluster.contract import Bus, Cluster
from backend.observability.metrics import counter
from backend.settings import Settings

VERSION = b"\x01"
#: Most clients of a message. More are told in several messages.
MAX_TOLD = 1_000
#: Most units of one client in a message.
MAX_UNITS = 2**32 - 1
#: In seconds.
TELL_INTERVAL_S = 1.0
#: In bytes. A key may be as long as the hash function allows.
DIGEST_BYTES, MIN_KEY_BYTES, MAX_KEY_BYTES = 16, 16, blake2b.MAX_KEY_SIZE
_ENTRY = Struct(f">{DIGEST_BYTES}sI")
_PURPOSE = b"client limits"

#: A client's digest and the units that it used.
Use = tuple[bytes, int]


def key_of(settings: Settings) -> bytes:
    """A key that all processes of the cluster have: of the store's password and the cluster's name.

    Without a password it is no secret from those who reach the store.
    """
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    text = f"{settings.cluster_name}\n{unquote(urlsplit(url).password or '')}"
    return blake2b(text.encode(), digest_size=MAX_KEY_BYTES, person=_PURPOSE).digest()


def digest_of(client: str, key: bytes) -> bytes:
    """Equal in all processes that have the same key, and for no other purpose."""
    text = client.encode()
    return blake2b(text, digest_size=DIGEST_BYTES, key=key, person=_PURPOSE).digest()


def messages_of(uses: Sequence[Use]) -> Iterator[bytes]:
    for first in range(0, len(uses), MAX_TOLD):
        entries = (
            _ENTRY.pack(digest, min(units, MAX_UNITS))
            for digest, units in uses[first : first + MAX_TOLD]
        )
        yield VERSION + b"".join(entries)


def parse_uses(message: bytes) -> list[Use]:
    """The uses in a message of another process. Raises ValueError."""
    count, rest = divmod(len(message) - len(VERSION), _ENTRY.size)
    if not message.startswith(VERSION) or rest or not 1 <= count <= MAX_TOLD:
        raise ValueError(f"must be version 1, with 1 to {MAX_TOLD} entries of {_ENTRY.size} bytes")
    uses = list(_ENTRY.iter_unpack(message[len(VERSION) :]))
    if not all(units for _, units in uses):
        raise ValueError("must have one unit or more for each client")
    return uses


class SharedLimits(Collector):
    """Tells the uses of this process's clients, and counts those of the others.

    It lives as long as its bus delivers. `key` is a secret of 16 to 64 bytes, the same in all
    processes of the cluster.
    """

    def __init__(self, limits: ClientLimits, bus: Bus, key: bytes) -> None:
        if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            raise ValueError(f"the key must have {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes")
        self._limits, self._bus = limits, bus
        self._digest = lru_cache(MAX_CLIENTS)(lambda client: digest_of(client, key))
        #: The clients with logs in `limits`, by their digests.
        self._clients: dict[bytes, str] = {}
        #: The logs of all other clients, until these come here.
        self._elsewhere: BoundedMap[bytes, Logs] = BoundedMap(MAX_CLIENTS)
        self._messages = Counter[str]()
        limits.share_with(self)
        bus.subscribe("hits", self.receive)

    def __repr__(self) -> str:
        return f"<SharedLimits {len(self._clients)}+{len(self._elsewhere)}>"

    async def run(self) -> None:
        """Tells once a second, until it is cancelled."""
        while True:
            await asyncio.sleep(TELL_INTERVAL_S)
            self.tell()

    def tell(self) -> None:
        """Tells what was used here since the last call; nothing where nothing was."""
        uses = [(self._digest(client), units) for client, units in self._limits.take_own()]
        for message in messages_of(uses):
            self._bus.publish("hits", message)
            self._messages["sent"] += 1

    def receive(self, _sender: str, message: bytes) -> None:
        """Counts what another process tells. A malformed message is dropped and counted."""
        try:
            uses = parse_uses(message)
        except ValueError:
            self._messages["malformed"] += 1
            return
        self._messages["received"] += 1
        for digest, units in uses:
            self._count(digest, units)

    def begin(self, client: str) -> Logs | None:
        digest = self._digest(client)
        self._clients[digest] = client
        return self._elsewhere.pop(digest)

    def drop(self, client: str) -> None:
        del self._clients[self._digest(client)]

    def collect(self) -> Iterable[Metric]:
        yield counter(
            "client_limit_messages",
            "Messages between the processes about the use of client limits.",
            ("result",),
            {(result,): count for result, count in self._messages.items()},
        )

    def _count(self, digest: bytes, units: int) -> None:
        client = self._clients.get(digest)
        if client is not None:
            self._limits.add_of_others(client, units)
            return
        logs = self._elsewhere.get(digest)
        if logs is None:
            logs = self._limits.new_logs()
            self._elsewhere.set(digest, logs)
        self._limits.add_to(logs, units)


@asynccontextmanager
async def sharing(
    limits: ClientLimits, cluster: Cluster, key: bytes
) -> AsyncIterator[SharedLimits | None]:
    """Shares the limits with the other processes of the cluster, and tells the last uses at the
    end. None in a single process, and without limits."""
    if not limits or cluster.state().role == "single":
        yield None
        return
    shared = SharedLimits(limits, cluster.bus, key)
    task = asyncio.create_task(shared.run(), name="client limits")
    try:
        yield shared
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        shared.tell()
