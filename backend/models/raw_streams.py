"""Frames of a vendor's streams that are passed on as they come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame in the vendor's bytes: `data` is its JSON, `combined` the same in its envelope."""

    stream: str
    data: bytes
    combined: bytes


@dataclass(frozen=True, slots=True)
class CommandReply:
    """The vendor's reply to the command with this number."""

    number: int
    is_refused: bool
