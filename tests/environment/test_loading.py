"""Groups of settings: which variables are theirs, and which of two is read."""

from pathlib import Path

import pytest

from backend.environment.env_file import read_env_file
from backend.environment.loading import SettingsGroup, load, load_each, variables_of


class Group(SettingsGroup):
    size: int = 1


def test_a_name_with_a_variable_has_its_value_and_all_others_have_the_defaults() -> None:
    variables = variables_of({"second_SIZE": " 7 ", "OTHER": "1"}, {})
    problems: list[str] = []
    read = load_each(Group, ("first", "second", "third"), variables, problems)
    assert read == {"first": Group(), "second": Group(size=7), "third": Group()}
    assert problems == []


def test_a_longer_name_with_the_same_beginning_has_its_own_variables() -> None:
    variables = variables_of({"A_B_SIZE": "7"}, {})
    assert load_each(Group, ("a", "a_b"), variables, []) == {"a": Group(), "a_b": Group(size=7)}


def test_an_invalid_value_costs_its_own_name_only() -> None:
    variables = variables_of({"SECOND_SIZE": "much"}, {})
    problems: list[str] = []
    read = load_each(Group, ("first", "second"), variables, problems)
    assert read == {"first": Group(), "second": None}
    assert problems == ["SECOND_SIZE: must be a whole number, not 'much'"]
    assert load(Group, "SECOND_", variables, []) is None


@pytest.mark.parametrize(
    ("environment", "in_file", "expected"),
    [
        ({}, {"SIZE": "3"}, 3),
        ({"SIZE": "2"}, {"SIZE": "3"}, 2),
        ({"size": "2"}, {"Size": "3"}, 2),
        ({"SIZE": "2"}, {"SIZE": None}, 2),
        ({}, {"SIZE": None}, 1),
        ({"SIZES": "2"}, {"A_SIZE": "3"}, 1),
    ],
)
def test_the_environment_comes_before_the_file(
    environment: dict[str, str], in_file: dict[str, str | None], expected: int
) -> None:
    assert load(Group, "", variables_of(environment, in_file), []) == Group(size=expected)


def test_an_empty_value_is_one() -> None:
    problems: list[str] = []
    assert load(Group, "", variables_of({"SIZE": ""}, {"SIZE": "3"}), problems) is None
    assert problems == ["SIZE: must be a whole number, not ''"]


def test_names_in_a_value_of_the_file_are_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME_OF_IT", "there")
    Path(".env").write_text("A=${HOME_OF_IT}/a\nB='${HOME_OF_IT}'\nC=${A}/c\nno line\nD\n")
    values, warnings = read_env_file()
    assert values == {"A": "there/a", "B": "there", "C": "there/a/c"}
    assert len(warnings) == 2


def test_a_byte_order_mark_does_not_hide_the_first_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_bytes(b"\xef\xbb\xbfSIZE=7\n")
    values, _ = read_env_file()
    assert load(Group, "", variables_of({}, values), []) == Group(size=7)
