"""Commands of stream clients: parsed from a message or from the query string, or rejected."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from api.stream.protocol import CHANNELS, MAX_ROWS
from backend.models.chains import ChainName
from backend.models.ohlc import Interval

#: The channels that each parameter applies to.
TAKERS = {
    "symbols": frozenset({"market", "ohlc", "news"}),
    "interval": frozenset({"ohlc"}),
    "chain": frozenset({"gas"}),
}

Id = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, Field(max_length=64)]
Symbol = Annotated[str, Field(min_length=1, max_length=64)]
Symbols = Annotated[list[Symbol], Field(min_length=1, max_length=MAX_ROWS)]
if TYPE_CHECKING:
    ChannelName = str
else:
    ChannelName = Literal[CHANNELS]


class CommandError(Exception):
    """A command that is invalid or not allowed: the code, and a message for people."""

    def __init__(self, code: str, message: str, id: Any = None) -> None:  # noqa: A002 - the word on the wire
        super().__init__(message)
        self.code = code
        self.id = id


def _text(value: Any) -> Any:
    """Only texts reach the enumeration: its error message needs the value's `repr`, which fails
    on a list nested a thousand levels deep."""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _lower(value: Any) -> Any:
    return _text(value).lower()


IntervalName = Annotated[Interval, Field(strict=False), BeforeValidator(_text)]
ChainOfGas = Annotated[ChainName, BeforeValidator(_lower)]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Id | None = None


class _Selection(_Message):
    channel: ChannelName
    symbols: Symbols | None = None
    interval: IntervalName | None = None
    chain: ChainOfGas | None = None


class Subscribe(_Selection):
    """Without `symbols`: all of the channel. `ohlc` requires symbols and an interval; `gas` without
    a chain is the default chain."""

    op: Literal["subscribe"] = "subscribe"


class Unsubscribe(_Selection):
    """`symbols` and `interval` select among candle series, `chain` among those of gas; without
    them the whole channel ends."""

    op: Literal["unsubscribe"]


class Ping(_Message):
    op: Literal["ping"]


Command = Subscribe | Unsubscribe | Ping
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="op")])


def parse_command(text: str | None) -> Command:
    """Parses one message of a client; None is a binary message. Raises CommandError."""
    if text is None:
        raise CommandError("bad_frame", "only text frames are accepted")
    try:
        message = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise CommandError("bad_frame", "the frame is not valid JSON") from None
    if not isinstance(message, dict):
        raise CommandError("bad_frame", "the frame must be a JSON object")
    if not isinstance(message.get("op"), str):  # pydantic would need the `repr` of a list here, too
        message["op"] = ""
    try:
        command = _COMMAND.validate_python(message)
    except ValidationError as invalid:
        raise _command_error(message, invalid) from None
    if isinstance(command, Subscribe):
        _check_parameters(command)
    return command


def auth_key(text: str | None) -> str:
    """The key of a message `{"op":"auth","key":"…"}`; empty for any other message."""
    try:
        message = orjson.loads(text or "")
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return ""
    is_auth = isinstance(message, dict) and message.get("op") == "auth"
    key = message.get("key") if is_auth else None
    return key if isinstance(key, str) else ""


def subscriptions_in_query(
    channels: str | None, symbols: str | None, interval: str | None, chain: str | None = None
) -> tuple[Subscribe, ...]:
    """The subscriptions of `?channels=market,gas&symbols=BTC,ETH`. Raises CommandError."""
    named, names = _parts(channels), _parts(symbols)
    given = {"symbols": names, "interval": interval, "chain": chain}
    commands = []
    for channel in dict.fromkeys(named):
        own = {name: one for name, one in given.items() if one and channel in TAKERS[name]}
        message = orjson.dumps({"op": "subscribe", "channel": channel, **own})
        commands.append(parse_command(message.decode()))
    if channels is not None and not named:
        raise CommandError("unknown_channel", "channels is empty: leave it out, or name one")
    if symbols is not None and not names:
        raise CommandError("invalid_parameter", "symbols is empty: leave it out, or name one")
    _check_takers(named, {"symbols": symbols, "interval": interval, "chain": chain})
    return tuple(command for command in commands if isinstance(command, Subscribe))


def _check_takers(channels: list[str], given: dict[str, str | None]) -> None:
    """Rejects a parameter that applies to none of the channels."""
    for name, value in given.items():
        if value is not None and TAKERS[name].isdisjoint(channels):
            verb, takers = "need" if name == "symbols" else "needs", sorted(TAKERS[name])
            noun = "one of the channels" if len(takers) > 1 else "the channel"
            raise CommandError("invalid_parameter", f"{name} {verb} {noun} {', '.join(takers)}")


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _check_parameters(command: Subscribe) -> None:
    problem = None
    if command.channel == "ohlc" and not (command.symbols and command.interval):
        problem = "ohlc requires symbols and an interval"
    elif command.symbols and command.channel not in TAKERS["symbols"]:
        problem = f"{command.channel} takes no symbols"
    elif command.interval and command.channel != "ohlc":
        problem = f"{command.channel} takes no interval"
    elif command.chain and command.channel != "gas":
        problem = f"{command.channel} takes no chain"
    if problem:
        raise CommandError("invalid_parameter", problem, command.id)


def _command_error(message: dict[str, Any], invalid: ValidationError) -> CommandError:
    """The first error of the message; it does not repeat what the client sent."""
    first = invalid.errors(include_url=False, include_input=False)[0]
    id = message.get("id")  # noqa: A001 - the word on the wire
    id = id if isinstance(id, int | str) and len(str(id)) <= 64 else None  # noqa: A001 - the same
    if first["type"].startswith("union_tag"):
        return CommandError("unknown_op", "op must be one of subscribe, unsubscribe, ping", id)
    name = str(first["loc"][1]) if len(first["loc"]) > 1 else "the frame"
    if name == "channel":
        return CommandError("unknown_channel", f"channel must be one of {', '.join(CHANNELS)}", id)
    if first["type"] == "extra_forbidden":
        return CommandError("invalid_parameter", "the message has a field that is not known", id)
    return CommandError("invalid_parameter", f"{name}: {first['msg']}", id)
