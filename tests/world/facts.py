"""What is true of the providers, and what they noticed of their callers."""

from collections import Counter, defaultdict

from backend.clock import Clock, SystemClock
from tests.world import feeds


class Facts:
    """The state of all providers that their answers are made of."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock` is the world's time: what it answers is of then, and its limits go by it."""
        self.clock = clock or SystemClock()
        self.begun = self.now_s
        self.keys: defaultdict[str, list[str]] = defaultdict(list)
        self.good_keys = {"coingecko_pro": "CG-worldprokey0000000000001"}
        #: Providers that take no key any more.
        self.revoked: set[str] = set()
        #: What `/key` tells of the good Pro key.
        self.account = {
            "rate_limit_request_per_minute": 500,
            "monthly_call_credit": 500_000,
            "current_total_monthly_calls": 1_234,
        }
        self.time_until_update = 50_000
        #: Where a redirect leads to.
        self.elsewhere = "http://192.0.2.1/elsewhere"
        self.not_modified: Counter[str] = Counter()
        #: Paths that a host does not have, by its provider.
        self.lacking: defaultdict[str, set[str]] = defaultdict(set)
        #: Coins without a market in CoinGecko's list of all.
        self.further_coins = 0
        #: By how many blocks a node is behind.
        self.lags: Counter[str] = Counter()

    @property
    def now_s(self) -> float:
        return self.clock.now().timestamp()

    @property
    def head(self) -> int:
        """Ethereum's newest block."""
        return self.head_of("ethereum")

    def head_of(self, chain: str) -> int:
        """The newest block of an EVM chain."""
        return feeds.FIRST_HEAD + int((self.now_s - self.begun) / feeds.EVM_CHAINS[chain][1])

    @property
    def height(self) -> int:
        """Bitcoin's newest block."""
        return feeds.FIRST_HEIGHT + int((self.now_s - self.begun) / feeds.BITCOIN_BLOCK_S)

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)
