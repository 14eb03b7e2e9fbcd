"""Parameters of tools: each is bounded, and describes itself as JSON Schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: Unknown names that an error repeats, and the characters of each.
MAX_NAMED, MAX_NAME_LENGTH = 3, 32
#: The default of a parameter that has to be given.
REQUIRED: Any = object()


class WrongArguments(Exception):
    """The arguments of a call do not fit its tool. The text says what does."""


class Parameter(Protocol):
    @property
    def default(self) -> Any: ...
    def schema(self) -> dict[str, Any]: ...
    def is_valid(self, value: Any) -> bool: ...
    @property
    def rule(self) -> str:
        """What a value must be, for the text of an error."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer from `least` to `most`."""

    description: str
    least: int
    most: int
    default: Any

    def schema(self) -> dict[str, Any]:
        schema = {"type": "integer", "minimum": self.least, "maximum": self.most}
        default = {} if self.default in (None, REQUIRED) else {"default": self.default}
        return {**schema, **default, "description": self.description}

    def is_valid(self, value: Any) -> bool:
        return type(value) is int and self.least <= value <= self.most

    @property
    def rule(self) -> str:
        return f"must be an integer from {self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text of characters that can be shown."""

    description: str
    longest: int
    default: Any = REQUIRED

    def schema(self) -> dict[str, Any]:
        bounds = {"type": "string", "minLength": 1, "maxLength": self.longest}
        return {**bounds, "description": self.description}

    def is_valid(self, value: Any) -> bool:
        is_text = isinstance(value, str) and len(value) <= self.longest
        return is_text and bool(value.strip()) and value.isprintable()

    @property
    def rule(self) -> str:
        return f"must be a text of 1 to {self.longest} characters"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `values`."""

    description: str
    values: Sequence[str]
    default: Any = REQUIRED

    def schema(self) -> dict[str, Any]:
        default = {} if self.default is REQUIRED else {"default": self.default}
        listed = {"type": "string", "enum": list(self.values)}
        return {**listed, **default, "description": self.description}

    def is_valid(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.values

    @property
    def rule(self) -> str:
        return f"must be one of {', '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of 1 to `most` texts."""

    description: str
    each: Text
    most: int
    default: Any = REQUIRED

    def schema(self) -> dict[str, Any]:
        item = {"type": "string", "maxLength": self.each.longest}
        bounds = {"type": "array", "items": item, "minItems": 1, "maxItems": self.most}
        return {**bounds, "description": self.description}

    def is_valid(self, value: Any) -> bool:
        is_list = isinstance(value, list) and 1 <= len(value) <= self.most
        return is_list and all(map(self.each.is_valid, value))

    @property
    def rule(self) -> str:
        text = f"texts of 1 to {self.each.longest} characters"
        return f'must be a list of 1 to {self.most} {text}, like ["BTC", "ETH"]'


def schema_of(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments."""
    required = [name for name, one in parameters.items() if one.default is REQUIRED]
    return {
        "type": "object",
        "properties": {name: one.schema() for name, one in parameters.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def read_arguments(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each parameter; null counts as omitted. Raises WrongArguments with all faults."""
    unknown = [name[:MAX_NAME_LENGTH] for name in given if name not in parameters]
    wrong = []
    if unknown:
        allowed = ", ".join(parameters) or "none"
        wrong.append(f"unknown: {', '.join(unknown[:MAX_NAMED])}; the arguments are: {allowed}")
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        value = given.get(name)
        if value is None:
            values[name] = parameter.default
        elif parameter.is_valid(value):
            values[name] = value
        else:
            wrong.append(f"{name} {parameter.rule}")
        if values.get(name) is REQUIRED:
            wrong.append(f"{name} is required: it {parameter.rule}")
    if wrong:
        raise WrongArguments("; ".join(wrong))
    return values
