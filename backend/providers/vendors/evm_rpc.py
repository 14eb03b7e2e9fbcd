"""Gas prices computed from recent blocks of an EVM chain, over keyless public JSON-RPC endpoints.

Documentation: ethereum.github.io/execution-apis (eth_feeHistory); docs.avax.network (eth_baseFee).
Errors have status 200.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from backend.errors import (
    BatchRefused,
    MalformedResponse,
    ProviderError,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.chains import CHAINS, Chain
from backend.models.gas import BlockFees, GasQuery
from backend.providers.adapter import (
    KIB,
    Adapter,
    Call,
    Context,
    Operation,
    Plan,
    ProviderSpec,
    Window,
)
from backend.providers.rows import MALFORMED, bounded, parse_rows

#: Public nodes of each chain, by different operators. Allnodes (publicnode.com) and dRPC (drpc.org)
#: have nodes of every chain, so that the chain's own node is the independent one.
NODES: Mapping[str, tuple[str, ...]] = {
    "ethereum": (
        "https://ethereum-rpc.publicnode.com",
        "https://rpc.mevblocker.io",
        "https://eth.drpc.org",
    ),
    "base": (
        "https://base-rpc.publicnode.com",
        "https://mainnet.base.org",
        "https://base.drpc.org",
    ),
    "arbitrum": (
        "https://arbitrum-one-rpc.publicnode.com",
        "https://arb1.arbitrum.io/rpc",
        "https://arbitrum.drpc.org",
    ),
    "optimism": (
        "https://optimism-rpc.publicnode.com",
        "https://mainnet.optimism.io",
        "https://optimism.drpc.org",
    ),
    "polygon": ("https://polygon-bor-rpc.publicnode.com", "https://polygon.drpc.org"),
    "bnb": (
        "https://bsc-rpc.publicnode.com",
        "https://bsc-dataseed.bnbchain.org",
        "https://56.rpc.thirdweb.com",
    ),
    "avalanche": (
        "https://avalanche-c-chain-rpc.publicnode.com",
        "https://api.avax.network/ext/bc/C/rpc",
        "https://avalanche.drpc.org",
    ),
}
#: Calls a minute of a chain. An operator's limit counts all chains together and is not published;
#: at the default TTL all seven chains cost one operator 28 calls a minute.
PER_MINUTE = {"ethereum": 60}
PER_MINUTE_OF_OTHERS = 20

#: Ids of the calls in the batch; its answers have any order.
CHAIN, HISTORY, NEXT_BASE_FEE = 1, 2, 3
PERCENTILES = 3
#: Of a chain without tips: all prices are the base fee.
NO_TIPS: tuple[list[int], tuple[str, ...]] = [0] * PERCENTILES, ()
#: Most answers of a batch of two or three; largest body, as a history of 120 blocks has 31 KiB.
MOST_ANSWERS, MOST_BYTES = 10, 64 * KIB
#: Largest tip in wei (a million gwei), as in the models.
MOST_TIP = 10**15
LIMIT_EXCEEDED, INVALID_REQUEST, PARSE_ERROR, UNKNOWN_METHOD = -32005, -32600, -32700, -32601
#: `\b` excludes "generate your key".
RATE_TEXT = re.compile(r"\brate|too many request", re.IGNORECASE)
QUOTA_TEXT = re.compile(r"\b(daily|monthly)\b|(\bper |/ ?)(day|month)\b", re.IGNORECASE)
SECONDS_TEXT = re.compile(r"\bper (sec|min)|/ ?(s|sec|m|min)\b", re.IGNORECASE)
#: Texts of a server that does not support batches.
BATCH_TEXT = re.compile(r"\bbatch|\barray\b", re.IGNORECASE)


def fee_history_call(chain: Chain) -> Call:
    """One batch, so that the same node gives the chain and the history.

    The tips at the 10th, 50th and 70th percentile are near the oracles' prices; the 90th is the
    default of Ethereum's wallets, 2 gwei, which is far too high.
    """
    parts = [
        b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
        b'{"jsonrpc":"2.0","id":2,"method":"eth_feeHistory","params":["%s","latest",[10,50,70]]}'
        % hex(chain.history_blocks).encode(),
    ]
    if not chain.history_has_next:
        parts.append(b'{"jsonrpc":"2.0","id":3,"method":"eth_baseFee","params":[]}')
    batch = b"[" + b",".join(parts) + b"]"
    return Call(json_body=batch, parts=tuple(parts), max_bytes=MOST_BYTES)


def parse_fee_history(query: GasQuery, payloads: Sequence[Any], context: Context) -> BlockFees:
    """Gas prices in gwei: the next base fee plus the median tips of the last blocks.

    A malformed block is left out and named; a malformed majority refuses the history.
    """
    chain, answers = query.traits, _answers(payloads[0])
    if not _is_chain(_result(answers, CHAIN), chain):
        raise ValueError(f"not the chain {chain.name}")
    history = _result(answers, HISTORY)
    ratios = bounded(history["gasUsedRatio"], chain.history_blocks)
    oldest = _quantity(history["oldestBlock"])
    newest = oldest + len(ratios) - 1
    query.refuse_other_heads(newest, context.now_ms)
    base_fees = bounded(history["baseFeePerGas"], chain.history_blocks + 1)
    base, is_last = _base_fee(chain, answers, base_fees, len(ratios))
    rewards = bounded(history["reward"], chain.history_blocks) if chain.has_tips else []
    tips, refused = _tips(oldest, ratios, rewards) if chain.has_tips else NO_TIPS
    slow, average, fast = (_gwei(base + tip) for tip in tips)
    return BlockFees(
        chain=chain.name,
        unit=chain.unit,
        slow=slow,
        average=average,
        fast=fast,
        base_fee=_gwei(base),
        block=newest,
        method="fee_history",
        refused=refused,
        is_last_base_fee=is_last,
    )


def _base_fee(
    chain: Chain, answers: list[Any], base_fees: list[Any], blocks: int
) -> tuple[int, bool]:
    """The next block's base fee in wei, and False; or the newest block's and True, where the node
    knows no other."""
    if not blocks:
        raise ValueError("the history has no blocks")
    if chain.history_has_next:
        if len(base_fees) != blocks + 1:
            raise ValueError("the number of base fees is not that of the blocks plus one")
        return _quantity(base_fees[blocks]), False
    if len(base_fees) not in (blocks, blocks + 1):  # Avalanche's own node sends no further one
        raise ValueError("the number of base fees is not that of the blocks")
    last = _quantity(base_fees[blocks - 1])
    if last == 0 and not chain.is_base_fee_free:
        raise ValueError("the newest block has no base fee")
    try:
        return _quantity(_result(answers, NEXT_BASE_FEE)), False
    except MALFORMED:
        return last, True


def _answers(payload: Any) -> list[Any]:
    """The single answers of an array, or of one object; those of calls that were sent one by one
    may be arrays themselves."""
    rows = payload if isinstance(payload, list) else [payload]
    parts = [row if isinstance(row, list) else [row] for row in bounded(rows, MOST_ANSWERS)]
    return bounded([answer for part in parts for answer in part], MOST_ANSWERS)


def _result(answers: list[Any], number: int) -> Any:
    """The result of the call with this id."""
    for answer in answers:
        if isinstance(answer, dict) and answer.get("id") == number:
            return answer["result"]
    raise LookupError("a call of the batch has no answer")


def _is_chain(result: Any, chain: Chain) -> bool:
    try:
        return _quantity(result) == chain.chain_id
    except (TypeError, ValueError):
        return False


def _tips(oldest: int, ratios: list[Any], rewards: list[Any]) -> tuple[list[int], tuple[str, ...]]:
    """The median tips in wei, slow to fast, and the numbers of the malformed blocks. Empty blocks
    are skipped, as their tips are 0."""
    rows = [
        {"block": oldest + place, "ratio": ratio, "tips": tips}
        for place, (ratio, tips) in enumerate(zip(ratios, rewards, strict=True))
    ]
    blocks, refused = parse_rows(rows, _block_tips, "block", most=len(rows))
    used = [tips for tips in blocks if tips]
    if not used:
        raise ValueError("all blocks are empty")
    return [round(median(tips)) for tips in zip(*used, strict=True)], refused


def _block_tips(row: Any) -> list[int]:
    """The tips of a block at the three percentiles; an empty list for an empty block."""
    tips = [_quantity(text) for text in bounded(row["tips"], PERCENTILES)]
    if len(tips) != PERCENTILES or tips != sorted(tips) or tips[-1] > MOST_TIP:
        raise ValueError("the tips are not in rising order")
    if not 0 <= row["ratio"] <= 1:
        raise ValueError("the gas ratio is not between 0 and 1")
    return tips if row["ratio"] > 0 else []


def _quantity(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text):
        raise ValueError("not a hexadecimal quantity")
    return int(text, 16)


def _gwei(wei: int) -> float:
    """Wei as gwei, with at most nine decimals."""
    return wei / 10**9


def error_code(chain: Chain, payload: Any) -> str | None:
    """Our code for a batch's or a single answer: `rate`, `quota`, `no_batches`, `rpc_error` or
    `wrong_chain`; None for a success."""
    parts = payload[:MOST_ANSWERS] if isinstance(payload, list) else [payload]
    answers = [answer for answer in parts if isinstance(answer, dict)]
    failed = [answer for answer in answers if answer.get("error") is not None]
    errors = [answer["error"] for answer in failed if not _is_dispensable(answer)]
    if errors:
        return _meaning(errors, is_one_answer=len(parts) == 1)
    chains = [answer.get("result") for answer in answers if answer.get("id") == CHAIN]
    return "wrong_chain" if not all(_is_chain(result, chain) for result in chains) else None


def _is_dispensable(answer: dict[str, Any]) -> bool:
    """True if the node does not know `eth_baseFee`: the history has a base fee, too."""
    return answer.get("id") == NEXT_BASE_FEE and _code(answer["error"]) == UNKNOWN_METHOD


def _meaning(errors: list[Any], *, is_one_answer: bool) -> str:
    if any(_matches(QUOTA_TEXT, error) and not _matches(SECONDS_TEXT, error) for error in errors):
        return "quota"
    if any(_matches(RATE_TEXT, error) or _code(error) == LIMIT_EXCEEDED for error in errors):
        return "rate"
    if all(_matches(BATCH_TEXT, error) for error in errors):
        return "no_batches"
    is_about_all = is_one_answer and _code(errors[0]) in (INVALID_REQUEST, PARSE_ERROR)
    return "no_batches" if is_about_all else "rpc_error"


def _matches(pattern: re.Pattern[str], error: Any) -> bool:
    text = error.get("message") if isinstance(error, dict) else error
    return bool(pattern.search(str(text)))


def _code(error: Any) -> Any:
    return error.get("code") if isinstance(error, dict) else None


#: The query is constant, so every refusal is the host's failure, and the next host is called.
ERRORS: Mapping[tuple[int | None, int | str | None], type[ProviderError]] = {
    (None, "rate"): RateLimited,
    (None, "quota"): QuotaSpent,
    (None, "no_batches"): BatchRefused,
    (None, "rpc_error"): UpstreamFailed,
    # Regardless of the text: a rate limit, or a node that requires a key.
    **dict.fromkeys(((429, code) for code in ("no_batches", "rpc_error")), RateLimited),
    **dict.fromkeys(((status, "no_batches") for status in (401, 403)), UpstreamFailed),
    (None, "wrong_chain"): MalformedResponse,
    **dict.fromkeys(
        ((status, None) for status in (400, 401, 402, 404, 405, 410, 413, 422)), UpstreamFailed
    ),
}


def provider(name: str) -> ProviderSpec:
    """`<name>_rpc`: the public nodes of one chain of NODES."""
    chain = CHAINS[name]
    history = Operation(
        "fee_history",
        GasQuery,
        fee_history_call(chain).always,
        parse_fee_history,
        serves=lambda query, _context: query.chain == name,
    )
    adapter = Adapter(f"{name}_rpc", (history,), partial(error_code, chain), ERRORS)
    windows = (Window(PER_MINUTE.get(name, PER_MINUTE_OF_OTHERS), 60),)
    return ProviderSpec(
        f"{name}_rpc",
        adapter,
        keyless=Plan("public", NODES[name], windows, independent_hosts=True),
    )
