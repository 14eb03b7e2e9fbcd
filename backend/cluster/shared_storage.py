"""The storage of a process of a cluster: its own file, and what all processes share."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from backend.clock import Clock
from backend.cluster.call_log import CallLog
from backend.cluster.grouped_appends import GroupedAppends
from backend.cluster.leadership import Takeover
from backend.cluster.membership import Membership
from backend.cluster.store import Calls, StoreUnavailable
from backend.storage.contract import FIRST_SECOND_TICK, SavedBlock, SavedState, Storage

#: Marks the windows of a process's own share, whose calls only its own file has.
SHARE_MARK = "/share-"
#: Calls within a share are kept in the file for so long, in seconds: longer than any short window.
SHARE_KEPT_S = 2 * 3_600


class SharedStorage(Storage):
    """Calls within the pool are recorded in the shared store before they are made; calls within
    the share, and a copy of the former, in the process's own file.

    Answers and blocks are written to both by the leader. Of a machine's processes only the first
    writes answers to the file.
    """

    def __init__(
        self, own: Storage, membership: Membership, clock: Clock, *, writes_answers: bool
    ) -> None:
        self._own = own
        self._membership = membership
        self._store = membership.store
        self._process = membership.identity.process
        self._clock = clock
        self._writes_answers = writes_answers
        self._log = CallLog()
        self._appends = GroupedAppends(partial(self._store.append, self._process))
        self._writes: set[asyncio.Task[None]] = set()
        self._file_has_calls = False
        #: True if the file shows that a process of a cluster ran on this machine lately: then an
        #: empty store has lost the calls of that time.
        self.has_past = False

    def __repr__(self) -> str:
        return f"<SharedStorage {self._log!r} {self._own!r}>"

    @property
    def saves_answers(self) -> bool:
        return self._writes_answers or self._membership.leads

    async def load(self) -> SavedState:
        """What the file has, with the cluster's answers and blocks if the store can be reached."""
        saved = await self._own.load()
        self._file_has_calls = bool(saved.calls)
        since = self._clock.now().timestamp() - SHARE_KEPT_S
        shares = (ticks for window, ticks in saved.calls.items() if SHARE_MARK in window)
        self.has_past = any(tick >= since for ticks in shares for tick in ticks)
        try:
            answers, blocks = await self._store.load_answers(), await self._load_blocks()
        except StoreUnavailable:
            return saved
        return replace(
            saved, answers={**saved.answers, **answers}, blocks={**saved.blocks, **blocks}
        )

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        self._file_has_calls = True
        pool = {key: amount for key, amount in amounts.items() if SHARE_MARK not in key[0]}
        if not pool:
            return await self._own.add_calls(amounts, None)
        if not self._membership.leads:
            share = {key: amount for key, amount in amounts.items() if key not in pool}
            await self._own.add_calls(share, None)
            self._membership.record_refusal(was_fenced=False)
            return False
        recording = asyncio.create_task(self._record(pool), name="call log")
        # A caller that is cancelled must not leave it open whether the call was recorded.
        results = asyncio.gather(recording, self._own.add_calls(amounts, now_s))
        return (await asyncio.shield(results))[0]

    async def _record(self, pool: Mapping[tuple[str, int], int]) -> bool:
        stored = self._to_store(pool)
        try:
            is_recorded = await self._appends.add(stored)
        except StoreUnavailable:
            self._membership.record_refusal(was_fenced=False)
            return False
        if is_recorded:
            self._log.add(stored)
        else:
            self._membership.record_refusal(was_fenced=True)
        return is_recorded and self._membership.leads

    async def read_log(self, takeover: Takeover) -> SavedState:
        """All calls of the cluster, for a new leader, by this machine's clock.

        `seen_at` is the time until which they are complete; None where that is not known.
        """
        self._log.join(await self._store.load_calls())
        seen_at: float | None = self._clock.now().timestamp()
        if not takeover.log_is_complete:
            life_s = takeover.last_life_s - self._membership.store_clock.ahead_s
            known = [life_s if takeover.last_life_s else None, await self._join_file()]
            seen_at = max((at for at in known if at is not None), default=None)
        blocks = await self._load_blocks()
        return SavedState(self._converted(self._log.copy(), to_store=False), {}, seen_at, blocks)

    async def _join_file(self) -> float | None:
        """Adds what the file knows by now, from leaders on this machine. Until when it has all
        calls (epoch seconds): this machine led, or was alone."""
        saved = await self._own.load()
        pool = {window: ticks for window, ticks in saved.calls.items() if SHARE_MARK not in window}
        self._log.join(self._converted(pool, to_store=True))
        return saved.seen_at

    async def write_log(self, assumed: Mapping[tuple[str, int], int]) -> bool:
        """Adds calls that are assumed to have been made, and replaces the store's log by all."""
        calls = CallLog()
        calls.join(self._log.copy())
        calls.add(self._to_store(assumed))
        is_replaced = await self._store.replace_calls(self._process, calls.copy())
        if is_replaced:  # else the next attempt would assume them once more
            self._log.join(calls.copy())
            self._start(self._complete_file(self._log.copy()))
        return is_replaced

    async def _complete_file(self, calls: Calls) -> None:
        """Adds the calls of earlier leaders on other machines to this one's file."""
        in_file = (await self._own.load()).calls
        if self._file_has_calls and not in_file:
            return  # it cannot be read now: what it has would be added once more
        missing = {
            (window, tick): amount - in_file.get(window, {}).get(tick, 0)
            for window, ticks in self._converted(calls, to_store=False).items()
            for tick, amount in ticks.items()
        }
        added = {key: amount for key, amount in missing.items() if amount > 0}
        await self._own.add_calls(added, self._clock.now().timestamp())

    async def save_answer(
        self, key: str, body: bytes, now_s: float, max_answers: int | None = None
    ) -> bool:
        if self._membership.leads:
            self._start(self._store.save_answer(key, body, now_s, max_answers))
        if not self._writes_answers:
            return True
        return await self._own.save_answer(key, body, now_s, max_answers)

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        self._own.save_block(name, block)
        if self._membership.leads:
            self._start(self._store.save_block(name, block and self._shifted(block, 1)))

    def _shifted(self, block: SavedBlock, sign: int) -> SavedBlock:
        """Its times by the store's clock; with `sign` -1 by this machine's again."""
        ahead_s = sign * self._membership.store_clock.ahead_s
        return replace(
            block, until_s=block.until_s + ahead_s, recorded_s=block.recorded_s + ahead_s
        )

    async def _load_blocks(self) -> dict[str, SavedBlock]:
        blocks = await self._store.load_blocks()
        return {name: self._shifted(block, -1) for name, block in blocks.items()}

    async def delete_before(self, minute: int, second: int, answers_before_s: float) -> None:
        await self._own.delete_before(minute, second, answers_before_s)
        ticks = self._tick(minute, to_store=True), self._tick(second, to_store=True)
        old = self._log.delete_before(*ticks)
        if self._membership.leads and old:
            self._start(self._store.delete_calls(old))

    async def heartbeat(self, now_s: float) -> None:
        """Only the leader's file has all calls of its time."""
        if self._membership.leads:
            await self._own.heartbeat(now_s)

    async def aclose(self) -> None:
        for task in self._writes:
            task.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._own.aclose()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Writes to the store in the background: it is a copy of what the file has."""

        async def write() -> None:
            with suppress(StoreUnavailable):
                await work

        task = asyncio.create_task(write(), name="shared storage")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def _converted(self, calls: Mapping[str, Mapping[int, int]], *, to_store: bool) -> Calls:
        converted: Calls = {}
        for window, ticks in calls.items():
            amounts = converted.setdefault(window, {})
            for tick, amount in ticks.items():
                other = self._tick(tick, to_store=to_store)
                amounts[other] = amounts.get(other, 0) + amount
        return converted

    def _to_store(self, amounts: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        converted: dict[tuple[str, int], int] = {}
        for (window, tick), amount in amounts.items():
            key = window, self._tick(tick, to_store=True)
            converted[key] = converted.get(key, 0) + amount
        return converted

    def _tick(self, tick: int, *, to_store: bool) -> int:
        tick_s = 1 if tick >= FIRST_SECOND_TICK else 60
        convert = self._membership.store_clock
        return convert.to_store(tick, tick_s) if to_store else convert.from_store(tick, tick_s)
