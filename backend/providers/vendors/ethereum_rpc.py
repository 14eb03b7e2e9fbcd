"""Gas prices from recent Ethereum blocks, over public JSON-RPC endpoints that need no key.

Documentation: ethereum.github.io/execution-apis (eth_feeHistory). An error comes as HTTP 200.
"""

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from backend.errors import MalformedResponse, RateLimited, UpstreamFailed
from backend.models.gas import GasFees, GasQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan, Window

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

#: Our ids in the batch; answers may come in any order.
CHAIN, HISTORY = 1, 2
MAINNET = "0x1"
BLOCKS = 20
#: The tips at the 10th, 50th and 70th percentile come nearest to the oracle's three prices. The
#: 90th is the two gwei that wallets offer by default, far above what is needed.
BATCH = (
    b'[{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]},'
    b'{"jsonrpc":"2.0","id":2,"method":"eth_feeHistory","params":["0x14","latest",[10,50,70]]}]'
)
LIMIT_EXCEEDED = -32005
#: "generate your key" is not about a rate.
RATE_TEXT = re.compile(r"\brate|too many request", re.IGNORECASE)


def serves_fee_history(_query: GasQuery, _context: Context) -> int:
    return 0


def build_fee_history(_query: GasQuery, _context: Context) -> tuple[Call, ...]:
    """One batch, so that each answer's chain is vouched for by the node that gave it."""
    return (Call(json_body=BATCH),)


def parse_fee_history(_query: GasQuery, payloads: Sequence[Any], _context: Context) -> GasFees:
    """The next block's base fee, plus for each tier the median tip over the last blocks."""
    history = _history(payloads[0])
    base, tips = _base_fee(history), _tips(history)
    slow, average, fast = (_gwei(base + tip) for tip in tips)
    return GasFees(
        chain="ethereum",
        unit="gwei",
        slow=slow,
        average=average,
        fast=fast,
        base_fee=_gwei(base),
        block=_quantity(history["oldestBlock"]) + len(history["gasUsedRatio"]) - 1,
        method="fee_history",
    )


def _history(batch: Any) -> Any:
    if not isinstance(batch, list):
        raise TypeError("an answer to a batch is a list")
    results = {answer["id"]: answer["result"] for answer in batch}
    if results[CHAIN] != MAINNET:
        raise ValueError("not Ethereum's main chain")
    return results[HISTORY]


def _base_fee(history: Any) -> int:
    """In wei; the last one is the next block's."""
    fees = [_quantity(text) for text in history["baseFeePerGas"]]
    if len(fees) != len(history["gasUsedRatio"]) + 1:
        raise ValueError("not one base fee a block and one ahead")
    return fees[-1]


def _tips(history: Any) -> list[int]:
    """The median tips in wei, slow to fast. Empty blocks, whose tips are all 0, say nothing."""
    ratios = history["gasUsedRatio"]
    rows = [[_quantity(text) for text in row] for row in history["reward"]]
    if len(ratios) > BLOCKS or any(len(row) != 3 for row in rows):
        raise ValueError("not the blocks and percentiles that were asked for")
    if not all(0 <= ratio <= 1 for ratio in ratios):
        raise ValueError("blocks are not fuller than full")
    used = [row for ratio, row in zip(ratios, rows, strict=True) if ratio > 0]
    return [round(median(tips)) for tips in zip(*used, strict=True)]


def _quantity(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text):
        raise ValueError("not a hexadecimal quantity")
    return int(text, 16)


def _gwei(wei: int) -> float:
    """Whole wei are nine places, and the division is rightly rounded: no digit is invented."""
    return wei / 10**9


def error_code(payload: Any) -> str | None:
    """`rate`, `rpc_error` or `wrong_chain` of a batch's or a single answer; None for a good one."""
    told = payload if isinstance(payload, list) else [payload]
    answers = [answer for answer in told if isinstance(answer, dict)]
    errors = [answer["error"] for answer in answers if answer.get("error") is not None]
    if errors:
        return "rate" if any(_is_rate_limit(error) for error in errors) else "rpc_error"
    chains = [answer.get("result") for answer in answers if answer.get("id") == CHAIN]
    return "wrong_chain" if any(chain != MAINNET for chain in chains) else None


def _is_rate_limit(error: Any) -> bool:
    if not isinstance(error, dict):
        return bool(RATE_TEXT.search(str(error)))
    is_named = bool(RATE_TEXT.search(str(error.get("message"))))
    return is_named or error.get("code") == LIMIT_EXCEEDED


ADAPTER = Adapter(
    vendor="ethereum_rpc",
    operations=(
        Operation(
            "fee_history", GasQuery, serves_fee_history, build_fee_history, parse_fee_history
        ),
    ),
    error_code=error_code,
    errors={
        (None, "rate"): RateLimited,
        (429, "rpc_error"): RateLimited,
        (None, "rpc_error"): UpstreamFailed,
        (None, "wrong_chain"): MalformedResponse,
        # The question never changes, so whatever is refused is the host's fault: ask the next.
        **dict.fromkeys(
            ((status, None) for status in (400, 401, 402, 404, 405, 410, 413, 422)), UpstreamFailed
        ),
    },
)
