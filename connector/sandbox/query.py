"""The query language of KoboToolbox's data list: Mongo conditions over submissions, sorting and choice of fields.

Field names are whole keys (`group/question`); a key with a dot matches nothing, save `_validation_status.<field>`, and
an operator outside the allowed ones is an ordinary key that no document has. Values compare only within their own kind:
answers are texts, `_id` is a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

Document: TypeAlias = Mapping[str, object]
Predicate: TypeAlias = Callable[[Document], bool]
Test: TypeAlias = Callable[[object], bool]

_ABSENT = object()
_VALIDATION = "_validation_status"
_ALWAYS = ("_uuid", "meta/rootUuid")


class BadParameter(ValueError):
    """A parameter that the server refuses; *name* is the parameter."""

    def __init__(self, name: str, message: str = "Value must be valid JSON.") -> None:
        super().__init__(message)
        self.name = name


def parsed(name: str, text: str, kind: type[dict[str, object] | list[object]]) -> object:
    """The JSON of the parameter *name*.

    Raises:
        BadParameter: it is no JSON or not of *kind*.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadParameter(name) from error
    if not isinstance(value, kind):
        raise BadParameter(name)
    return value


def id_condition(query: Mapping[str, object]) -> tuple[object, Mapping[str, object]]:
    """(what the query says of `_id` or None, the rest of the query): lets the caller begin from an index."""
    rest = dict(query)
    return rest.pop("_id", None), rest


def matcher(query: Mapping[str, object]) -> Predicate:
    """The query as a predicate over documents."""
    tests = [_clause(key, condition) for key, condition in query.items()]
    return lambda document: all(test(document) for test in tests)


def sorter(sort: Mapping[str, object]) -> Callable[[Sequence[Document]], list[Document]]:
    """Orders documents by the keys of *sort*, 1 up and -1 down; absent values come first, equal ones keep their order."""

    def ordered(documents: Sequence[Document]) -> list[Document]:
        rows = list(documents)
        for key, direction in reversed(list(sort.items())):
            rows.sort(key=lambda row, key=key: _rank(row.get(key, _ABSENT)), reverse=direction in (-1, "-1"))  # type: ignore[misc]
        return rows

    return ordered


def projection(fields: Iterable[object]) -> Callable[[Document], dict[str, object]]:
    """Keeps the named fields of a document, and those that always come along.

    `_validation_status` comes along too, but empty unless it is named: that is how the real server answers.
    """
    wanted = list(dict.fromkeys([*map(str, fields), *_ALWAYS]))
    shown: dict[str, object] = {} if _VALIDATION in wanted else {_VALIDATION: {}}
    return lambda document: {key: document[key] for key in wanted if key in document} | shown


def _clause(key: str, condition: object) -> Predicate:
    if key in ("$and", "$or") and isinstance(condition, list):
        parts = [matcher(part) for part in condition if isinstance(part, dict)]
        joined = all if key == "$and" else any
        return lambda document: joined(part(document) for part in parts)
    if key == "$expr" and isinstance(condition, dict):
        return lambda document: bool(_value(condition, document))
    if key.startswith("$"):
        return lambda _: False
    head, dot, tail = key.partition(".")
    test = _test(condition)
    if not dot:
        return lambda document: test(document.get(key, _ABSENT))
    if head == _VALIDATION:
        return lambda document: test(_inside(document.get(head), tail))
    return lambda _: False


def _inside(value: object, key: str) -> object:
    return value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT


def _test(condition: object) -> Test:
    if not (isinstance(condition, dict) and condition and all(key.startswith("$") for key in condition)):
        return lambda value: _equal(value, condition)
    options = str(condition.get("$options", ""))
    tests = [_operator(name, operand, options) for name, operand in condition.items() if name != "$options"]
    return lambda value: all(test(value) for test in tests)


def _operator(name: str, operand: object, options: str) -> Test:
    if name in _COMPARISONS:
        compare = _COMPARISONS[name]
        return lambda value: _same_kind(value, operand) and compare(_rank(value), _rank(operand))
    if name == "$regex":
        return _pattern(str(operand), options)
    if name in _OPERATORS:
        return _OPERATORS[name](operand)
    return lambda _: False


def _membership(operand: object, *, wanted: bool) -> Test:
    listed = operand if isinstance(operand, list) else []
    return lambda value: any(_equal(value, item) for item in listed) == wanted


def _pattern(text: str, options: str) -> Test:
    try:
        pattern = re.compile(text, re.IGNORECASE if "i" in options else 0)
    except re.error as error:
        raise BadParameter("query", "Regular expression is invalid") from error
    return lambda value: isinstance(value, str) and pattern.search(value) is not None


def _negation(operand: object) -> Test:
    test = _test(operand)
    return lambda value: not test(value)


def _all(operand: object) -> Test:
    listed = operand if isinstance(operand, list) else [operand]
    return lambda value: isinstance(value, list) and all(item in value for item in listed)


def _element(operand: object) -> Test:
    part = matcher(operand if isinstance(operand, dict) else {})
    return lambda value: isinstance(value, list) and any(isinstance(item, Mapping) and part(item) for item in value)


_OPERATORS: dict[str, Callable[[object], Test]] = {
    "$in": lambda operand: _membership(operand, wanted=True),
    "$nin": lambda operand: _membership(operand, wanted=False),
    "$ne": lambda operand: lambda value: not _equal(value, operand),
    "$exists": lambda operand: lambda value: (value is not _ABSENT) == bool(operand),
    "$not": _negation,
    "$all": _all,
    "$elemMatch": _element,
}


def _equal(value: object, wanted: object) -> bool:
    if value is _ABSENT:
        return wanted is None
    if isinstance(value, list) and not isinstance(wanted, list):
        return any(_equal(item, wanted) for item in value)
    return (type(value) is type(wanted) or _is_number(value)) and value == wanted


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_kind(one: object, other: object) -> bool:
    return _rank(one)[0] == _rank(other)[0]


def _rank(value: object) -> tuple[int, float, str]:
    """A key that orders values of all kinds: absent, numbers, texts, everything else."""
    if value is _ABSENT or value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    if isinstance(value, str):
        return (2, 0.0, value)
    return (3, 0.0, json.dumps(value, sort_keys=True, default=str))


_Rank: TypeAlias = tuple[int, float, str]
_COMPARISONS: dict[str, Callable[[_Rank, _Rank], bool]] = {
    "$gt": lambda one, other: one > other,
    "$gte": lambda one, other: one >= other,
    "$lt": lambda one, other: one < other,
    "$lte": lambda one, other: one <= other,
}


def _value(expression: object, document: Document) -> object:
    """An expression of `$expr`: a literal, `"$field"`, `$ifNull` or one of the comparisons and junctions."""
    if isinstance(expression, str) and expression.startswith("$"):
        return document.get(expression[1:])
    if not (isinstance(expression, dict) and len(expression) == 1):
        return expression
    ((name, arguments),) = expression.items()
    values = [_value(item, document) for item in arguments] if isinstance(arguments, list) else []
    if name == "$ifNull":
        return next((value for value in values if value is not None), None)
    if name in ("$and", "$or"):
        return (all if name == "$and" else any)(values)
    if name in (*_COMPARISONS, "$ne", "$in", "$nin") and len(values) == 2:  # noqa: PLR2004
        return _operator(name, values[1], "")(values[0])
    return False
