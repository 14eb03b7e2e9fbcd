"""What a process has used, by /proc: CPU to the nanosecond where the kernel counts it, memory."""

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """User's and system's time of all its threads, in seconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    exact_s = sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
    if exact_s:
        return exact_s
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_s(pid: int) -> float:
    """How long its main thread was ready to run and had no core, in seconds; 0 where the kernel
    does not count it."""
    file = Path(f"/proc/{pid}/schedstat")
    return int(file.read_text().split()[1]) / 1e9 if file.exists() else 0.0


def rss_mb(pid: int) -> float:
    """Resident memory in MiB, with pages that other processes share."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def pss_mb(pid: int) -> float:
    """Resident memory in MiB, where a page of n processes counts as one n-th in each."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


def _kilobytes(file: Path, field: str) -> int:
    for line in file.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise LookupError(field)
