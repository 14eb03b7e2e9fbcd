"""`dataclasses.replace` for what is replaced at each tick: all fields are read in one call."""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

from pydantic_core import SchemaValidator, core_schema

T = TypeVar("T")


def replacing(kind: type[T]) -> Callable[..., T]:
    """A function of an instance and the fields to change, as `dataclasses.replace`. All fields of
    the dataclass `kind` must be arguments."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type] # a dataclass
    read = attrgetter(*names)

    def replaced(one: T, **changes: Any) -> T:
        return kind(**(dict(zip(names, read(one), strict=True)) | changes))

    return replaced


def replacing_unchecked(kind: type[T]) -> Callable[..., T]:
    """As `replacing`, for a pydantic dataclass with slots. Nothing is validated: the caller's
    values must be valid, by themselves and together."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type] # a dataclass
    read = attrgetter(*names)
    anything = [core_schema.dataclass_field(name, core_schema.any_schema()) for name in names]
    arguments = core_schema.dataclass_args_schema(kind.__name__, anything, extra_behavior="forbid")
    schema = core_schema.dataclass_schema(kind, arguments, names, slots=True)
    made = SchemaValidator(schema).validate_python

    def replaced(one: T, **changes: Any) -> T:
        same: T = made(dict(zip(names, read(one), strict=True)) | changes)
        return same

    return replaced
