"""A process that makes calls by httpx alone: what a question costs without a gateway.

Commands (tests/benchmarks/fanout_control.py): `{"do": "call", "urls": [...], "keeps": bool}`. With
`keeps` one client makes all calls, and keeps its connection; without it each call has its own
connection, as the gateway's calls have (docs/decisions/0017).
"""

import time

import httpx
import orjson

from tests.benchmarks.fanout_control import Details, answer_commands, run


def parse(body: bytes) -> int:
    """The number of rows that were parsed: candles of Binance's form with their open, prices and
    volume; of any other document one."""
    document = orjson.loads(body)
    if not isinstance(document, list):
        return 1
    return len([(row[0], tuple(map(float, row[1:6]))) for row in document])


async def call(command: Details) -> Details:
    """CPU of this process for all calls, in seconds, and the number of rows in the answers."""
    kept = httpx.Limits(max_keepalive_connections=1 if command["keeps"] else 0)
    headers = {} if command["keeps"] else {"Connection": "close"}
    rows = 0
    async with httpx.AsyncClient(limits=kept, headers=headers, trust_env=False) as client:
        began = time.process_time()
        for url in command["urls"]:
            response = await client.get(url)
            assert response.status_code == 200, response.text
            rows += parse(response.content)
        took_s = time.process_time() - began
    return {"cpu_s": took_s, "rows": rows}


if __name__ == "__main__":
    run(answer_commands(call))
