"""The fault table's rows about one provider: the fault, and the state that must follow."""

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.subjects import FEEDS, Subject
from tests.world.faults import DATED_S, TEN_DAYS_S
from tests.world.feeds import EVM_CHAINS

Span = tuple[float, float]
#: U(0.8, 1.2) around COOLDOWN at first, up to COOLDOWN_MAX later; seconds.
FIRST_COOLDOWN, ANY_COOLDOWN = (24.0, 36.0), (24.0, 360.0)
NEWS = ("cryptopanic", "newsapi", *FEEDS)
SENTIMENT = ("alternative_me", "coinmarketcap")
LISTS = ("coinmarketcap (market)", "coinpaprika (market)")
GAS = (
    "etherscan",
    "etherscan_backup",
    *(f"{chain}_rpc" for chain in EVM_CHAINS),
    "mempool_space",
    "esplora",
)


@dataclass(frozen=True)
class Row:
    """`first_s` and `later_s`: between what bounds `until` lies behind the failed call.

    `not_for`: subjects, providers or categories that the fault says nothing about, with the
    reason.
    `tolerant`: providers, or subjects, whose answer is still good, or whose junk is left out
    without a verdict on them. `is_told`: readers are warned of what was left out.
    """

    name: str
    fault: str
    state: str = "cooldown"
    reasons: tuple[str, ...] = ("bad_payload",)
    first_s: Span = FIRST_COOLDOWN
    later_s: Span = ANY_COOLDOWN
    calls: int = 1
    not_for: dict[str, str] = field(default_factory=dict)
    tolerant: tuple[str, ...] = ()
    is_told: bool = False

    def tolerates(self, subject: Subject) -> bool:
        return bool({"all", subject.name, subject.label}.intersection(self.tolerant))

    def why_not(self, subject: Subject) -> str | None:
        names = (subject.label, subject.name, subject.category)
        return next((self.not_for[name] for name in names if name in self.not_for), None)

    @property
    def is_the_providers_word(self) -> bool:
        """... when it may be asked again; what is our guess may be probed early."""
        return self.state != "cooldown" or self.fault == "http503"


def told(seconds: float) -> Span:
    return seconds - 1, seconds + 1


def limited(name: str, fault: str, first_s: Span, later_s: Span | None = None, **more: Any) -> Row:
    return Row(name, fault, "rate_limited", ("rate_limited",), first_s, later_s or first_s, **more)


def blocked(name: str, fault: str) -> Row:
    half_an_hour, six_hours = 1_800.0, 21_600.0
    spans = told(half_an_hour), (half_an_hour - 1, six_hours + 1)
    return Row(name, fault, "geo_blocked", ("geo_blocked",), *spans)


#: What a venue tells of a pair is judged before its candles: it may be a namesake's, or dead.
JUDGED = ("binance (ohlc)", "coinbase (ohlc)", "okx (ohlc)", "kraken (ohlc)")
#: Bitstamp's candles have names for their figures, of which the fault changes one only.
DATED = (*JUDGED, "bitstamp (ohlc)")
NO_STAMP = {"coinbase (market)": "its list has no stamp"}
NO_FIGURES = {"news": "news has no figures"}
ROWS = (
    Row("refuses TCP", "refused", reasons=("connect_error",)),
    Row("accepts and never answers", "silence", reasons=("timeout",)),
    Row("drips a byte a second", "drip", reasons=("timeout",)),
    Row(
        "503 with Retry-After 120",
        "http503",
        reasons=("upstream_5xx",),
        first_s=told(120),
        later_s=(119, 360),
    ),
    limited("429 with Retry-After 30", "429_30", told(30)),
    limited("429 without Retry-After", "429_none", told(60), (59, 901)),
    limited("429 with a date", "429_date", (DATED_S - 2, DATED_S + 1)),
    limited("429 with Retry-After 0", "429_0", told(60), (59, 901)),
    limited("429 with ten days", "429_ten_days", told(TEN_DAYS_S)),
    blocked("403 WAF", "403"),
    blocked("451", "451"),
    limited("418", "418", told(120)),
    Row("HTML in a 200", "html"),
    Row("truncated JSON", "truncated", tolerant=FEEDS),
    Row("NaN", "nan", not_for=NO_FIGURES),
    Row(
        "price 0",
        "zero",
        not_for={**NO_FIGURES, "sentiment": "0 is a value of the index"},
    ),
    Row("negative", "negative", not_for=NO_FIGURES),
    Row(
        "1000× price",
        "times_1000",
        not_for={**NO_FIGURES, "gas": "gas does leap like that"},
        tolerant=JUDGED,
    ),
    Row(
        "1000× price in all fields",
        "times_1000_all",
        not_for={
            **NO_FIGURES,
            "gas": "gas does leap like that",
            "sentiment": "the index has one field",
            "ohlc": "candles have these fields",
            "global": "the whole market has one such field",
            **dict.fromkeys(LISTS, "a row at another price is another coin's: it has no id"),
        },
        tolerant=("all",),
    ),
    Row(
        "yesterday's stamp",
        "yesterday",
        not_for={
            "news": "yesterday's news is news",
            "gas": "gas has no stamp",
            "sentiment": "yesterday's value stands until today's",
            **NO_STAMP,
        },
        tolerant=DATED,
    ),
    Row(
        "a stamp of three days ago",
        "three_days_old",
        not_for={"news": "old news is left out", "gas": "gas has no stamp", **NO_STAMP},
        tolerant=DATED,
    ),
    Row("renamed fields", "renamed", not_for={"ohlc": "candles' fields have no names"}),
    Row("400 MB body", "endless", reasons=("bad_payload", "timeout")),
    Row("gzip bomb", "gzip_bomb"),
    Row("redirect to another host", "redirect"),
)
