"""Etherscan's gas oracle, API V2. The limits are per account, not per key.

Documentation: docs.etherscan.io (/api-reference/endpoint/gasoracle, /supported-chains,
/common-error-messages, /rate-limits; 2026). All errors have status 200, and one echoes the key.
The free plan has the oracle of Ethereum and Polygon; it refuses 56 (BNB), 8453 (Base), 10
(Optimism) and 43114 (Avalanche), and 42161 (Arbitrum) has no oracle.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from backend.errors import (
    AuthFailed,
    PlanRestricted,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.chains import ChainName
from backend.models.gas import GasFees, GasQuery
from backend.providers.adapter import KIB, Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.rows import MALFORMED, whole_number

FREE = Plan(
    "free",
    ("https://api.etherscan.io",),
    (Window(3, 1), Window(100_000, 86_400, kind="day")),
    Auth("query", "apikey"),
)

DAY_S = 86_400
#: Largest body; an answer has half a KiB.
MOST_BYTES = 256 * KIB
#: Our code for the text of a refusal; the first match counts, as texts about a rate also name keys
#: and daily limits.
MEANINGS = (
    ("key", re.compile(r"(missing|invalid) api key", re.IGNORECASE)),
    ("rate", re.compile(r"\bper sec|/ ?s(ec)?\b", re.IGNORECASE)),
    ("daily", re.compile(r"\bdaily\b|\bper day\b|\bday/limit", re.IGNORECASE)),
    ("rate", re.compile(r"rate limit", re.IGNORECASE)),
    ("plan", re.compile(r"not supported for this chain|\bapi pro\b", re.IGNORECASE)),
    ("plan", re.compile(r"unsupported chainid", re.IGNORECASE)),
    ("query", re.compile(r"chain|action|deprecated", re.IGNORECASE)),
)


def build_gasoracle(query: GasQuery, _context: Context) -> tuple[Call, ...]:
    chain = ("chainid", str(query.traits.chain_id))
    params = (chain, ("module", "gastracker"), ("action", "gasoracle"))
    return (Call("/v2/api", params, max_bytes=MOST_BYTES),)


def parse_gasoracle(query: GasQuery, payloads: Sequence[Any], context: Context) -> GasFees:
    """The oracle's three prices in gwei, base fee included. Raises ValueError."""
    try:
        payload = payloads[0]
        if payload["status"] != "1":  # `message` is not always OK
            raise ValueError
        result = payload["result"]
        base_fee = result.get("suggestBaseFee")
        fees = GasFees(
            chain=query.chain,
            unit="gwei",
            slow=_gwei(result["SafeGasPrice"]),
            average=_gwei(result["ProposeGasPrice"]),
            fast=_gwei(result["FastGasPrice"]),
            base_fee=None if base_fee is None else _gwei(base_fee),
            block=whole_number(result["LastBlock"], 12),
            method="oracle",
        )
        query.refuse_other_heads(fees.block, context.now_ms)
        return fees
    except MALFORMED:
        # The body may echo the key, and an exception may quote the body.
        raise ValueError("not an answer of the gas oracle") from None


def _gwei(text: str) -> float:
    """A plain decimal, rounded to one wei. Decimal would also accept `1e9`, `NaN` and `1_0`."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,30})?", text):
        raise ValueError
    return float(round(Decimal(text), 9))


def error_code(payload: Any) -> str | None:
    """Our code for the text of a refusal, else `unknown`; None for a success."""
    if not isinstance(payload, dict) or payload.get("status") != "0":
        return None
    text = str(payload.get("result")).partition("|")[0]  # followed by the key
    return next((code for code, pattern in MEANINGS if pattern.search(text)), "unknown")


def quota_reset_s(code: int | str, now_ms: int) -> float | None:
    """The daily quota is reset at midnight UTC."""
    return DAY_S - now_ms / 1000 % DAY_S if code == "daily" else None


def _oracle(name: str, chain: ChainName) -> Operation:
    """One chain's oracle; a plan may refuse single chains."""
    return Operation(
        name,
        GasQuery,
        build_gasoracle,
        parse_gasoracle,
        serves=lambda query, _context: query.chain == chain,
    )


ADAPTER = Adapter(
    vendor="etherscan",
    operations=(
        _oracle("gasoracle", "ethereum"),
        _oracle("gasoracle_polygon", "polygon"),
    ),
    error_code=error_code,
    errors={
        (None, "key"): AuthFailed,
        (None, "daily"): QuotaSpent,
        (None, "rate"): RateLimited,
        (None, "plan"): PlanRestricted,
        (None, "query"): QueryRefused,
        (None, "unknown"): UpstreamFailed,
    },
    quota_reset_s=quota_reset_s,
)
