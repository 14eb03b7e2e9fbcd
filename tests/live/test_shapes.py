"""Shapes: paths and types without values, and what differs between two of them."""

import json

import pytest

from tests.live.shapes import MOST_MEMBERS, changes, json_shape, shape_of


def test_the_rows_of_a_list_have_one_shape() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": None, "c": [True]}]
    assert shape_of([rows]) == {
        "$": "array",
        "$[]": "object",
        "$[].a": "null|number",
        "$[].b": "string",
        "$[].c": "array",
        "$[].c[]": "boolean",
    }


def test_the_columns_of_a_row_are_kept_apart() -> None:
    assert changed([[1, "2.5"], [2, "2.6"]], [[1, 2.5, 7]]) == [
        "$[][1] is number, was string",
        "new $[][2] (number)",
    ]
    assert set(json_shape([[0] * 50])) == {"$", "$[]", "$[][]"}


@pytest.mark.parametrize("names", [["EUR", "JPY"], ["BTC-USD"], ["XXBTZUSD"], ["1", "144"]])
def test_names_that_are_data_are_left_out(names: list[str]) -> None:
    assert json_shape({"rates": dict.fromkeys(names, 1.5), "last": 1}) == {
        "$": "object",
        "$.last": "number",
        "$.rates": "object",
        "$.rates.*": "number",
    }


def test_a_name_of_a_field_beside_data_is_kept() -> None:
    for pair in ({"XXBTZUSD": [1], "last": 2}, {"last": 2, "XXBTZUSD": [1]}):
        assert set(json_shape(pair)) == {"$", "$.*", "$.*[]", "$.last"}


def test_single_letters_are_names_of_fields() -> None:
    assert set(json_shape({"e": 1, "E": 2})) == {"$", "$.e", "$.E"}


def test_an_object_with_many_names_is_a_table() -> None:
    table = {f"coin-{n}": {"usd": n} for n in range(MOST_MEMBERS + 20)}
    assert json_shape(table) == {"$": "object", "$.*": "object", "$.*.usd": "number"}


def test_a_feed_has_its_elements() -> None:
    body = b"\xef\xbb\xbf<?xml version='1.0'?><rss><item><title>A</title><x><![CDATA[<b>]]></x>"
    body += b"<!-- <secret> --></item></rss>"
    assert set(shape_of([body])) == {"<rss>", "<item>", "<title>", "<x>"}
    assert shape_of([b"no feed"]) == {"$": "bytes"}


def test_unlike_payloads_of_an_operation_are_numbered() -> None:
    assert shape_of([[1], [2]]) == {"$": "array", "$[]": "number"}
    assert shape_of([7, "x"]) == {"0 $": "number", "1 $": "string"}


def changed(old: object, new: object) -> list[str]:
    return changes(json_shape(old), json_shape(new))


def test_the_top_of_what_came_and_went_is_named() -> None:
    old, new = {"a": {"b": {"c": 1}}, "d": 1}, {"d": 1, "e": [{"f": 2}]}
    assert changed(old, new) == ["gone $.a (object)", "new $.e (array)"]


def test_another_type_is_a_change() -> None:
    assert changed({"price": 1.5}, {"price": "1.5"}) == ["$.price is string, was number"]
    assert changed([{"a": 1}], {"a": 1})[0] == "$ is object, was array"


def test_null_and_an_empty_list_hide_nothing_new() -> None:
    assert changed({"a": 1, "l": [{"b": 1}]}, {"a": 1, "l": []}) == []
    assert changed([{"a": 1}, {"a": None}], [{"a": 2}]) == []
    assert changed({"a": 1}, {"a": None}) == ["$.a is null, was number"]


def test_deep_payloads_are_cut_off() -> None:
    deep = json.loads("[" * 500 + "]" * 500)
    assert len(json_shape(deep)) < 20


def test_odd_names_cannot_be_taken_for_paths() -> None:
    assert set(json_shape({"a.b[]": 1})) == {"$", "$.a_b__"}
