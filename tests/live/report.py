"""The table of a run, as text or Markdown, and its last line."""

from collections import Counter
from collections.abc import Sequence

from tests.live.row import NOT_ASKED, OK, UNREACHABLE, Row

HEADER = ("provider", "operation", "outcome", "HTTP", "ms", "bytes", "rows", "problems and changes")
#: Texts of one row that are shown.
MOST_TEXTS = 6


def table(rows: Sequence[Row], *, markdown: bool) -> str:
    cells = [cells_of(row) for row in rows]
    if markdown:
        return "".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n"
            for line in (HEADER, ("---",) * len(HEADER), *cells)
        )
    widths = [max(map(len, column)) for column in zip(HEADER, *cells, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in (HEADER, *cells)
    )


def cells_of(row: Row) -> tuple[str, ...]:
    texts = [*row.problems, *row.notes]
    shown = texts[:MOST_TEXTS]
    reason = "implausible" if row.outcome == OK else row.outcome
    outcome = f"FAILED {reason}" if row.has_failed else row.outcome
    if len(texts) > MOST_TEXTS:
        shown.append(f"{len(texts) - MOST_TEXTS} more")
    return (
        row.provider,
        row.operation,
        outcome,
        "" if row.status is None else str(row.status),
        "" if row.ms is None else f"{row.ms:.0f}",
        f"{row.size:,} ({row.share:.0%})" if row.size else "",
        f"{row.rows:,}" + (f" ({row.refused} refused)" if row.refused else "") if row.rows else "",
        "; ".join(shown),
    )


def summary(rows: Sequence[Row]) -> str:
    asked = [row for row in rows if row.was_asked]
    if asked and all(row.outcome in UNREACHABLE for row in asked):
        return "Nothing could be reached: no provider answered, so nothing was compared.\n"
    counts = Counter("failed" if row.has_failed else row.outcome for row in rows)
    order = sorted(counts, key=lambda name: (name != OK, name == NOT_ASKED, name))
    return ", ".join(f"{counts[name]} {name}" for name in order) + "\n"
