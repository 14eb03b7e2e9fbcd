"""What this process takes, as the kernel counts it: mappings too, which tracemalloc overlooks."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Growth:
    """`mb`: the most that was resident at a time within the block, above what was before it."""

    mb: float = 0.0


@contextmanager
def growth() -> Iterator[Growth]:
    grown = Growth()
    RESET.write_text("5")  # the highest mark comes down to what is resident now
    before = _kb("VmHWM")
    yield grown
    grown.mb = (_kb("VmHWM") - before) / 1_000


def _kb(name: str) -> int:
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith(name))
    return int(line.split()[1])


def kept_bytes(make: Callable[[], object]) -> int:
    """The bytes that Python has allocated for what `make` returns."""
    tracemalloc.start()
    try:
        made = make()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made is not None
    return taken
