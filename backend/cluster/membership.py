"""This process's part in the cluster: its beats, the lease, and who leads."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress

from backend.clock import Clock
from backend.cluster.contract import ClusterState, Member
from backend.cluster.identity import Identity, differences
from backend.cluster.leadership import Leadership, TakeOver, Takeover
from backend.cluster.members import Members
from backend.cluster.message_bus import MessageBus
from backend.cluster.store import (
    COMMAND_S,
    Beat,
    BeatReply,
    SharedStore,
    StoreUnavailable,
)
from backend.cluster.store_clock import StoreClock
from backend.models.cluster import Role

log = logging.getLogger("gateway")

#: Interval of the beats, and of the leader's messages that show it is alive, in seconds.
BEAT_S = 0.5
#: A leader that has not been heard for this long is not asked, in seconds.
SILENT_S = 1.2
#: A leader that reaches no provider does not lead again within this, in seconds: if the reason is
#: not its own network, the lease must not go round.
STAND_BACK_S = 300.0
#: After so many slow beats in a row the store is too far away to lead with.
SLOW_BEATS = 3
#: Time limit of the release at the end, in seconds.
RELEASE_S = 0.5


class Membership:
    """Implements Cluster. `run` beats until it is cancelled; `aclose` hands the lease over.

    It leads while its Leadership is complete and the store is connected.
    """

    def __init__(
        self,
        store: SharedStore,
        identity: Identity,
        clock: Clock,
        *,
        is_able: Callable[[], bool] = lambda: True,
    ) -> None:
        """While this process is not `is_able` to call providers, another leads, if there is one."""
        self.store = store
        self.identity = identity
        self.store_clock = StoreClock(clock)
        self.bus = MessageBus(store, identity.process)
        self.is_able = is_able
        #: Called with each new role.
        self.on_role: Callable[[Role], None] = lambda _role: None
        self._readers: Callable[[], int] = lambda: 0
        self._clock = clock
        self._receiver: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._highest_term = 0
        self._heard_at = float("-inf")
        self._reply: BeatReply | None = None
        self._slow_beats = 0
        self._stands_back_until = float("-inf")
        self._members = Members(identity.process, identity.size, clock)
        self._leadership = Leadership(clock, self._members, self._begin)
        self._reason: str | None = "not connected yet"
        self._is_down_logged = False
        self._noted_role, self._role_since = self.role, clock.now()
        #: Set from the first takeover on.
        self.has_led = asyncio.Event()
        #: For the metrics.
        self.falls = self.takeovers = self.fenced = 0
        self.bus.subscribe("leader", self._hear)

    @property
    def take_over(self) -> TakeOver:
        """Called with each takeover, before the first call of a term."""
        return self._leadership.take_over

    @take_over.setter
    def take_over(self, take_over: TakeOver) -> None:
        self._leadership.take_over = take_over

    def __repr__(self) -> str:
        return f"<Membership {self.identity.name} {self.role} term {self._highest_term}>"

    @property
    def leads(self) -> bool:
        return self._leadership.is_complete and self.store.is_connected

    @property
    def is_excluded(self) -> bool:
        return self._reply is not None and self._reply.standing == "excluded"

    @property
    def has_share(self) -> bool:
        """False while the settings differ from those of the running processes, and while as many
        others run as CLUSTER_SIZE says in all: the shares are theirs."""
        return not (self._members.is_surplus or self.is_excluded)

    @property
    def hears_leader(self) -> bool:
        is_recent = self._clock.monotonic() - self._heard_at < SILENT_S
        is_follower = self._reply is not None and self._reply.standing == "follower"
        return self.store.is_connected and is_follower and is_recent

    @property
    def heard_at(self) -> float:
        return self._heard_at

    @property
    def expects_leader(self) -> bool:
        is_full = self._reply is not None and self._reply.is_full
        return self.store.is_connected and not (self.is_excluded or is_full or self._is_slow)

    @property
    def role(self) -> Role:
        if self.is_excluded:
            return "excluded"
        if self.leads:
            return "leader"
        return "follower" if self.hears_leader else "island"

    def state(self) -> ClusterState:
        role, holder = self._note_role(), self._reply.holder if self._reply else ""
        knows_leader = self.store.is_connected and bool(holder)
        return ClusterState(
            name=self.identity.cluster,
            process=self.identity.name,
            role=role,
            size=self.identity.size,
            leader=self._members.name_of(holder) if knows_leader else None,
            term=self._highest_term,
            is_connected=self.store.is_connected,
            reason=self._reason_of(role),
            members=self._members.with_own(self._own(role)),
            since=self._role_since,
            store_s=self.store_clock.now_s,
        )

    def _reason_of(self, role: Role) -> str | None:
        is_lost = self._reply is not None and not self.store.is_connected
        if role == "island" and is_lost and not self._is_down_logged:
            return "the connection was lost"  # the next beat finds out why
        if role in ("island", "excluded"):
            return self._reason
        return None if self.has_share else "more processes run than CLUSTER_SIZE says"

    def _own(self, role: Role) -> Member:
        own, now_s = self.identity, self.store_clock.now_s
        return Member(own.process, own.name, role, own.version, self._readers(), now_s)

    def _note_role(self) -> Role:
        role = self.role
        if role != self._noted_role:
            self._noted_role, self._role_since = role, self._clock.now()
            self.on_role(role)
        return role

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        self._readers = readers

    async def connect(self) -> None:
        """Tries to connect, so that a start finds what the others know. Logs a failure."""
        try:
            await self._connect()
        except StoreUnavailable as error:
            self._note_down(str(error))

    async def run(self) -> None:
        """Beats until it is cancelled."""
        sender = asyncio.create_task(self.bus.run_sender(), name="cluster messages")
        try:
            while True:
                await self._beat_once()
                await self._pause()
        finally:
            tasks = [task for task in (sender, self._receiver) if task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._leadership.aclose(), return_exceptions=True)

    async def aclose(self) -> None:
        """Ends the lease, so that another process takes over at once."""
        self._leadership.suspend()
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await self.store.release(self.identity.process)
        await self.store.aclose()

    async def release(self, process: str) -> None:
        """Ends the lease of a dead process, whose id begins with `process`."""
        with suppress(StoreUnavailable):
            await self.store.release(process)

    def record_refusal(self, *, was_fenced: bool) -> None:
        """The store did not record a call of the leader: it must find out who leads, and read the
        log again, before it calls anybody."""
        self.fenced += was_fenced
        self._leadership.suspend()
        self._wake.set()

    async def _beat_once(self) -> None:
        sent_at = self._clock.monotonic()
        try:
            if not self.store.is_connected or self._is_deaf():
                await self._connect()
                sent_at = self._clock.monotonic()
            self._note_reply(await self.store.beat(self._beat()), sent_at)
        except StoreUnavailable as error:
            self._note_down(str(error))
        except Exception:  # a bug must not end the beats: the process would be alone for ever
            if not self._is_down_logged:
                log.exception("a beat of the cluster failed")
            self._note_down("an error of the gateway")
        self._note_role()

    async def _connect(self) -> None:
        self._leadership.suspend()
        self._heard_at = float("-inf")
        if self._receiver:
            self._receiver.cancel()
        await self.store.connect()
        self._receiver = asyncio.create_task(self._receive(), name="cluster receiver")

    def _is_deaf(self) -> bool:
        return self._receiver is not None and self._receiver.done()

    async def _receive(self) -> None:
        """When it ends, the next beat connects again."""
        try:
            await self.bus.receive()
        except StoreUnavailable:
            return
        except Exception:
            log.exception("the messages of the cluster cannot be received")

    def _beat(self) -> Beat:
        own, role = self.identity, self.role
        detail = {
            "name": own.name,
            "role": role,
            "version": own.version,
            "readers": self._readers(),
        }
        may_lead = own.may_lead and self._can_lead()
        text, known_term = json.dumps(detail), self._highest_term
        last_term = self._leadership.last_term
        return Beat(
            *(own.process, last_term, may_lead, own.settings, text, known_term),
            was_excluded=self.is_excluded,
        )

    def _can_lead(self) -> bool:
        """A leader whose commands take too long, or that reaches no provider, gives way."""
        now = self._clock.monotonic()
        if not self.is_able() and len(self._members) > 1 and now >= self._stands_back_until:
            self._stands_back_until = now + STAND_BACK_S
            log.warning("no provider can be reached: another process may lead the cluster")
        return not self._is_slow and now >= self._stands_back_until

    @property
    def _is_slow(self) -> bool:
        """A single slow reply may be this machine's own load."""
        return self._slow_beats >= SLOW_BEATS

    def _note_reply(self, reply: BeatReply, sent_at: float) -> None:
        self._reply = reply
        is_slow = self._clock.monotonic() - sent_at > COMMAND_S
        self._slow_beats = self._slow_beats + 1 if is_slow else 0
        is_others = reply.holder not in ("", self.identity.process)
        if not reply.is_broken and (is_others or reply.term != self._leadership.last_term):
            # Another has led since, maybe in an emptied store, where terms may have begun anew.
            self._leadership.last_term = 0
        self.store_clock.set(reply.server_s)
        self._members.note(reply)
        self._highest_term = max(self._highest_term, reply.term)
        if problem := self._problem_of(reply):
            self._note_down(problem)
        else:
            self._note_up()
        if reply.standing == "leader":
            self._note_lease(reply, sent_at)
            return
        self._leadership.end()
        if reply.standing == "excluded":
            self._exclude(reply.settings)
        elif not self._problem_of(reply):
            is_vacant = reply.standing == "vacant"
            self._reason = "no process leads yet" if is_vacant else "the leader is silent"

    def _problem_of(self, reply: BeatReply) -> str:
        """Why the store, which answers, cannot be used; empty if it can."""
        if reply.is_full:
            return "the store is full"
        return "the store is too slow" if self._is_slow else ""

    def _note_lease(self, reply: BeatReply, sent_at: float) -> None:
        self._leadership.extend(reply, sent_at)
        if reply.is_full or (reply.is_broken and self._leadership.is_complete):
            self._leadership.suspend()  # the second: somebody has deleted the log
        if reply.is_full:
            return
        self._reason = self._leadership.problem or "the takeover is under way"
        if self._leadership.is_complete:
            self.bus.publish("leader", b"beat")
        else:
            self._leadership.go_on()

    def _begin(self, takeover: Takeover) -> None:
        self.takeovers += 1
        self.has_led.set()
        log.info("this process leads the cluster  %s term %d", self.identity.name, takeover.term)
        self.bus.publish("leader", b"beat")

    def _hear(self, sender: str, message: bytes) -> None:
        if message == b"vacant":
            self._heard_at = float("-inf")
            self._wake.set()  # the next beat may acquire the lease
        elif self._reply and sender == self._reply.holder:
            self._heard_at = self._clock.monotonic()
        else:
            self._wake.set()  # another leader than the last beat saw

    async def _pause(self) -> None:
        """Until the next beat is due: with the end of a lease that nobody renews, if sooner."""
        wait_s = BEAT_S
        if self._reply and self._reply.standing == "follower":
            wait_s = min(BEAT_S, self._reply.lease_left_s + 0.01)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        self._wake.clear()

    def _note_down(self, reason: str) -> None:
        self._leadership.suspend()
        self._reason = reason
        if not self._is_down_logged:
            self._is_down_logged = True
            self.falls += 1
            text = "REDIS_URL: %s; this process calls providers within its own share only"
            log.warning(text, reason)

    def _note_up(self) -> None:
        if self._is_down_logged:
            self._is_down_logged = False
            log.info("REDIS_URL: the shared store works again")

    def _exclude(self, settings: str) -> None:
        if not settings:  # those of an emptied store are not known yet
            return
        names = ", ".join(differences(self.identity.settings, settings))
        reason = f"{names} differs from that of the running processes"
        if self._reason != reason:
            self._reason = reason
            log.error("this process does not join the cluster: %s", reason)
