"""Bitcoin's fee rates in sat/vB: from the mempool (mempool.space and its mirrors), then by Esplora.

Documentation: mempool.space/docs/api/rest, github.com/Blockstream/esplora (API.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.errors import PathUnknown, ProviderError, UpstreamFailed
from backend.models.gas import GasFees, GasQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window

MIRRORS = Plan(
    "public",
    ("https://mempool.space", "https://mempool.bullbitcoin.com", "https://mempool.emzy.de"),
    # Two calls a minute for each host. The hosts' own limits are not published.
    (Window(6, 60),),
    independent_hosts=True,
)
ESPLORA = Plan(
    "public",
    ("https://blockstream.info",),
    # Two calls a minute, of which two refreshes may be close to each other.
    (Window(4, 120),),
)

#: Largest body; the longest answer has half a KiB.
MOST_BYTES = 16 * KIB
#: Largest height: seven digits last for 170 years, and a time or a hash has more.
MOST_HEIGHT = 9_999_999
#: Names of the tiers in the order in which they never rise.
TIERS = ("fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee")
#: Blocks within which a transaction is confirmed: slow, average, fast.
TARGETS = ("6", "3", "1")

HEIGHT = Call("/api/blocks/tip/height", max_bytes=MOST_BYTES)
#: Whole numbers, in which all tiers are 1 in calm times: only where a mirror is too old.
RECOMMENDED = Call("/api/v1/fees/recommended", max_bytes=MOST_BYTES)
PRECISE = Call("/api/v1/fees/precise", max_bytes=MOST_BYTES, substitute=RECOMMENDED)
ESTIMATES = Call("/api/fee-estimates", max_bytes=MOST_BYTES)


def build_mempool(_query: GasQuery, _context: Context) -> tuple[Call, ...]:
    return PRECISE, HEIGHT


def parse_mempool(query: GasQuery, payloads: Sequence[Any], context: Context) -> GasFees:
    """The fees for the next block, for half an hour and for an hour."""
    by_name, height = payloads
    rates = [by_name[name] for name in TIERS if name in by_name]
    if rates != sorted(rates, reverse=True):
        raise ValueError("the fees rise along their order")
    fast, average, slow = (by_name[name] for name in TIERS[:3])
    return _fees(query, (slow, average, fast), height, context)


def build_estimates(_query: GasQuery, _context: Context) -> tuple[Call, ...]:
    return ESTIMATES, HEIGHT


def parse_estimates(query: GasQuery, payloads: Sequence[Any], context: Context) -> GasFees:
    """Bitcoin Core's estimates for 6, 3 and 1 blocks."""
    estimates, height = payloads
    slow, average, fast = (estimates[target] for target in TARGETS)
    return _fees(query, (slow, average, fast), height, context)


def _fees(query: GasQuery, rates: tuple[Any, Any, Any], height: Any, context: Context) -> GasFees:
    if type(height) is not int or height > MOST_HEIGHT:
        raise ValueError("not a block height")
    query.refuse_other_heads(height, context.now_ms)
    slow, average, fast = rates
    return GasFees(
        chain="bitcoin",
        unit="sat/vB",
        slow=slow,
        average=average,
        fast=fast,
        base_fee=None,  # the chain has none
        block=height,
        method="mempool",
    )


def serves_bitcoin(query: GasQuery, _context: Context) -> bool:
    return query.chain == "bitcoin"


#: The query is constant, so every refusal is the host's failure, and the next host is called.
ERRORS: Mapping[tuple[int | None, int | str | None], type[ProviderError]] = {
    **dict.fromkeys(((status, None) for status in (400, 401, 402, 405, 410)), UpstreamFailed),
    (404, None): PathUnknown,
}

MEMPOOL_ADAPTER = Adapter(
    vendor="mempool_space",
    operations=(Operation("fees", GasQuery, build_mempool, parse_mempool, serves_bitcoin),),
    errors=ERRORS,
)
ESPLORA_ADAPTER = Adapter(
    vendor="esplora",
    operations=(
        Operation("fee_estimates", GasQuery, build_estimates, parse_estimates, serves_bitcoin),
    ),
    errors=ERRORS,
)
