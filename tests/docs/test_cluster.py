"""docs/cluster.md: its table of shares is what the limits make of it."""

import re
from pathlib import Path

from backend.orchestration.limits.cluster_guard import has_shares, share_of
from backend.orchestration.limits.window import usable_limit
from backend.providers.registry import REGISTRY

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text()
PROCESSES = 4
ROW = re.compile(r"^\| `(\w+)` \| ([\d,]+) a minute[^|]*\| ([\d,]+) \| ([\d,]+) \|$", re.MULTILINE)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_table_of_shares_has_all_providers_with_shares_and_their_figures() -> None:
    assert f"`CLUSTER_SIZE={PROCESSES}`" in TEXT
    computed = {}
    for spec in REGISTRY:
        for plan in (spec.keyed, spec.keyless):
            if plan and has_shares(plan.windows, PROCESSES):
                (minute,) = [one for one in plan.windows if one.period_s == 60]
                share = share_of(minute.limit, PROCESSES)
                pool = usable_limit(minute.limit) - PROCESSES * share
                computed[spec.name] = (minute.limit, share, pool)
    written = {name: tuple(map(number, figures)) for name, *figures in ROW.findall(TEXT)}
    assert written == computed
