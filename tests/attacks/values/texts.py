"""B4: control characters and formulas in providers' texts."""

import asyncio
import csv
import io
from typing import Any

from tests.attacks.attack import Tally
from tests.attacks.ground import Field
from tests.attacks.providers import rewritten
from tests.attacks.values.scene import asked, attack


@attack(
    "B4",
    "control characters in a coin's id, name and symbol, a bare `\\r`, a formula in a list cell",
    loss="a forged line in the output or the logs, a row of its own or a formula in a CSV",
)
async def control_characters(field: Field, tally: Tally) -> None:
    forged = "2026-01-01T00:00:00Z ERROR gateway FORGED-LINE\x1b[31m"

    def rows(payload: Any) -> None:
        payload[30]["id"] = f"x\n{forged}"
        payload[31]["name"] = f"Evil\rFORGED,ROW,1\r\n{forged}"
        payload[32]["symbol"] = f"e\x00\x1b\r\n{forged}"
        payload[33]["current_price"] = -1.0
        payload[33]["id"] = f"y\r{forged}"
        payload[34]["name"] = '=HYPERLINK("http://x.example")'

    def formula(payload: Any) -> None:
        payload["results"][0]["instruments"] = [
            {"code": code} for code in ('=HYPERLINK("http://x.example")', "@SUM(A1)", "+1", "-1")
        ]
        payload["results"][0]["title"] = "=1+1 crypto\rFORGED,ROW\u2028x"

    for _ in range(tally.times(4, 1)):
        await asked(field, "coingecko_free", rewritten(rows))
        market = await field.gateway.client.get("/api/market?limit=250&format=csv")
        field.world.spoilt = {"cryptopanic": rewritten(formula)}
        await asyncio.sleep(0.05)
        await field.gateway.client.get("/api/news?limit=200")
        news = await field.gateway.client.get("/api/news?limit=200&format=csv")
        field.world.spoilt = {}
        for answer in (market, news):
            tally.tries += 1
            for problem in csv_problems(answer.text):
                tally.losses.append(problem)
    # A query, too, is a text of somebody else.
    await field.gateway.client.get(
        "/api/market/x%0A2026%20FORGED-LINE%1b", headers={"X-Request-Id": "a"}
    )
    await asyncio.sleep(0.3)
    texts = [
        field.gateway.output,
        *(path.read_text() for path in (field.folder / "logs").glob("*.log")),
    ]
    for line in (line for text in texts for line in text.split("\n")):
        is_forged = "FORGED-LINE" in line.partition("gateway")[0] or line.startswith("2026-01-01")
        tally.expect(
            not is_forged and "\x1b" not in line and "\r" not in line, f"a log line {line[:80]!r}"
        )


def csv_problems(text: str) -> list[str]:
    problems = []
    rows = list(csv.reader(io.StringIO(text, newline="")))
    lines = [line for line in io.StringIO(text).read().splitlines() if line]
    if len(rows) < 3:
        problems.append(f"a CSV of {len(rows)} rows")
    if len(lines) != len([row for row in rows if row]):
        problems.append(f"{len(lines)} lines of a CSV for {len(rows)} rows")
    cells = (cell for row in rows for cell in row)
    odd = (cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t"))
    return problems + [f"a CSV cell {cell[:30]!r}" for cell in odd if not is_number(cell)]


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
