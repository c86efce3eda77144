"""The query language of the data list, and that of `q`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.query import matcher, projection, sorter
from connector.sandbox.search import QueryTooShort, compiled
from tests.sandbox.conftest import Small

DOCUMENT = {
    "_id": 7,
    "g/age": "12",
    "name": "Hala",
    "list": [{"list/x": "1"}, {"list/x": "2"}],
    "tags": ["a", "b"],
    "_validation_status": {"uid": "on_hold"},
}


@pytest.mark.parametrize(
    ("query", "met"),
    [
        ({}, True),
        ({"_id": 7}, True),
        ({"_id": "7"}, False),
        ({"_id": {"$gte": 7, "$lt": 8}}, True),
        ({"g/age": {"$gt": "2"}}, False),
        ({"g/age": {"$gt": 2}}, False),
        ({"g.age": "12"}, False),
        ({"name": {"$in": ["Huda", "Hala"]}}, True),
        ({"name": {"$nin": ["Hala"]}}, False),
        ({"name": {"$ne": "Hala"}}, False),
        ({"nothing": {"$exists": False}}, True),
        ({"nothing": {"$ne": "x"}}, True),
        ({"nothing": None}, True),
        ({"nothing": {"$gt": ""}}, False),
        ({"name": {"$regex": "^ha", "$options": "i"}}, True),
        ({"name": {"$not": {"$regex": "^ha"}}}, True),
        ({"tags": "a"}, True),
        ({"tags": {"$all": ["a", "b"]}}, True),
        ({"list": {"$elemMatch": {"list/x": "2"}}}, True),
        ({"list": {"$elemMatch": {"list/x": "3"}}}, False),
        ({"_validation_status.uid": "on_hold"}, True),
        ({"_validation_status": {}}, False),
        ({"$or": [{"_id": 1}, {"name": "Hala"}]}, True),
        ({"$and": [{"_id": 7}, {"name": "Huda"}]}, False),
        ({"$where": "1"}, False),
        ({"name": {"$size": 4}}, False),
        ({"$expr": {"$gt": ["$_id", 6]}}, True),
        ({"$expr": {"$gt": [{"$ifNull": ["$none", 3]}, "$_id"]}}, False),
    ],
)
def test_conditions(query: dict[str, object], met: bool) -> None:
    """Texts compare as texts, kinds do not mix, unknown operators match nothing."""
    assert matcher(query)(DOCUMENT) is met


def test_absent_values_sort_first_and_ties_keep_their_order() -> None:
    """As Mongo sorts: nothing, numbers, texts."""
    rows = [{"_id": 1, "a": "x"}, {"_id": 2}, {"_id": 3, "a": 5}, {"_id": 4, "a": "x"}]
    assert [row["_id"] for row in sorter({"a": 1})(rows)] == [2, 3, 1, 4]
    assert [row["_id"] for row in sorter({"a": -1, "_id": -1})(rows)] == [4, 1, 3, 2]


def test_fields_come_with_the_identity() -> None:
    """Identity always comes along, validation too, but empty unless it is named."""
    document = {"_id": 1, "_uuid": "u", "meta/rootUuid": "r", "_validation_status": {"uid": "x"}, "a": "b"}
    assert projection(["a"])(document) == {"a": "b", "_uuid": "u", "meta/rootUuid": "r", "_validation_status": {}}


@given(st.integers(-2, 60), st.integers(-2, 60), st.sets(st.integers(1, 50)))
def test_the_index_finds_what_a_scan_finds(low: int, high: int, deleted: set[int]) -> None:
    """Conditions on `_id` are answered from the index exactly as by looking at every row."""
    from datetime import UTC, datetime
    from itertools import count

    from connector.sandbox.submissions import Shape, SubmissionTable

    numbers = count(1)
    table = SubmissionTable("a", Shape, lambda: next(numbers), lambda: "att")
    table.load(({"_uuid": f"u{n}"} for n in range(50)), datetime.now(UTC))
    table.delete(sorted(deleted))
    for condition in (
        {"$gt": low}, {"$gte": low, "$lt": high}, {"$lte": high}, {"$in": [low, high, 3]}, low, {"$ne": low},
    ):  # fmt: skip
        scanned = [row.id for row in table if matcher({"_id": condition})(row.document)]
        assert list(table.select({"_id": condition})) == scanned


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"query": "[1]"}, {"query": "Value must be valid JSON."}),
        ({"sort": "x"}, {"sort": "Value must be valid JSON."}),
        ({"fields": "{}"}, {"fields": "Value must be valid JSON."}),
        ({"limit": "ten"}, {"limit": "A positive integer is required"}),
        ({"start": "-1"}, {"start": "A positive integer is required"}),
        ({"query": '{"who": {"$regex": "("}}'}, {"query": "Regular expression is invalid"}),
    ],
)
def test_bad_parameters_are_named(small: Small, parameters: dict[str, str], message: dict[str, str]) -> None:
    """A parameter that cannot be read is answered 400 with its name."""
    answer = small.call("GET", "/data/", query_string=parameters)
    assert (answer.status_code, answer.json) == (400, message)


def test_pages_are_cut_at_a_thousand_and_linked(small: Small) -> None:
    """A greater limit is cut in silence; `next` leads through all rows."""
    small.kobo.load(small.uid, ({"_uuid": f"u{n}", "meta/rootUuid": f"uuid:u{n}"} for n in range(1500)))
    first = small.call("GET", "/data/", query_string={"limit": "30000"}).json
    assert (first["count"], len(first["results"])) == (1500, 1000)  # type: ignore[index]
    headers = {"Authorization": f"Token {small.token}"}
    second = small.kobo.app.test_client().get(first["next"], headers=headers).json  # type: ignore[index]
    assert (len(second["results"]), second["next"]) == (500, None)  # type: ignore[index]


ROW = {
    "name": "RFL Tracing",
    "asset_type": "survey",
    "date_created": "2026-11-21T21:05:30Z",
    "metadata": {"a": {"b": "c"}},
}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("", True),
        ("tracing", True),
        ('asset_type:survey AND name__icontains:"TRACING"', True),
        ("asset_type:block OR NOT asset_type:survey", False),
        ("asset_type:survey AND (name:x OR metadata__a__b:c)", True),
        ('date_created__gte:"2026-11-21T21:05:25Z"', True),
        ("date_created__gte:2026-11-21T21:05:25Z", False),
        ("unknown:x", False),
        ("asset_type:survey AND (", False),
    ],
)
def test_searches(text: str, met: bool) -> None:
    """Fields, comparisons, AND, OR, NOT and brackets; an unquoted date matches nothing."""
    assert compiled(text)(ROW) is met


def test_a_short_word_is_refused(small: Small) -> None:
    """Words of fewer than three letters are no search."""
    with pytest.raises(QueryTooShort):
        compiled("ab")
    headers = {"Authorization": f"Token {small.token}"}
    assert small.kobo.app.test_client().get("/api/v2/assets/?q=ab", headers=headers).status_code == 400


def test_a_query_is_json_in_the_address(small: Small) -> None:
    """A whole query through the list."""
    small.kobo.load(small.uid, ({"_uuid": u, "meta/rootUuid": u, "who": u} for u in ("x", "y")))
    assert [row["who"] for row in small.rows(query=json.dumps({"who": "y"}), sort='{"_id": -1}')] == ["y"]
