"""The newest block of each chain is tracked by itself."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backend.models.answer import Answer
from backend.models.chains import CHAINS, ChainName
from backend.models.gas import BlockFees, GasFees, GasQuery
from backend.services.gas import GasSource
from tests.clocks import EPOCH, EPOCH_MS


def after(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def fees(chain: ChainName, block: int, at: datetime = EPOCH) -> Answer[GasFees]:
    unit = CHAINS[chain].unit
    return Answer(GasFees(chain, unit, 1.0, 2.0, 3.0, None, block, "oracle"), "a", at, 1.0)


@dataclass
class Scripted:
    """Gives each chain's block of `told`, and keeps the queries."""

    told: dict[ChainName, Answer[GasFees]]
    asked: list[GasQuery] = field(default_factory=list)

    async def fetch(self, query: GasQuery) -> Answer[GasFees]:
        self.asked.append(query)
        return self.told[query.chain]


async def test_a_query_carries_the_newest_block_of_its_own_chain() -> None:
    scripted = Scripted({"base": fees("base", 50_000_000), "bnb": fees("bnb", 90_000_000)})
    source = GasSource(scripted)
    for _ in range(2):
        for chain in scripted.told:
            await source.fetch(GasQuery(chain=chain))
    known = [(query.chain, query.newest_block) for query in scripted.asked]
    assert known == [
        ("base", None),
        ("bnb", None),
        ("base", 50_000_000),
        ("bnb", 90_000_000),
    ]


async def test_an_adopted_answer_is_known_for_its_own_chain_only() -> None:
    scripted = Scripted({"base": fees("base", 51), "bitcoin": fees("bitcoin", 975_311)})
    source = GasSource(scripted)
    source.adopt(fees("bitcoin", 975_310, after(-60)))
    for chain in scripted.told:
        await source.fetch(GasQuery(chain=chain))
    assert [query.newest_block for query in scripted.asked] == [None, 975_310]
    assert scripted.asked[1].newest_block_at_ms == EPOCH_MS - 60_000


async def test_bitcoins_height_may_be_the_newest_one_for_three_hours_without_a_warning() -> None:
    scripted = Scripted({"bitcoin": fees("bitcoin", 975_310)})
    source = GasSource(scripted)
    for minutes, count in ((0, 0), (60, 0), (179, 0), (180, 1)):
        scripted.told["bitcoin"] = fees("bitcoin", 975_310, after(60 * minutes))
        answer = await source.fetch(GasQuery(chain="bitcoin"))
        assert len(answer.warnings) == count, minutes


async def test_a_base_fee_of_the_last_block_is_a_warning_and_no_part_of_the_fees() -> None:
    plain = fees("avalanche", 100)
    data = BlockFees(
        "avalanche", "gwei", 1.0, 2.0, 3.0, 0.9, 100, "fee_history", is_last_base_fee=True
    )
    scripted = Scripted({"avalanche": Answer(data, "a", EPOCH, 1.0)})
    answer = await GasSource(scripted).fetch(GasQuery(chain="avalanche"))
    assert answer.warnings == ("base_fee is that of block 100, not of the next one",)
    assert type(answer.data) is type(plain.data)
