"""The store's clock, which all processes of a cluster share, read without asking it."""

from backend.clock import Clock

#: A difference up to this is that of the measurement, in seconds.
SAME_S = 0.25
#: The ticks of one instant on two machines differ by this at most, in seconds.
CLOCKS_DIFFER_S = 2
#: A jump of the store's clock is believed after this, in seconds: no call of a short window, by
#: which a wrong age could matter, is older.
BELIEVED_AFTER_S = 2 * 3_600.0


class StoreClock:
    """Converts ticks between this machine's wall clock and the store's clock.

    When the store's clock was set forward, ages are those of the slower reading until all calls of
    before the jump are old: none is forgotten too soon.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Differences to the monotonic clock, in seconds: the latest, and the one for ages.
        self._latest: float | None = None
        self._slower = 0.0
        self._jumped_at: float | None = None

    def __repr__(self) -> str:
        return f"<StoreClock {self.ahead_s:+.1f} s>"

    def set(self, store_s: float) -> None:
        """The store's clock shows `store_s` (epoch seconds) now."""
        now = self._clock.monotonic()
        self._latest, is_first = store_s - now, self._latest is None
        if is_first or self._latest <= self._slower + SAME_S:
            self._jumped_at = None
            self._slower = self._latest if is_first else min(self._latest, self._slower)
        elif self._jumped_at is None:
            self._jumped_at = now
        elif now - self._jumped_at > BELIEVED_AFTER_S:
            self._slower, self._jumped_at = self._latest, None

    @property
    def now_s(self) -> float:
        """The store's clock (epoch seconds); this machine's before the first reading."""
        now_s = self._clock.now().timestamp()
        return now_s if self._latest is None else self._clock.monotonic() + self._latest

    @property
    def ahead_s(self) -> float:
        """The store's clock minus this machine's wall clock, in seconds; 0 if within `SAME_S`."""
        return self._whole(self._latest)

    def to_store(self, tick: int, tick_s: int) -> int:
        """A tick of `tick_s` seconds of this machine, as the store counts it."""
        return tick + round(self._whole(self._latest) / tick_s)

    def from_store(self, tick: int, tick_s: int) -> int:
        """A tick of the store, as this machine counts it. Two machines' ticks may differ by
        rounding, and by what the measurement of their clocks lacks: a second counts as later."""
        tick += CLOCKS_DIFFER_S if tick_s == 1 else 0
        return tick - round(self._whole(None if self._latest is None else self._slower) / tick_s)

    def _whole(self, offset: float | None) -> float:
        if offset is None:
            return 0.0
        ahead_s = offset + self._clock.monotonic() - self._clock.now().timestamp()
        return ahead_s if abs(ahead_s) > SAME_S else 0.0
