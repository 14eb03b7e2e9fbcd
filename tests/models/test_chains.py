"""The table of chains: plausible traits, the guard of heights by them, and what fees they allow."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from backend.cache.freshness import Freshness
from backend.categories import GAS, gas_freshness
from backend.models.answer import Answer
from backend.models.chains import CHAINS, DEFAULT_CHAIN, Chain, ChainName
from backend.models.gas import GasFees, GasQuery
from tests.clocks import EPOCH, EPOCH_MS

KNOWN = 26_012_345
each_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=lambda chain: chain.name)
each_evm_chain = pytest.mark.parametrize(
    "chain", [one for one in CHAINS.values() if one.chain_id], ids=lambda chain: chain.name
)


def fees(chain: Any = "ethereum", unit: Any = "gwei", base_fee: Any = 0.5) -> GasFees:
    return GasFees(chain, unit, 1.0, 2.0, 3.0, base_fee, 100, "oracle")


def test_the_table_has_each_name_once_and_the_default_first() -> None:
    assert tuple(CHAINS) == get_args(ChainName)
    assert next(iter(CHAINS)) == DEFAULT_CHAIN == GasQuery().chain
    ids = [chain.chain_id for chain in CHAINS.values() if chain.chain_id]
    assert len(set(ids)) == len(ids)


@each_chain
def test_the_times_of_blocks_are_in_order(chain: Chain) -> None:
    assert 0 < chain.fastest_block_s < chain.block_s < chain.slowest_block_s
    assert chain.standing_s <= chain.guard_s


@each_evm_chain
def test_a_history_covers_half_a_minute_and_few_bytes(chain: Chain) -> None:
    assert chain.history_blocks * chain.block_s >= 30
    assert 20 <= chain.history_blocks <= 128  # 250 bytes each, of 64 KiB


def is_taken(chain: ChainName, elapsed_s: int, ahead: int) -> bool:
    query = GasQuery(chain=chain, newest_block=KNOWN, newest_block_at_ms=EPOCH_MS)
    try:
        query.refuse_other_heads(KNOWN + ahead, EPOCH_MS + elapsed_s * 1000)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("chain", "elapsed_s", "ahead", "taken"),
    [
        # Half a minute behind is a lagging node, more is refused.
        ("base", 0, -18, True),
        ("base", 0, -19, False),
        ("base", 75, 0, True),
        ("base", 76, 0, False),
        ("arbitrum", 0, -144, True),
        ("arbitrum", 0, -145, False),
        ("arbitrum", 145, 0, False),
        ("bnb", 0, -73, False),
        ("avalanche", 124, 0, True),
        ("avalanche", 125, 0, False),
        ("polygon", 0, -8_000, False),
        ("polygon", 300, -8_000, True),
        # Bitcoin: the best height or the one before; after 90 min the best; after three hours any.
        ("bitcoin", 0, -1, True),
        ("bitcoin", 0, -2, False),
        ("bitcoin", 5_399, -1, True),
        ("bitcoin", 5_400, -1, False),
        ("bitcoin", 10_799, 0, True),
        ("bitcoin", 10_799, -1, False),
        ("bitcoin", 10_800, -8_000, True),
    ],
)
def test_a_height_is_accepted_or_refused_by_the_chains_own_times(
    chain: ChainName, elapsed_s: int, ahead: int, taken: bool
) -> None:
    assert is_taken(chain, elapsed_s, ahead) is taken


@each_chain
@pytest.mark.parametrize("elapsed_s", [0, 1, 30, 150, 299])
def test_the_usual_growth_is_accepted_and_is_not_ahead(chain: Chain, elapsed_s: int) -> None:
    query = GasQuery(chain=chain.name, newest_block=KNOWN, newest_block_at_ms=EPOCH_MS)
    grown, now_ms = int(elapsed_s / chain.block_s), EPOCH_MS + elapsed_s * 1000
    for block in (KNOWN + grown, KNOWN + grown - chain.most_behind):
        query.refuse_other_heads(block, now_ms)
        assert not query.is_ahead_of_all_slots(block, now_ms)
    assert query.is_ahead_of_all_slots(KNOWN + 100_000, now_ms)


def test_the_chain_is_part_of_the_querys_identity() -> None:
    queries = {GasQuery(chain=chain.name) for chain in CHAINS.values()}
    assert len(queries) == len({query.subject for query in queries}) == len(CHAINS)


@each_chain
def test_a_base_fee_of_zero_is_refused_where_the_chain_has_none(chain: Chain) -> None:
    if chain.is_base_fee_free:
        assert fees(chain.name, chain.unit, 0.0).base_fee == 0
        return
    with pytest.raises(ValidationError, match="no base fee of 0"):
        fees(chain.name, chain.unit, 0.0)


def test_only_bnb_has_a_base_fee_of_zero() -> None:
    assert [name for name, chain in CHAINS.items() if chain.is_base_fee_free] == ["bnb"]


@pytest.mark.parametrize(
    ("chain", "unit"), [("bitcoin", "gwei"), ("base", "sat/vB"), ("dogecoin", "gwei")]
)
def test_another_chain_or_unit_is_refused(chain: str, unit: str) -> None:
    with pytest.raises(ValidationError):
        fees(chain, unit)


@each_chain
def test_a_minute_is_the_least_for_bitcoin_alone(chain: Chain) -> None:
    answer = Answer(fees(chain.name, chain.unit), "a", EPOCH, 1.0)
    found = gas_freshness(Freshness(15.0, 300.0), GasQuery(chain=chain.name), answer)
    assert found == Freshness(60.0 if chain.name == "bitcoin" else 15.0, 300.0)
    longer = gas_freshness(Freshness(90.0, 300.0), GasQuery(chain=chain.name), answer)
    assert longer.ttl_s == 90.0


def test_the_cache_and_the_store_have_room_for_all_chains() -> None:
    assert GAS.capacity == GAS.retention.most == len(CHAINS)
