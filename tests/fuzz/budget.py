"""How many examples a fuzz test takes: a fixed, repeatable few, or many by FUZZ_FACTOR."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, note, settings

#: How many times more examples than CI takes, and not the same ones in every run.
FACTOR = int(os.environ.get("FUZZ_FACTOR", "0"))
#: Explaining a failure costs as much again as finding it; shrinking tells enough.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


def budget(examples: int) -> settings:
    """`@budget(100)`: that many examples in CI."""
    if FACTOR:
        return settings(_settings(), max_examples=examples * FACTOR)
    return settings(_settings(), max_examples=examples, derandomize=True, database=None)


@contextmanager
def told_of(subject: object) -> Iterator[None]:
    """Names the subject that failed, of those that a test tries with each example: drawing one
    costs much more than trying it."""
    try:
        yield
    except BaseException:
        note(f"failed with {subject}")
        raise


def _settings() -> settings:
    # Hangs are ended by pytest's own timeout: a deadline would measure the machine's load.
    return settings(
        deadline=None,
        phases=PHASES,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.function_scoped_fixture,
        ],
    )
