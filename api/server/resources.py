"""What the process may use: open files; the memory that it gives back, and when it collects."""

import ctypes
import gc
import logging
import resource
from contextlib import suppress

#: The number of mallopt's option, and free bytes that are kept: glibc's own start value, which then
#: no longer grows.
M_TRIM_THRESHOLD, TRIM_BYTES = -1, 128 * 1024
#: The number of mallopt's option for the number of arenas (malloc.h).
M_ARENA_MAX = -8
#: New objects before a collection, and the collections of one generation before one of the next.
#: With 700, Python's own, collections take a tenth of the CPU of a question for candles, which are
#: thousands of objects.
COLLECTED_AFTER = (10_000, 5, 10)

log = logging.getLogger("gateway")


def raise_descriptors(wanted: int) -> None:
    """Raises the limit of open files to `wanted`, or to the hard limit with a warning."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if resource.RLIM_INFINITY != soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("%d open files are allowed, WS_MAX_CLIENTS may need %d", allowed, wanted)


def give_memory_back() -> None:
    """Lets the C library return freed memory to the system, where it can be told to. By default it
    keeps about 12 MB of the largest payloads for ever, and 3 MB more with an arena a thread."""
    with suppress(AttributeError, OSError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
        libc.mallopt(M_ARENA_MAX, 1)


def collect_from_now_on() -> None:
    """Begins garbage collections after the start, for which `run_command` disabled them. Objects of
    the start live on: to scan them takes 0.1 s, frees nothing, and would delay requests."""
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    gc.enable()
