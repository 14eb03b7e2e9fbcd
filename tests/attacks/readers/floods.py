"""C1: floods by WebSocket, while somebody else reads."""

from tests.attacks.attack import QUIET_MS, Tally
from tests.attacks.ground import Field
from tests.attacks.measure import flood, holdings, reader_of, until_back
from tests.attacks.readers.scene import KEY, LATE, LOCKED, OPEN


async def flooded(field: Field, tally: Tally, *kinds: str, query: str = "", **headers: str) -> None:
    """Each kind for a while at 2 MB/s, while somebody else reads."""
    seconds = tally.times(50, 6) / 10 / max(2, len(kinds))
    said = [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    before = holdings(field.gateway)
    async with reader_of(field.gateway, "/api/market?limit=1", *said) as waits:
        for kind in kinds:
            told = await flood(field.gateway, kind, seconds, query)
            tally.tries += told["frames"]
            tally.expect(told["frames"], f"no frame of {kind} was sent: {told['ends']}")
    waits.judge(tally, QUIET_MS)
    await until_back(field.gateway, before, tally, within_s=5)


@OPEN.attack("C1", "empty pongs and pings at 2 MB/s", loss=LATE)
async def pongs(field: Field, tally: Tally) -> None:
    await flooded(field, tally, "pongs", "pings")


@OPEN.attack("C1", "fragments without an end, empty ones too, at 2 MB/s", loss=LATE)
async def fragments(field: Field, tally: Tally) -> None:
    await flooded(field, tally, "fragments", "empty fragments")


@OPEN.attack("C1", "small texts and binaries at 2 MB/s", loss=LATE)
async def texts(field: Field, tally: Tally) -> None:
    await flooded(field, tally, "texts", "binaries", query="?channels=market")


@OPEN.attack("C1", "subscribe and unsubscribe at 2 MB/s, lists 30,000 deep", loss=LATE)
async def commands(field: Field, tally: Tally) -> None:
    await flooded(field, tally, "commands", "nested")


@OPEN.attack(
    "C1",
    "reserved opcodes and bits, no masks, broken UTF-8, odd goodbyes, lengths of 2^62, bombs",
    loss=LATE,
)
async def broken_frames(field: Field, tally: Tally) -> None:
    kinds = (
        "reserved opcodes",
        "reserved bits",
        "unmasked",
        "no UTF-8",
        "goodbyes",
        "odd goodbyes",
        "a length of 2^62",
        "bombs",
    )
    await flooded(field, tally, *kinds[:: tally.times(1, 3)])


@LOCKED.attack(
    "C1", "pongs, fragments and texts at 2 MB/s without the key that is asked for", loss=LATE
)
async def without_key(field: Field, tally: Tally) -> None:
    await flooded(
        field, tally, *("pongs", "fragments", "texts")[: tally.times(3, 2)], X_API_Key=KEY
    )
