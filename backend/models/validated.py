"""Faster ways to make rows of a validated dataclass."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar, cast

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import ArgsKwargs, CoreSchema

M = TypeVar("M")


class _Fields:
    """Marks a dataclass that a mapping of its fields may stand for, although it is strict."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = _accepting_a_mapping(handler.resolve_ref_schema(handler(source)))
        return cast("CoreSchema", schema)


def _accepting_a_mapping(schema: Any) -> Any:
    """A copy of the schema in which the dataclass itself is not strict; its fields stay so."""
    own = {key: value for key, value in schema.items() if key != "ref"}
    if schema["type"] == "dataclass":
        return own | {"strict": False}
    return own | {"schema": _accepting_a_mapping(schema["schema"])}


def from_fields(model: type[M]) -> Callable[[Mapping[str, Any]], M]:
    """A function that makes what `model(**fields)` makes, with all of its checks and errors.

    It takes less than half of the time: pydantic reads a dict faster than keyword arguments.
    """
    form: Any = Annotated[model, _Fields]
    adapter: TypeAdapter[Any] = TypeAdapter(form)
    return cast("Callable[[Mapping[str, Any]], M]", adapter.validator.validate_python)


def rows_from_values(model: type[M]) -> Callable[[Iterable[tuple[Any, ...]]], list[M]]:
    """A function that makes `model(*values)` of each tuple of values, in the order of the fields.

    One call of pydantic makes them all, with all checks. It raises ValidationError if one of the
    rows is invalid.
    """
    form: Any = list[Annotated[model, _Fields]]  # type: ignore[valid-type] # made at run time
    validate = TypeAdapter(form).validator.validate_python
    return lambda rows: cast("list[M]", validate(list(map(ArgsKwargs, rows))))
