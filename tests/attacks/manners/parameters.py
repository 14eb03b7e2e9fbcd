"""F9: nothing in an address is ignored."""

from typing import Any

import httpx

from tests.attacks.attack import Tally
from tests.attacks.connection import get, said, status
from tests.attacks.ground import Field
from tests.attacks.readers.scene import OPEN

UNKNOWN = {
    "/api/market?symbol=BTC": ("symbol", "symbols"),
    "/api/market?symbols[]=BTC": ("symbols[]", "symbols"),
    "/api/market?limt=5": ("limt", "limit"),
    "/api/market?cache_buster=1": ("cache_buster", None),
    "/api/market?_=1732000000": ("_", None),
    "/api/market/bitcoin?simbols=1": ("simbols", None),
    "/api/market/ohlc?symbol=BTC&intervall=1h": ("intervall", "interval"),
    "/api/news?simbols=BTC": ("simbols", "symbols"),
    "/api/sentiment?day=3": ("day", "days"),
    "/api/gas?chains=base": ("chains", "chain"),
    "/api/status?x=1": ("x", None),
    "/api/gas?%00=1": ("\x00", None),
    "/api/gas?=1": ("", None),
}
#: Accepted where they mean something, or refused by name: never ignored.
NAMED = {
    "/api/market?vs_currency=zzz": "currency",
    "/api/market?currency=xyzzy": "currency",
    "/api/gas?chain=nochain": "chain",
    "/api/gas?format=xml": "format",
    "/api/sentiment?format=xml": "format",
    "/api/market/bitcoin?format=xml": "format",
    "/api/market?limit=5&limit=6": "limit",
    "/api/market?limit=": "limit",
}


@OPEN.attack(
    "F9",
    "unknown parameters: `symbol`, `symbols[]`, misspelt ones, cache busters, odd values",
    loss="a parameter that is ignored, a refusal that does not name it or what was meant",
)
async def unknown_parameters(field: Field, tally: Tally) -> None:
    for path, (name, meant) in UNKNOWN.items():
        answer = await field.gateway.client.get(path)
        tally.tries += 1
        body = problem_of(answer)
        is_refused = answer.status_code == 422 and body.get("code") == "unknown_parameter"
        tally.expect(
            is_refused and body.get("parameter") == name,
            f"{path}: {answer.status_code} {body.get('code')}",
        )
        tally.expect(
            meant is None or meant in (body.get("suggestions") or []),
            f"{path}: suggests {body.get('suggestions')}",
        )
    told = await said(field.gateway, get("/api/stream?channel=gas"), 0.5)
    tally.tries += 1
    tally.expect(status(told) == 422, f"/api/stream?channel=gas: {status(told)}")
    for path, name in NAMED.items():
        answer = await field.gateway.client.get(path)
        tally.tries += 1
        is_named = answer.status_code == 422 and name in answer.text
        tally.expect(is_named, f"{path}: {answer.status_code}")


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
