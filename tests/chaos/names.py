"""The rows and columns of the document, and what stands beside the table."""

from backend.providers.registry import REGISTRY
from tests.chaos.kinds import ALL_KINDS
from tests.chaos.rows import ROWS

PROVIDERS = tuple(spec.name for spec in REGISTRY)
#: Rows of the table that are played elsewhere than those of one provider's fault.
OTHERS = (
    "500 in 30 % of calls",
    "silent cut from 30 to 10 a minute",
    "key revoked mid-run",
    "one spurious 401",
    "all down for an hour",
    "10,000 readers on one cold key",
    "the leader disconnecting",
    "everybody disconnecting",
    "midnight",
    "month end",
    "leap day",
    "clock +2 h",
    "clock -2 h",
    "kill −9 mid-call",
    "corrupt state file",
    "full state file",
    "unwritable logs",
)
ONES = (*ROWS, *ALL_KINDS)
FAULTS = (*(row.name for row in ONES), *OTHERS)
#: Rows of the table that another suite holds, with its test.
ELSEWHERE = {
    "30 virtual days, all faults at random": "tests/simulation/test_storms.py",
    "day-15 spike of 20× for 6 h on 10,000 a month": (
        "tests/simulation/test_budgets.py: twenty times the readers and the questions"
    ),
    "10,000 readers on one cold key, all 10,000 in virtual time": (
        "tests/cache/test_cached_source.py"
    ),
}
NOTES = (
    "Bytes drip every 0.2 s, so that no time-out between two bytes would end it.",
    "Tests with a real process (kill −9, state file, logs) run in real time.",
    "2,000 readers ask at once for a cold key over the application; see above for 10,000.",
    "The hour's outage, crowds on cold keys and leavers are played once a category.",
    "1000× a gas price is not held for absurd: gas does leap like that.",
    "Feeds that are cut short give their whole items; candles of a venue that are not of the coin's"
    " price or time are refused as another coin's, without a verdict on the venue.",
    "Where a limit leaves no second call (cryptopanic, newsapi, coinmarketcap), one spurious 401 is"
    " forgiven at the next call that is due, not at once.",
    "Alone, a provider that has rivals meets a fault at 4 a minute only; at the other rates those"
    " are alone who have none.",
    "The rows from odd Set-Cookie to the daily quota are met one after the other by one gateway, at"
    " 4 a minute: a gateway that survives one of them must survive the next. Damaged TLS records"
    " come from providers who speak TLS.",
    "Of one null, nameless or absurd row the others must be served, and a warning must name it;"
    " gas has no rows, and what a fault says nothing about is n.a.",
    "14,500 rows and 26 MB are refused, by their number or their size, and readers of the rivals"
    " are answered within their deadline.",
)
#: What never fails to hold, and the property tests that say so.
INVARIANTS = {
    "permits are conserved": "tests/orchestration/limits/test_rate_limit_guard.py",
    "`until` is monotone, only legal transitions": (
        "tests/orchestration/health/test_circuit_breaker.py: BreakerMachine"
    ),
    "at most one flight a key; stale age is at most MAX_STALE and always flagged": (
        "tests/cache/test_cache_invariants.py"
    ),
    "the ledger is at least what the provider counted": (
        "tests/orchestration/limits/test_budget_machine.py"
    ),
    "no figure of a row is older than it may be": "tests/services/market/test_quote_expiry.py",
    "no price jumps without a second word or an hour": (
        "tests/services/market/test_outlier_filter.py"
    ),
    "secrets in no log, answer or status": "tests/test_secrets.py, tests/test_spellings.py",
}
