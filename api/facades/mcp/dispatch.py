"""The methods of MCP: what each request gets, in the revision that it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers

from api.facades.mcp import market_tools, other_tools
from api.facades.mcp.advice import advice
from api.facades.mcp.answers import text_of
from api.facades.mcp.messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Document,
    Message,
    ProtocolError,
)
from api.facades.mcp.parameters import WrongArguments, read_arguments
from api.facades.mcp.tool import Call, Tool
from api.facades.mcp.versions import (
    SERVER_KEY,
    STATELESS,
    check_stateless,
    is_stateless,
    negotiated,
)
from backend import __version__
from backend.errors import GatewayError
from backend.gateway import Gateway
from backend.services.market.service import Charge

TOOLS: Sequence[Tool] = (
    market_tools.PRICES,
    market_tools.FIND,
    market_tools.CANDLES,
    other_tools.NEWS,
    other_tools.SENTIMENT,
    other_tools.GAS,
    other_tools.STATUS,
)
BY_NAME = {tool.name: tool for tool in TOOLS}
SERVER = {
    "name": "unified-crypto-data-platform",
    "title": "Unified Crypto Data Platform",
    "version": __version__,
}
INSTRUCTIONS = (
    "Crypto market data of many providers. Each answer names its source and the time it was "
    "fetched (`as_of`); tell both with a figure. Where `stale` is true the figures are old: say "
    "so. null is unknown: never fill it in. An error says what to do next."
)
CAPABILITIES: Document = {"tools": {}}
#: How long a client may keep the list of tools, in milliseconds. It is the same for all clients.
LISTED_MS = 3_600_000
CACHEABLE = {"ttlMs": LISTED_MS, "cacheScope": "public"}
#: Characters of a name that an error repeats.
MAX_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a request, and headers of the response."""

    result: Document
    headers: dict[str, str] = field(default_factory=dict)


async def answered(message: Message, headers: Headers, gateway: Gateway, charge: Charge) -> Outcome:
    """Raises ProtocolError. What a tool refuses is a result, which models see."""
    if not is_stateless(message, headers):
        return await _with_handshake(message, gateway, charge)
    check_stateless(message, headers)
    outcome = await _stateless(message, gateway, charge)
    return Outcome(_complete(outcome.result), outcome.headers)


def refused_call(message: Message, headers: Headers, text: str) -> Document:
    """The result of a tool's call that is refused before it is looked at."""
    result = _content(text, is_error=True)
    return _complete(result) if is_stateless(message, headers) else result


def _complete(result: Document) -> Document:
    return {"resultType": "complete", **result, "_meta": {SERVER_KEY: SERVER}}


async def _with_handshake(message: Message, gateway: Gateway, charge: Charge) -> Outcome:
    """Errors have the status 200, as these revisions ask for."""
    match message.method:
        case "initialize":
            return Outcome(_opening(message))
        case "ping":
            return Outcome({})
        case "tools/list":
            return Outcome(_listed())
        case "tools/call":
            return await _called(message, gateway, charge, status=200)
    raise _unknown_method(message, status=200)


async def _stateless(message: Message, gateway: Gateway, charge: Charge) -> Outcome:
    match message.method:
        case "server/discover":
            return Outcome(_discovered())
        case "tools/list":
            return Outcome(_listed() | CACHEABLE)
        case "tools/call":
            return await _called(message, gateway, charge, status=400)
    raise _unknown_method(message, status=404)


def _opening(message: Message) -> Document:
    return {
        "protocolVersion": negotiated(message.params.get("protocolVersion")),
        "capabilities": CAPABILITIES,
        "serverInfo": SERVER,
        "instructions": INSTRUCTIONS,
    }


def _discovered() -> Document:
    return {
        "supportedVersions": list(STATELESS),
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        **CACHEABLE,
    }


def _listed() -> Document:
    return {"tools": [tool.described() for tool in TOOLS]}


async def _called(message: Message, gateway: Gateway, charge: Charge, *, status: int) -> Outcome:
    name, arguments = message.params.get("name"), message.params.get("arguments")
    tool = BY_NAME.get(name) if isinstance(name, str) else None
    if tool is None:
        asked = str(name)[:MAX_NAME_LENGTH]
        detail = f"no tool is named {asked!r}; the tools are {', '.join(BY_NAME)}"
        raise ProtocolError(INVALID_PARAMS, detail, status=status)
    if not isinstance(arguments, dict | None):
        raise ProtocolError(INVALID_PARAMS, "arguments must be an object", status=status)
    try:
        call = Call(gateway, read_arguments(tool.parameters, arguments or {}), charge)
        found = await tool.answer(call)
    except WrongArguments as error:
        return Outcome(_content(f"Wrong arguments: {error}.", is_error=True))
    except GatewayError as error:
        return Outcome(_content(advice(error, gateway.clock.now()), is_error=True))
    return Outcome(_content(text_of(found), is_error=False), found.headers)


def _content(text: str, *, is_error: bool) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _unknown_method(message: Message, *, status: int) -> ProtocolError:
    asked = message.method[:MAX_NAME_LENGTH]
    return ProtocolError(METHOD_NOT_FOUND, f"no method is named {asked!r}", status=status)
