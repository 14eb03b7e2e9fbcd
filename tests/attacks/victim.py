"""A reader in a process of its own: it asks one path at a steady pace until its input ends.

Standard library only, so that it starts at once: `python -S victim.py PORT PID PATH PACE_S SOURCE
[HEADER…]`. Prints one line of JSON: what it waited, in ms, and each status with its count. A wait
leaves out the time in which this process, or the gateway's main thread (PID), was ready to run and
others had the processor: those are the attackers', who would have one of their own, and CI's.
"""

import http.client
import json
import select
import sys
import time

PATIENCE_S = 10.0


def queued_ms(*paths: str) -> float:
    """How long these threads have ever waited for a processor; 0 where the kernel says nothing."""
    total = 0.0
    for path in paths:
        try:
            with open(path) as told:
                total += int(told.read().split()[1]) / 1e6
        except (OSError, IndexError):
            continue
    return total


def ask(port: int, path: str, source: str, headers: dict[str, str]) -> str:
    """The status, or why there was none. Each question has a connection of its own."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=PATIENCE_S, source_address=(source, 0)
    )
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except OSError as error:
        return type(error).__name__
    except http.client.HTTPException as error:
        return type(error).__name__
    finally:
        connection.close()


def main() -> None:
    port, pid, path, pace_s, source, *lines = sys.argv[1:]
    threads = f"/proc/{pid}/task/{pid}/schedstat", "/proc/self/schedstat"
    headers = dict(line.split(": ", 1) for line in lines)
    waited_ms: list[float] = []
    statuses: dict[str, int] = {}
    is_over = False
    while not is_over:
        began, queued_before = time.perf_counter(), queued_ms(*threads)
        status = ask(int(port), path, source, headers)
        waited = (time.perf_counter() - began) * 1000
        waited_ms.append(max(0.0, waited - (queued_ms(*threads) - queued_before)))
        statuses[status] = statuses.get(status, 0) + 1
        left_s = float(pace_s) - (time.perf_counter() - began)
        is_over = bool(select.select([sys.stdin], [], [], max(0.0, left_s))[0])
    sys.stdout.write(json.dumps({"ms": waited_ms, "statuses": statuses}))


if __name__ == "__main__":
    main()
