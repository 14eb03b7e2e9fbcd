"""The shared store in a Valkey or Redis: the only file that speaks to it, by redis-py.

Four connections: commands that a caller waits for, beats, messages to others, and messages of
others. A failure of any of them ends all; `connect` opens them anew.
"""

import asyncio
import json
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from hashlib import sha1
from typing import Any, Literal, get_args

from redis import exceptions as errors
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from backend.cluster import scripts
from backend.cluster.contract import CHANNELS
from backend.cluster.keys import Keys, redis_scheme
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

#: Time limit of everything else: connecting, beats, messages, takeovers; in seconds.
BACKGROUND_S = 1.0
#: Fields of a hash that one command reads or writes.
CHUNK = 2_000
#: A silent subscription is looked after this often, in seconds.
POLL_S = 0.5
#: Each has one command at a time under way. Calls and takeovers share one: none overtakes another.
Connection = Literal["commands", "beats", "messages", "subscription"]
CONNECTIONS: tuple[Connection, ...] = get_args(Connection)
#: Digits of a time in milliseconds that another program may have written.
LONGEST_TIME = 16
#: The first keys of the script of a beat.
BEAT_KEYS = ("lease", "term", "life", "calls", "claims", "born", "probe", "asked")
#: The only eviction policy under which the store does not delete calls.
POLICY = "noeviction"

log = logging.getLogger("gateway")

WRONG_TYPE = "WRONGTYPE"
CLOSED = "the connection has been closed"
REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLError, "no TLS connection with a trusted certificate"),
    (errors.AuthenticationError, "the password or user is wrong"),
    (errors.NoPermissionError, "the user may not do this"),
    (errors.ReadOnlyError, "the server is a read-only replica"),
    (errors.BusyLoadingError, "the server is loading its data"),
    (errors.MasterDownError, "the server has no primary"),
    (errors.ConnectionError, "the server is unreachable"),
    (errors.TimeoutError, "the server does not answer"),
    (TimeoutError, "the server does not answer"),
    (OSError, "the server is unreachable"),
)


class RedisStore:
    """Implements SharedStore. `url` is that of REDIS_URL."""

    def __init__(self, url: str, name: str) -> None:
        self._url = redis_scheme(url)
        self._keys = Keys(name)
        self._clients: tuple[Redis, ...] = ()
        self._pubsub: PubSub | None = None
        self._run_id = ""
        self._running: set[asyncio.Task[Any]] = set()
        self._is_opening = self.is_connected = False
        #: The server's eviction policy, if it may delete calls; else empty.
        self.wrong_policy = ""

    def __repr__(self) -> str:
        return f"<RedisStore {self._keys.prefix} {'up' if self.is_connected else 'down'}>"

    async def connect(self) -> None:
        await self.aclose()
        clients = self._clients = tuple(self._client() for _ in CONNECTIONS)
        self._is_opening = True
        try:
            info = await self._run(clients[0].info("server"), BACKGROUND_S)
            memory = await self._run(clients[0].info("memory"), BACKGROUND_S)
            await self._subscribe()
        except StoreUnavailable:
            await self.aclose()
            raise
        finally:
            self._is_opening = False
        # A server that does not tell its own is taken for a new one at each connect.
        self._run_id = str(info.get("run_id") or secrets.token_hex(20))
        self.is_connected = self._clients is clients
        policy, before = str(memory.get("maxmemory_policy", POLICY)), self.wrong_policy
        self.wrong_policy = "" if policy == POLICY else policy
        if self.wrong_policy not in ("", before):
            text = "REDIS_URL: maxmemory-policy is %s, by which a full server deletes calls; set %s"
            log.warning(text, policy, POLICY)

    async def _subscribe(self) -> None:
        """Also finds out whether this user may subscribe and publish."""
        pubsub = self._client_of("subscription").pubsub(ignore_subscribe_messages=True)
        self._pubsub = pubsub
        channels = [f"{self._keys.prefix}{channel}" for channel in CHANNELS]
        await self._run(pubsub.subscribe(*channels), BACKGROUND_S)
        confirmed = pubsub.parse_response(block=False, timeout=BACKGROUND_S)
        if await self._run(confirmed, 2 * BACKGROUND_S) is None:
            raise StoreUnavailable("the server does not answer")
        publishing = self._client_of("messages").publish(channels[0], b"")
        await self._run(publishing, BACKGROUND_S)

    async def aclose(self) -> None:
        """Commands under way fail: else they would open connections of their own."""
        self.is_connected = False
        for task in list(self._running):
            task.cancel()
        pubsub, self._pubsub = self._pubsub, None
        clients, self._clients = self._clients, ()
        with suppress(errors.RedisError, OSError, TimeoutError):
            async with asyncio.timeout(BACKGROUND_S):
                if pubsub:
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
                for client in clients:
                    await client.aclose()

    async def beat(self, beat: Beat) -> BeatReply:
        own = (beat.process, beat.last_term, int(beat.may_lead), beat.settings)
        times = (int(seconds * 1000) for seconds in (LEASE_S, CLAIM_S, MEMBER_S))
        reply = await self._script(
            scripts.BEAT,
            (*self._keys.of(*BEAT_KEYS), self._keys.members, self._keys.settings),
            (*own, self._run_id, beat.detail, *times, beat.known_term, int(beat.was_excluded)),
            BACKGROUND_S,
            "beats",
        )
        return _beat_reply(reply)

    async def append(self, process: str, amounts: Mapping[tuple[str, int], int]) -> bool:
        added = [part for key, n in amounts.items() for part in (_field(*key), n)]
        keys = self._keys.of("lease", "calls")
        return bool(await self._script(scripts.APPEND, keys, (process, *added), COMMAND_S))

    async def load_calls(self) -> Calls:
        calls: Calls = {}
        cursor = 0
        while True:
            scan = self._client_of("commands").hscan(self._key("calls"), cursor, count=CHUNK)
            cursor, found = await self._run(_unless_wrong_type(scan), BACKGROUND_S)
            for field, amount in found.items():
                with suppress(ValueError):  # what another program wrote
                    window, _, tick = field.decode().rpartition("@")
                    counted = {int(tick): int(amount)}
                    calls.setdefault(window, {}).update(counted)
            if cursor == 0:
                return calls

    async def replace_calls(self, process: str, calls: Calls) -> bool:
        fields = [
            part
            for window, amounts in calls.items()
            for tick, amount in amounts.items()
            for part in (_field(window, tick), amount)
        ]
        keys, place, token = self._keys.of("lease", "calls_new"), "first", secrets.token_hex(8)
        for start in range(0, max(1, len(fields)), 2 * CHUNK):
            part = fields[start : start + 2 * CHUNK]
            arguments = (process, token, place, *part)
            if not await self._script(scripts.REWRITE, keys, arguments, BACKGROUND_S):
                return False
            place = "next"
        keys = self._keys.of("lease", "calls_new", "calls", "life", "claims")
        arguments = (process, self._run_id, token)
        return bool(await self._script(scripts.COMMIT, keys, arguments, BACKGROUND_S))

    async def delete_calls(self, keys: list[tuple[str, int]]) -> None:
        for start in range(0, len(keys), CHUNK):
            fields = [_field(*key) for key in keys[start : start + CHUNK]]
            await self._run(self._client_of("commands").hdel(self._key("calls"), *fields))

    async def release(self, process: str) -> None:
        keys = (self._key("lease"), self._keys.members)
        vacant = process.encode() + b"\nvacant"
        arguments = (process, f"{self._keys.prefix}leader", vacant)
        await self._script(scripts.RELEASE, keys, arguments, COMMAND_S)

    async def save_answer(self, key: str, body: bytes, now_s: float, most: int | None) -> None:
        """The times of a category's answers are in a sorted set of its own."""
        category = key.partition("/")[0]
        answers, times = self._key("answers"), self._key(f"answer_times:{category}")
        client = self._client_of("messages")
        await self._run(client.hset(answers, key, body), BACKGROUND_S)
        await self._run(client.zadd(times, {key: now_s}), BACKGROUND_S)
        if most is not None:
            old = await self._run(client.zrange(times, 0, -most - 1), BACKGROUND_S)
            if old:
                await self._run(client.hdel(answers, *old), BACKGROUND_S)
                await self._run(client.zrem(times, *old), BACKGROUND_S)

    async def load_answers(self) -> dict[str, bytes]:
        client, answers = self._client_of("messages"), self._key("answers")
        found = {}
        for key in await self._run(client.hkeys(answers), BACKGROUND_S):
            body = await self._run(client.hget(answers, key), BACKGROUND_S)
            if body is not None:
                found[key.decode()] = bytes(body)
        return found

    async def save_block(self, name: str, block: SavedBlock | None) -> None:
        client, blocks = self._client_of("commands"), self._key("blocks")
        if block is None:
            await self._run(client.hdel(blocks, name))
        else:
            await self._run(client.hset(blocks, name, json.dumps(asdict(block))))

    async def load_blocks(self) -> dict[str, SavedBlock]:
        found = await self._run(self._client_of("commands").hgetall(self._key("blocks")))
        blocks = {name.decode(): _block(text) for name, text in found.items()}
        return {name: block for name, block in blocks.items() if block}

    async def publish(self, channel: str, message: bytes) -> None:
        client = self._client_of("messages")
        await self._run(client.publish(f"{self._keys.prefix}{channel}", message), BACKGROUND_S)

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            pubsub = self._pubsub
            if pubsub is None:
                raise StoreUnavailable("not connected")
            # Its own time limit makes no request: a hung server looks like silence.
            message = await self._run(pubsub.get_message(timeout=POLL_S), POLL_S + BACKGROUND_S)
            # An empty one is that of `_subscribe`.
            if message is not None and message["type"] == "message" and message["data"]:
                channel = message["channel"].decode().removeprefix(self._keys.prefix)
                yield channel, bytes(message["data"])

    def _client(self) -> Redis:
        return Redis.from_url(
            self._url,
            protocol=2,
            single_connection_client=True,
            socket_connect_timeout=BACKGROUND_S,
            socket_timeout=None,  # `_run` has the time limits
            retry=Retry(NoBackoff(), 0),  # else a failure takes up to ten attempts
            driver_info=None,  # else a connection begins with two more round trips
        )

    def _client_of(self, purpose: Connection) -> Redis:
        if not (self.is_connected or self._is_opening):
            raise StoreUnavailable("not connected")
        return self._clients[CONNECTIONS.index(purpose)]

    def _key(self, name: str) -> str:
        return self._keys.of(name)[0]

    async def _script(
        self,
        text: str,
        keys: tuple[str, ...],
        arguments: tuple[Any, ...],
        time_s: float,
        connection: Connection = "commands",
    ) -> Any:
        client = self._client_of(connection)

        async def call() -> Any:
            digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
            try:
                return await client.evalsha(digest, len(keys), *keys, *arguments)
            except errors.NoScriptError:  # a new server; EVAL also keeps the script
                return await client.eval(text, len(keys), *keys, *arguments)

        return await self._run(call(), time_s)

    async def _run(self, work: Any, time_s: float = COMMAND_S) -> Any:
        """Awaits a command. A caller that is cancelled does not cancel it, which would end the
        connection. A command whose connection is closed meanwhile fails as any other does."""
        clients = self._clients
        task = asyncio.ensure_future(_within(time_s, work))
        self._running.add(task)
        task.add_done_callback(partial(self._note_end, clients))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled() or _is_caller_cancelled():
                raise
            raise StoreUnavailable(CLOSED) from None
        except Exception as error:
            raise self._failure(error, clients) from None

    def _failure(self, error: Exception, clients: tuple[Redis, ...]) -> Exception:
        """What callers get for an error of these clients."""
        if clients is not self._clients:  # closed meanwhile: redis-py raises KeyError, for one
            return StoreUnavailable(CLOSED)
        if _is_full(error):
            return StoreFull("the server is full")
        if not isinstance(error, errors.RedisError | OSError | TimeoutError):
            return error
        return StoreUnavailable(_reason(error))

    def _note_end(self, clients: tuple[Redis, ...], task: asyncio.Task[Any]) -> None:
        """A failure ends the connection even if nobody waits for the command any more: redis-py
        would connect again without a word, maybe to a server that has lost data."""
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error and not _is_full(error) and clients is self._clients:
            self.is_connected = False


def _is_caller_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _unless_wrong_type(scan: Any) -> tuple[int, dict[bytes, bytes]]:
    """Nothing where another program has written the key: the log is known to be incomplete then,
    and the takeover replaces it."""
    try:
        cursor, found = await scan
    except errors.ResponseError as error:
        if not str(error).startswith(WRONG_TYPE):
            raise
        return 0, {}
    return cursor, found


async def _within(time_s: float, work: Any) -> Any:
    async with asyncio.timeout(time_s):
        return await work


def _is_full(error: BaseException) -> bool:
    # The second: inside a script.
    return isinstance(error, errors.OutOfMemoryError) or "OOM" in str(error)


def _reason(error: Exception) -> str:
    """In our words: the text of an error may have the address and the password."""
    chain = [error, error.__cause__, error.__context__]
    for kind, reason in REASONS:
        if any(isinstance(one, kind) for one in chain):
            return reason
    if str(error).startswith(WRONG_TYPE):
        return "a key of the cluster is of a wrong type: another program has written it"
    return f"the server refused a command ({type(error).__name__})"


def _field(window: str, tick: int) -> str:
    return f"{window}@{tick}"


def _beat_reply(reply: list[Any]) -> BeatReply:
    standing, now, term, holder, lease_ms, is_broken, highest, life, is_full, settings = reply[:10]
    claims, members = (_pairs(part) for part in reply[10:])
    return BeatReply(
        standing.decode(),
        server_s=now / 1000,
        term=term,
        holder=holder.decode(),
        lease_left_s=max(0, lease_ms) / 1000,
        is_broken=bool(is_broken),
        highest_claim=highest,
        last_life_s=life / 1000,
        is_full=bool(is_full),
        settings=settings.decode(),
        claims={process: int(term) for process, term in claims.items() if term.isdecimal()},
        members={
            process: (int(seen) / 1000, detail)
            for process, text in members.items()
            for seen, _, detail in [text.partition("|")]
            if seen.isdecimal() and len(seen) < LONGEST_TIME
        },
    )


def _pairs(flat: list[bytes]) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _block(text: bytes) -> SavedBlock | None:
    """None for what another program wrote."""
    try:
        block = SavedBlock(**json.loads(text))
    except (TypeError, ValueError):
        return None
    numbers = (block.until_s, block.recorded_s)
    return block if all(isinstance(number, int | float) for number in numbers) else None
