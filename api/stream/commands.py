"""What a client may say: parsed, or refused with a code that it understands."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from api.stream.frames import CHANNELS
from backend.models.ohlc import Interval

MOST_SYMBOLS = 250
#: Channels that take symbols, in a frame of their own as in the address.
WITH_SYMBOLS = frozenset({"market", "ohlc", "news"})

UNKNOWN_OP = "op is one of subscribe, unsubscribe, ping"

Id = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, Field(max_length=64)]
Symbol = Annotated[str, Field(min_length=1, max_length=64)]
Symbols = Annotated[list[Symbol], Field(min_length=1, max_length=MOST_SYMBOLS)]
ChannelName = Literal["market", "ohlc", "news", "sentiment", "gas", "status"]


class Refused(Exception):
    """A message that can't be done. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str, id: Any = None) -> None:  # noqa: A002 - the word on the wire
        super().__init__(message)
        self.code = code
        self.id = id


def _text(told: Any) -> Any:
    """An enumeration wants the `repr` of what it refuses, and lists a thousand deep have none."""
    if not isinstance(told, str):
        raise ValueError("an interval is a text")
    return told


IntervalName = Annotated[Interval, Field(strict=False), BeforeValidator(_text)]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    id: Id | None = None


class Subscribe(_Said):
    """`symbols` None is all of them; candles want symbols and an interval."""

    op: Literal["subscribe"] = "subscribe"
    channel: ChannelName
    symbols: Symbols | None = None
    interval: IntervalName | None = None


class Unsubscribe(_Said):
    """`symbols` and `interval` choose among candles; without them all of the channel goes."""

    op: Literal["unsubscribe"]
    channel: ChannelName
    symbols: Symbols | None = None
    interval: IntervalName | None = None


class Ping(_Said):
    op: Literal["ping"]


Command = Subscribe | Unsubscribe | Ping
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="op")])


def parse_command(text: str | None) -> Command:
    """One message of a client. Raises Refused."""
    if text is None:
        raise Refused("bad_frame", "only text frames are understood")
    try:
        said = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise Refused("bad_frame", "the frame is no JSON") from None
    if not isinstance(said, dict):
        raise Refused("bad_frame", "the frame is no JSON object")
    if not isinstance(said.get("op"), str):  # of a list pydantic would want the `repr`, too
        raise Refused("unknown_op", UNKNOWN_OP, _known_id(said))
    try:
        command = _COMMAND.validate_python(said)
    except ValidationError as problem:
        raise _refused(said, problem) from None
    if isinstance(command, Subscribe):
        _refuse_nonsense(command)
    return command


def key_in(text: str | None) -> str:
    """Of a first message `{"op":"auth","key":"…"}`; empty where it is another."""
    try:
        said = orjson.loads(text or "")
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return ""
    is_auth = isinstance(said, dict) and said.get("op") == "auth"
    key = said.get("key") if is_auth else None
    return key if isinstance(key, str) else ""


def commands_in(
    channels: str | None, symbols: str | None, interval: str | None
) -> tuple[Subscribe, ...]:
    """What an address subscribes to: `?channels=market,gas&symbols=BTC,ETH`. Raises Refused."""
    names = _parts(symbols)
    said = []
    for channel in dict.fromkeys(_parts(channels)):
        command: dict[str, Any] = {"op": "subscribe", "channel": channel}
        if names and channel in WITH_SYMBOLS:
            command["symbols"] = names
        if interval and channel == "ohlc":
            command["interval"] = interval
        said.append(parse_command(orjson.dumps(command).decode()))
    _refuse_ignored(channels, symbols, interval)
    return tuple(command for command in said if isinstance(command, Subscribe))


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _refuse_ignored(channels: str | None, symbols: str | None, interval: str | None) -> None:
    """A parameter that no channel of the address takes would be ignored."""
    named = _parts(channels)
    if channels is not None and not named:
        raise Refused("unknown_channel", "channels is empty: leave it out, or name one")
    if symbols is not None and not _parts(symbols):
        raise Refused("invalid_parameter", "symbols is empty: leave it out, or name one")
    if symbols is not None and WITH_SYMBOLS.isdisjoint(named):
        takers = ", ".join(sorted(WITH_SYMBOLS))
        raise Refused("invalid_parameter", f"symbols need one of the channels {takers}")
    if interval is not None and "ohlc" not in named:
        raise Refused("invalid_parameter", "interval needs the channel ohlc")


def _refuse_nonsense(command: Subscribe) -> None:
    if command.channel == "ohlc" and not (command.symbols and command.interval):
        raise Refused("invalid_parameter", "ohlc wants symbols and an interval", command.id)
    if command.symbols and command.channel not in WITH_SYMBOLS:
        raise Refused("invalid_parameter", f"{command.channel} takes no symbols", command.id)
    if command.interval and command.channel != "ohlc":
        raise Refused("invalid_parameter", f"{command.channel} takes no interval", command.id)


def _known_id(said: dict[str, Any]) -> int | str | None:
    """What the client calls its message, where that can be said back."""
    told = said.get("id")
    return told if isinstance(told, int | str) and len(str(told)) <= 64 else None


def _refused(said: dict[str, Any], problem: ValidationError) -> Refused:
    """The first thing that is wrong, without repeating what was sent."""
    first = problem.errors(include_url=False, include_input=False)[0]
    id = _known_id(said)  # noqa: A001 - the word on the wire
    if first["type"].startswith("union_tag"):
        return Refused("unknown_op", UNKNOWN_OP, id)
    name = str(first["loc"][1]) if len(first["loc"]) > 1 else "the frame"
    if name == "channel":
        return Refused("unknown_channel", f"channel is one of {', '.join(CHANNELS)}", id)
    return Refused("invalid_parameter", f"{name}: {first['msg']}", id)
