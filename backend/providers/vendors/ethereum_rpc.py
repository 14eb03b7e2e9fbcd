"""Gas prices computed from recent Ethereum blocks, over keyless public JSON-RPC endpoints.

Documentation: ethereum.github.io/execution-apis (eth_feeHistory). Errors have status 200.
"""

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from backend.errors import BatchRefused, MalformedResponse, QuotaSpent, RateLimited, UpstreamFailed
from backend.models.gas import BlockFees, GasQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import bounded, parse_rows

PUBLIC = Plan(
    "public",
    (
        "https://ethereum-rpc.publicnode.com",
        "https://rpc.mevblocker.io",
        "https://eth.drpc.org",
    ),
    (Window(60, 60),),
    independent_hosts=True,
)

#: Ids of the calls in the batch; its answers have any order.
CHAIN, HISTORY = 1, 2
MAINNET = "0x1"
BLOCKS, PERCENTILES = 20, 3
#: Most answers of the batch of two; largest body, as a history of 20 blocks has 5 KiB.
MOST_ANSWERS, MOST_BYTES = 10, 256 * KIB
#: Largest tip in wei (a million gwei), as in the models.
MOST_TIP = 10**15
#: The tips at the 10th, 50th and 70th percentile are near the oracle's prices; the 90th is the
#: default of wallets, 2 gwei, which is far too high.
PARTS = (
    b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
    b'{"jsonrpc":"2.0","id":2,"method":"eth_feeHistory","params":["0x14","latest",[10,50,70]]}',
)
BATCH = b"[" + b",".join(PARTS) + b"]"
LIMIT_EXCEEDED, INVALID_REQUEST, PARSE_ERROR = -32005, -32600, -32700
#: `\b` excludes "generate your key".
RATE_TEXT = re.compile(r"\brate|too many request", re.IGNORECASE)
QUOTA_TEXT = re.compile(r"\b(daily|monthly)\b|(\bper |/ ?)(day|month)\b", re.IGNORECASE)
SECONDS_TEXT = re.compile(r"\bper (sec|min)|/ ?(s|sec|m|min)\b", re.IGNORECASE)
#: Texts of a server that does not support batches.
BATCH_TEXT = re.compile(r"\bbatch|\barray\b", re.IGNORECASE)

#: One batch, so that the same node gives the chain and the history.
build_fee_history = Call(json_body=BATCH, parts=PARTS, max_bytes=MOST_BYTES).always


def parse_fee_history(query: GasQuery, payloads: Sequence[Any], context: Context) -> BlockFees:
    """Gas prices in gwei: the next base fee plus the median tips of the last blocks.

    A malformed block is left out and named; a malformed majority refuses the history.
    """
    answers = bounded(payloads[0], MOST_ANSWERS)
    if _result(answers, CHAIN) != MAINNET:
        raise ValueError("not the Ethereum main chain")
    history = _result(answers, HISTORY)
    ratios = bounded(history["gasUsedRatio"], BLOCKS)
    oldest = _quantity(history["oldestBlock"])
    newest = oldest + len(ratios) - 1
    query.refuse_other_heads(newest, context.now_ms)
    base_fees = bounded(history["baseFeePerGas"], BLOCKS + 1)
    if len(base_fees) != len(ratios) + 1:
        raise ValueError("the number of base fees is not that of the blocks plus one")
    base = _quantity(base_fees[-1])  # of the next block
    tips, refused = _tips(oldest, ratios, bounded(history["reward"], BLOCKS))
    slow, average, fast = (_gwei(base + tip) for tip in tips)
    return BlockFees(
        chain="ethereum",
        unit="gwei",
        slow=slow,
        average=average,
        fast=fast,
        base_fee=_gwei(base),
        block=newest,
        method="fee_history",
        refused=refused,
    )


def _result(answers: list[Any], number: int) -> Any:
    """The result of the call with this id."""
    for answer in answers:
        if isinstance(answer, dict) and answer.get("id") == number:
            return answer["result"]
    raise LookupError("a call of the batch has no answer")


def _tips(oldest: int, ratios: list[Any], rewards: list[Any]) -> tuple[list[int], tuple[str, ...]]:
    """The median tips in wei, slow to fast, and the numbers of the malformed blocks. Empty blocks
    are skipped, as their tips are 0."""
    rows = [
        {"block": oldest + place, "ratio": ratio, "tips": tips}
        for place, (ratio, tips) in enumerate(zip(ratios, rewards, strict=True))
    ]
    blocks, refused = parse_rows(rows, _block_tips, "block", most=BLOCKS)
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


def error_code(payload: Any) -> str | None:
    """Our code for a batch's or a single answer: `rate`, `quota`, `no_batches`, `rpc_error` or
    `wrong_chain`; None for a success."""
    parts = payload[:MOST_ANSWERS] if isinstance(payload, list) else [payload]
    answers = [answer for answer in parts if isinstance(answer, dict)]
    errors = [answer["error"] for answer in answers if answer.get("error") is not None]
    if errors:
        return _meaning(errors, is_one_answer=len(parts) == 1)
    chains = [answer.get("result") for answer in answers if answer.get("id") == CHAIN]
    return "wrong_chain" if any(chain != MAINNET for chain in chains) else None


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


ADAPTER = Adapter(
    vendor="ethereum_rpc",
    operations=(Operation("fee_history", GasQuery, build_fee_history, parse_fee_history),),
    error_code=error_code,
    errors={
        (None, "rate"): RateLimited,
        (None, "quota"): QuotaSpent,
        (None, "no_batches"): BatchRefused,
        (None, "rpc_error"): UpstreamFailed,
        # Regardless of the text: a rate limit, or a node that requires a key.
        **dict.fromkeys(((429, code) for code in ("no_batches", "rpc_error")), RateLimited),
        **dict.fromkeys(((status, "no_batches") for status in (401, 403)), UpstreamFailed),
        (None, "wrong_chain"): MalformedResponse,
        # The query is constant, so every refusal is the host's failure, and the next is called.
        **dict.fromkeys(
            ((status, None) for status in (400, 401, 402, 404, 405, 410, 413, 422)), UpstreamFailed
        ),
    },
)
