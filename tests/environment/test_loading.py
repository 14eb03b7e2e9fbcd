"""Groups of settings: who shares the defaults, and who is read."""

import pytest
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.environment.loading import load, load_each


class Group(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    size: int = 1


def test_a_name_with_a_variable_has_its_value_and_all_others_have_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("second_SIZE", "7")
    problems: list[str] = []
    read = load_each(Group, ("first", "second", "third"), ("second_SIZE", "OTHER"), problems)
    assert read == {"first": Group(), "second": Group(size=7), "third": Group()}
    assert read["first"] is read["third"]
    assert problems == []


def test_a_longer_name_with_the_same_beginning_is_read_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_B_SIZE", "7")
    assert load_each(Group, ("a", "a_b"), ("A_B_SIZE",), []) == {"a": Group(), "a_b": Group(size=7)}


def test_an_invalid_value_costs_its_own_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_SIZE", "much")
    problems: list[str] = []
    read = load_each(Group, ("first", "second"), ("SECOND_SIZE",), problems)
    assert read == {"first": Group(), "second": None}
    assert len(problems) == 1
    assert "SECOND_SIZE" in problems[0]
    assert load(Group, "SECOND_", []) is None
