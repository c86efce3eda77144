"""Reads the expressions of a form as far as a check of its tables needs it: references, literals, column names."""

from __future__ import annotations

import re
from collections.abc import Iterator

SELF = "."
"""The question itself, in a constraint."""

_REFERENCE = re.compile(r"\$\{\s*([^}\s]*)\s*\}")
_LITERAL = r"(?:'([^']*)'|\"([^\"]*)\")"
_OPERAND = r"(?:\$\{\s*([^}\s]*)\s*\}|(?<![\w.)\]/])(\.)(?![\w./]))"
_COMPARED = (
    re.compile(rf"{_OPERAND}\s*!?=\s*{_LITERAL}"),
    re.compile(rf"selected\(\s*{_OPERAND}\s*,\s*{_LITERAL}\s*\)"),
)
_COMPARED_BACKWARDS = re.compile(rf"{_LITERAL}\s*!?=\s*{_OPERAND}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_BARE_NAME = re.compile(r"(?<![\w/.:@-])([A-Za-z_][\w.-]*)(?![\w.:-]*[(/])(?![\w-])")
_OPERATORS = frozenset({"and", "or", "div", "mod"})
_PULLDATA = re.compile(rf"pulldata\(\s*{_LITERAL}\s*,\s*{_LITERAL}\s*,\s*{_LITERAL}")
_INSTANCE = re.compile(rf"instance\(\s*{_LITERAL}\s*\)")


def references(text: str) -> list[str]:
    """Names in `${…}`, in the order they stand."""
    return _REFERENCE.findall(text)


def compared_literals(expression: str) -> Iterator[tuple[str, str]]:
    """(question, literal) of every `${q} = 'x'`, `'x' != ${q}` and `selected(${q}, 'x')`; `SELF` for the question itself."""
    for pattern in _COMPARED:
        for name, self_, single, double in pattern.findall(expression):
            yield name or self_, single or double
    for single, double, name, self_ in _COMPARED_BACKWARDS.findall(expression):
        yield name or self_, single or double


def column_names(choice_filter: str) -> list[str]:
    """Columns of the choice list that a choice_filter names."""
    bare = _REFERENCE.sub(" 0 ", _QUOTED.sub(" 0 ", choice_filter))
    return [name for name in _BARE_NAME.findall(bare) if name not in _OPERATORS]


def pulldata_columns(expression: str) -> Iterator[tuple[str, str]]:
    """(file stem, column) of every column that a pulldata() reads or looks up by."""
    for found in _PULLDATA.findall(expression):
        stem, wanted, key = (found[place] or found[place + 1] for place in (0, 2, 4))
        yield stem, wanted
        yield stem, key


def instances(expression: str) -> list[str]:
    """Ids in `instance('…')`."""
    return [single or double for single, double in _INSTANCE.findall(expression)]
