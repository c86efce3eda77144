"""The `q` of lists: `asset_type:survey AND (name__icontains:"tracing" OR NOT uid:abc)` over JSON rows.

A field is a path with `__`, its last step may be a comparison. A bare word is looked for in the name. An unquoted value
with a colon in it, a date for one, matches nothing: dates have to be quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

Row: TypeAlias = Mapping[str, object]
Predicate: TypeAlias = Callable[[Row], bool]

SHORTEST_WORD = 3
_TOKEN = re.compile(r'\(|\)|\b(?:AND|OR|NOT)\b|[\w.-]+:"[^"]*"|"[^"]*"|[^\s()]+')
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda value, wanted: value == wanted,
    "iexact": lambda value, wanted: value.lower() == wanted.lower(),
    "contains": lambda value, wanted: wanted in value,
    "icontains": lambda value, wanted: wanted.lower() in value.lower(),
    "startswith": lambda value, wanted: value.startswith(wanted),
    "in": lambda value, wanted: value in wanted.split(","),
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
}


class QueryTooShort(ValueError):
    """A word of fewer than three letters was looked for."""


def compiled(text: str) -> Predicate:
    """The query as a predicate; an empty one matches everything.

    Raises:
        QueryTooShort: a bare word is too short.
    """
    tokens = _TOKEN.findall(text)
    if not tokens:
        return lambda _: True
    predicate, rest = _either(tokens)
    return predicate if not rest else (lambda _: False)


def _either(tokens: list[str]) -> tuple[Predicate, list[str]]:
    first, rest = _both(tokens)
    if rest[:1] != ["OR"]:
        return first, rest
    second, rest = _either(rest[1:])
    return (lambda row: first(row) or second(row)), rest


def _both(tokens: list[str]) -> tuple[Predicate, list[str]]:
    first, rest = _one(tokens)
    if not rest or rest[0] in ("OR", ")"):
        return first, rest
    second, rest = _both(rest[1:] if rest[0] == "AND" else rest)
    return (lambda row: first(row) and second(row)), rest


def _one(tokens: list[str]) -> tuple[Predicate, list[str]]:
    if not tokens:
        return (lambda _: False), []
    token, rest = tokens[0], tokens[1:]
    if token == "NOT":  # noqa: S105 - a word of the query
        inner, rest = _one(rest)
        return (lambda row: not inner(row)), rest
    if token == "(":  # noqa: S105 - a mark of the query
        inner, rest = _either(rest)
        return inner, rest[1:]
    return _term(token), rest


def _term(token: str) -> Predicate:
    name, colon, value = token.partition(":")
    if not colon or token.startswith('"'):
        word = token.strip('"')
        if len(word) < SHORTEST_WORD:
            raise QueryTooShort(word)
        return lambda row: word.lower() in str(row.get("name", "")).lower()
    quoted = value.startswith('"')
    if ":" in value and not quoted:
        return lambda _: False
    wanted = value.strip('"')
    *path, last = name.split("__")
    compare = _COMPARISONS.get(last)
    if compare is None or not path:
        path, compare = [*path, last], _COMPARISONS["exact"]
    return lambda row: (found := _found(row, path)) is not None and compare(found, wanted)


def _found(row: Row, path: list[str]) -> str | None:
    """The value at *path* as text; a key may itself contain `__`."""
    whole = row.get("__".join(path))
    if whole is not None:
        return str(whole)
    value: object = row
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return None if value is None else str(value)
