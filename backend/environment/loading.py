"""Reads groups of settings from variables of the environment and `.env`."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from backend.environment.problem_lines import problem_line

S = TypeVar("S", bound=BaseModel)


class SettingsGroup(BaseModel):
    """A group of settings. Fields are variables without the group's prefix; their values are texts
    that the fields' types parse."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _strip(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value


def variables_of(
    environment: Mapping[str, str], in_file: Mapping[str, str | None]
) -> dict[str, str]:
    """The variables by lower-case name, as any spelling is one. The environment's come before
    those of `.env`."""
    both = (*in_file.items(), *environment.items())
    return {name.lower(): value for name, value in both if value is not None}


def load(kind: type[S], prefix: str, variables: Mapping[str, str], problems: list[str]) -> S | None:
    """None if a value is invalid; then a line for each is added to `problems`. `variables` are by
    lower-case name."""
    names = ((field, f"{prefix}{field}".lower()) for field in kind.model_fields)
    given = {field: variables[name] for field, name in names if name in variables}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems += [problem_line(kind, prefix, one) for one in error.errors(include_url=False)]
        return None


def load_each(
    kind: type[S], names: Iterable[str], variables: Mapping[str, str], problems: list[str]
) -> dict[str, S | None]:
    """By name, which is the prefix of its variables."""
    return {name: load(kind, f"{name.upper()}_", variables, problems) for name in names}
