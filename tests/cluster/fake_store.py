"""The shared store in plain Python on an injected clock, with every way in which a real one fails.

`FakeServer` does what the scripts of backend/cluster/scripts.py do on a server; `FakeStore` is one
process's connection to it. tests/cluster/test_shared_store.py runs the same tests on both.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Literal, TypeVar

from backend.clock import Clock
from backend.cluster.store import (
    CLAIM_S,
    COMMAND_S,
    LEASE_S,
    MEMBER_S,
    Beat,
    BeatReply,
    Calls,
    StoreFull,
    StoreUnavailable,
)
from backend.storage.contract import SavedBlock

R = TypeVar("R")

#: As in backend/cluster/redis_store.py.
BACKGROUND_S = 1.0
BORN_MS = 60_000
CHUNK = 50

#: What happens to a command on its way: nothing, it is lost, its reply is lost, or it arrives when
#: nobody waits for it any more.
Fate = Literal["", "command lost", "reply lost", "command late"]


@dataclass
class Data:
    """What the server keeps. Times are in milliseconds of its clock."""

    lease: tuple[str, int] | None = None
    term: int = 0
    life: int = 0
    whole: str = ""
    claims: dict[str, int] = field(default_factory=dict)
    #: The run of the server and the time at which it was first asked for the lease.
    born: tuple[str, int] | None = None
    members: dict[str, tuple[int, str]] = field(default_factory=dict)
    settings: str | None = None
    #: When an excluded process first found no settings.
    asked: int = 0
    calls: dict[tuple[str, int], int] = field(default_factory=dict)
    calls_new: dict[tuple[str, int], int] = field(default_factory=dict)
    token: str = ""
    answers: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    blocks: dict[str, SavedBlock] = field(default_factory=dict)


class FakeServer:
    """`holders` are all who got the lease, with the term and the time (seconds of its clock)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.data = Data()
        self._runs = count(1)
        self.run_id = f"run-{next(self._runs)}"
        self.is_up, self.is_full = True, False
        self.ahead_s = 0.0
        self.stores: list[FakeStore] = []
        self.holders: list[tuple[str, int, float]] = []
        self.appended: list[tuple[str, tuple[str, int], int]] = []

    @property
    def now_ms(self) -> int:
        return int((self._clock.now().timestamp() + self.ahead_s) * 1000)

    @property
    def holder(self) -> str:
        lease = self.data.lease
        return lease[0] if lease and self.now_ms < lease[1] else ""

    def snapshot(self) -> Data:
        return deepcopy(self.data)

    def wipe(self) -> None:
        """FLUSHALL."""
        self.data = Data()

    def stop(self) -> None:
        self.is_up = False
        for store in self.stores:
            store.drop("the server is unreachable")

    def start(self, data: Data | None = None) -> None:
        """Empty, or with what an older snapshot has."""
        self.data = data or Data()
        self.run_id = f"run-{next(self._runs)}"
        self.is_up = True

    def beat(self, beat: Beat, run_id: str) -> BeatReply:
        data, me, now = self.data, beat.process, self.now_ms
        holder = self.holder
        if holder == me and beat.may_lead:
            data.lease = me, now + int(LEASE_S * 1000)
        elif holder == me:
            data.lease, holder = None, ""
        present = dict(data.members)
        alive = {
            process: one
            for process, one in data.members.items()
            if abs(now - one[0]) <= int(MEMBER_S * 1000)
        }
        data.members = alive
        members = {process: (seen / 1000, text) for process, (seen, text) in present.items()}
        excluding = self._settings(beat, are_others_there=bool(alive.keys() - {me}))
        if excluding is not None:
            return BeatReply("excluded", now / 1000, 0, holder, settings=excluding, members=members)
        if not self.is_full:
            data.members[me] = now, beat.detail
        is_broken, last_life = data.whole != run_id, data.life
        standing, claims = self._lease(beat, holder, is_broken=is_broken)
        if standing == "leader" and not is_broken and not self.is_full:
            data.life = now
        # The real scripts read the clock once; here it may have gone on since `now`.
        lease_left_ms = data.lease[1] - self.now_ms if self.holder and data.lease else 0
        return BeatReply(
            standing,
            now / 1000,
            data.term,
            self.holder,
            lease_left_ms / 1000,
            is_broken,
            max(claims.values(), default=0),
            last_life / 1000,
            self.is_full,
            "",
            claims,
            members,
        )

    def _settings(self, beat: Beat, *, are_others_there: bool) -> str | None:
        """Those that exclude the process, empty in an emptied store; None if it may join."""
        data = self.data
        if data.settings == beat.settings:
            return None
        if data.settings is not None and (self.is_full or are_others_there):
            return data.settings
        if beat.was_excluded and data.settings is None:
            data.asked = data.asked or self.now_ms
            if self.now_ms - data.asked < int(CLAIM_S * 1000):
                return ""
        if not self.is_full:
            data.settings = beat.settings
        return None

    def _lease(
        self, beat: Beat, holder: str, *, is_broken: bool
    ) -> tuple[Literal["leader", "follower", "vacant"], dict[str, int]]:
        data, now, claims = self.data, self.now_ms, {}
        may_go = True
        if data.born and (data.born[0] != self.run_id or now >= data.born[1] + BORN_MS):
            data.born = None
        if is_broken:
            if not holder and not self.is_full:
                data.claims[beat.process] = beat.known_term
                data.born = data.born or (self.run_id, now)
            claims = dict(data.claims)
            waited = now - data.born[1] if data.born else 0
            is_last = beat.last_term == max(claims.values(), default=0)
            most = int(CLAIM_S * 1000) + (0 if is_last else int(LEASE_S * 1000))
            may_go = waited >= most
        if holder:
            return ("leader" if holder == beat.process else "follower"), claims
        if not (beat.may_lead and may_go) or self.is_full:
            return "vacant", claims
        data.term = max(data.term, beat.known_term, *claims.values(), 0) + 1
        data.lease = beat.process, now + int(LEASE_S * 1000)
        data.born = None
        data.whole = "" if is_broken else data.whole
        self.holders.append((beat.process, data.term, now / 1000))
        return "leader", claims

    def append(self, process: str, amounts: Mapping[tuple[str, int], int]) -> bool:
        if self.holder != process:
            return False
        self._check_memory()
        for key, amount in amounts.items():
            self.data.calls[key] = self.data.calls.get(key, 0) + amount
            self.appended.append((process, key, amount))
        return True

    def rewrite(self, process: str, token: str, part: Calls, *, is_first: bool) -> bool:
        data = self.data
        if self.holder != process:
            return False
        if is_first:
            data.calls_new, data.token = {}, ""
            self._check_memory()
            data.token = token
        elif data.token != token:
            return False
        self._check_memory()
        for window, ticks in part.items():
            for tick, amount in ticks.items():
                data.calls_new[window, tick] = amount
        return True

    def commit(self, process: str, token: str, run_id: str) -> bool:
        data = self.data
        if self.holder != process or data.token != token or not token:
            return False
        self._check_memory()
        data.life = self.now_ms
        data.calls, data.calls_new, data.token = data.calls_new, {}, ""
        data.whole, data.claims = run_id, {}
        return True

    def release(self, process: str) -> None:
        for member in [one for one in self.data.members if one.startswith(process)]:
            del self.data.members[member]
        if self.holder.startswith(process) and self.holder:
            self.data.lease = None
            self.publish("leader", process.encode() + b"\nvacant")

    def save_answer(self, key: str, body: bytes, now_s: float, most: int | None) -> None:
        answers, category = self.data.answers, key.partition("/")[0]
        self._check_memory()
        answers[key] = now_s, body
        if most is not None:
            of_it = [name for name in answers if name.partition("/")[0] == category]
            of_it.sort(key=lambda name: (answers[name][0], name))
            for name in of_it[: max(0, len(of_it) - most)]:
                del answers[name]

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        if block is None:
            self.data.blocks.pop(name, None)
            return
        self._check_memory()
        self.data.blocks[name] = SavedBlock(**asdict(block))

    def publish(self, channel: str, message: bytes) -> None:
        for store in self.stores:
            store.deliver(channel, message)

    def _check_memory(self) -> None:
        if self.is_full:
            raise StoreFull("the server is full")


class FakeStore:
    """Implements SharedStore. `fate` decides about each command; `is_cut`: no packet arrives in
    either direction; `delay_s` is that of each way. `sent` are the commands by name."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._is_open = False
        self._run_id = ""
        self._line = asyncio.Lock()
        self._inbox: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._late: set[asyncio.TimerHandle] = set()
        self._tokens = count(1)
        self.fate: Callable[[str], Fate] = lambda _command: ""
        self.is_cut = False
        self.delay_s = 0.0
        server.stores.append(self)

    def __repr__(self) -> str:
        return f"<FakeStore {self._server.run_id} {'up' if self._is_open else 'down'}>"

    @property
    def is_connected(self) -> bool:
        return self._is_open

    async def connect(self) -> None:
        await self.aclose()
        self._is_open, self._inbox = True, asyncio.Queue()
        self._run_id = await self._run("connect", lambda: self._server.run_id, BACKGROUND_S)

    async def aclose(self) -> None:
        self.drop("closed")

    def drop(self, _reason: str) -> None:
        self._is_open = False
        self._inbox.put_nowait(None)

    def deliver(self, channel: str, message: bytes) -> None:
        if self._is_open and not self.is_cut:
            inbox = self._inbox
            delay_s = max(self.delay_s, 1e-6)  # not within the sender's own step
            self._later(delay_s, lambda: inbox.put_nowait((channel, message)))

    async def beat(self, beat: Beat) -> BeatReply:
        run_id = self._run_id
        return await self._run("beat", lambda: self._server.beat(beat, run_id), BACKGROUND_S)

    async def append(self, process: str, amounts: Mapping[tuple[str, int], int]) -> bool:
        return await self._run("append", lambda: self._server.append(process, amounts))

    async def load_calls(self) -> Calls:
        def load() -> Calls:
            calls: Calls = {}
            for (window, tick), amount in self._server.data.calls.items():
                calls.setdefault(window, {})[tick] = amount
            return calls

        return await self._run("load_calls", load, BACKGROUND_S)

    async def replace_calls(self, process: str, calls: Calls) -> bool:
        server, run_id, token = self._server, self._run_id, f"{process}-{next(self._tokens)}"
        flat = [(w, tick, n) for w, ticks in calls.items() for tick, n in ticks.items()]
        for start in range(0, max(1, len(flat)), CHUNK):
            part: Calls = {}
            for window, tick, amount in flat[start : start + CHUNK]:
                part.setdefault(window, {})[tick] = amount

            def rewrite(part: Calls = part, is_first: bool = start == 0) -> bool:
                return server.rewrite(process, token, part, is_first=is_first)

            if not await self._run("rewrite", rewrite, BACKGROUND_S):
                return False
        commit = lambda: server.commit(process, token, run_id)  # noqa: E731
        return await self._run("commit", commit, BACKGROUND_S)

    async def delete_calls(self, keys: list[tuple[str, int]]) -> None:
        def delete() -> None:
            for key in keys:
                self._server.data.calls.pop(key, None)

        await self._run("delete_calls", delete)

    async def release(self, process: str) -> None:
        await self._run("release", lambda: self._server.release(process))

    async def save_answer(self, key: str, body: bytes, now_s: float, most: int | None) -> None:
        save = lambda: self._server.save_answer(key, body, now_s, most)  # noqa: E731
        await self._run("save_answer", save, BACKGROUND_S)

    async def load_answers(self) -> dict[str, bytes]:
        def load() -> dict[str, bytes]:
            return {key: body for key, (_, body) in self._server.data.answers.items()}

        return await self._run("load_answers", load, BACKGROUND_S)

    async def save_block(self, name: str, block: SavedBlock | None) -> None:
        await self._run("save_block", lambda: self._server.save_block(name, block))

    async def load_blocks(self) -> dict[str, SavedBlock]:
        return await self._run("load_blocks", lambda: dict(self._server.data.blocks))

    async def publish(self, channel: str, message: bytes) -> None:
        publish = lambda: self._server.publish(channel, message)  # noqa: E731
        await self._run("publish", publish, BACKGROUND_S)

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        inbox = self._inbox
        while True:
            message = await inbox.get() if self._is_open or not inbox.empty() else None
            if message is None:
                raise StoreUnavailable("not connected")
            yield message

    async def _run(self, name: str, work: Callable[[], R], time_s: float = COMMAND_S) -> R:
        """One after the other, as over one connection; a caller that leaves does not end it."""
        if not self._is_open:
            raise StoreUnavailable("not connected")
        task = asyncio.ensure_future(self._within(time_s, self._command(name, work, time_s)))
        task.add_done_callback(self._note_end)
        try:
            return await asyncio.shield(task)
        except TimeoutError:
            raise StoreUnavailable("the server does not answer") from None

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error and not isinstance(error, StoreFull):
            self.drop("failed")

    async def _within(self, time_s: float, work: Awaitable[R]) -> R:
        async with asyncio.timeout(time_s):
            return await work

    async def _command(self, name: str, work: Callable[[], R], time_s: float) -> R:
        async with self._line:
            fate: Fate = "command lost" if self.is_cut else self.fate(name)
            if not self._server.is_up:
                raise StoreUnavailable("the server is unreachable")
            if fate == "command late":
                self._later(time_s + 0.05, work)
            if fate in {"command lost", "command late"}:
                await asyncio.sleep(2 * time_s)
            run = self._server.run_id
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if not self._server.is_up or (name != "connect" and self._server.run_id != run):
                raise StoreUnavailable("the server is unreachable")
            result = work()
            if fate == "reply lost":
                await asyncio.sleep(2 * time_s)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            return result

    def _later(self, delay_s: float, work: Callable[[], object]) -> None:
        """What is still in the network when nobody waits for it any more."""
        run_id = self._server.run_id

        def arrive() -> None:
            self._late.discard(handle)
            if self._server.is_up and self._server.run_id == run_id:
                try:
                    work()
                except StoreFull:
                    return

        handle = asyncio.get_running_loop().call_later(delay_s, arrive)
        self._late.add(handle)
