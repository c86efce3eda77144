"""The part of OData's `$filter` and `$orderby` that ODK Central understands, over submissions. Pure.

    __system/submissionDate ge 2026-11-21T21:13:30.210Z or __system/deletedAt ne null

Fields are the id, the submitter, the review and the three times; a comparison with a time that is not there is never
true, but with `eq` and `ne`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from connector.sandbox.central_store import Submission

Value: TypeAlias = "datetime | str | int | float | None"
Test: TypeAlias = Callable[[Submission], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_$][\w$]*(?:/[\w]+)*)|(?P<text>'(?:[^']|'')*')|(?P<literal>[-\d][^\s()]*)|(?P<sign>[()]))"
)
_COMPARE: Mapping[str, Callable[..., object]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip
_PARTS = frozenset({"year", "month", "day", "hour", "minute", "second"})
FIELDS: Mapping[str, Callable[[Submission], Value]] = {
    "__id": lambda row: row.id,
    "__system/submissionDate": lambda row: row.created,
    "__system/updatedAt": lambda row: row.updated,
    "__system/deletedAt": lambda row: row.deleted,
    "__system/reviewState": lambda row: row.state,
    "__system/submitterId": lambda row: row.first.actor.id if row.first.actor else None,
}


class Unparsable(ValueError):
    """The text is no filter; *at* is where it stops being one."""

    def __init__(self, at: int) -> None:
        super().__init__(f"Unexpected character at {at}")
        self.at = at


class UnknownField(ValueError):
    """A field that cannot be filtered by, and where it stands."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.text = text
        self.at = at


class ServerFault(Exception):
    """What the real server fails over as well: `now()`."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int
    end: int


@dataclass(frozen=True)
class Filter:
    """A test of submissions; *sees_deleted* when it asks about deletion itself."""

    test: Test
    sees_deleted: bool

    def keeps(self, row: Submission) -> bool:
        """Whether the list shows *row*."""
        return (self.sees_deleted or row.deleted is None) and self.test(row)


ALL = Filter(lambda _: True, sees_deleted=False)


def read_filter(text: str | None, root: str = "") -> Filter:
    """The filter that *text* writes.

    Args:
        root: what stands before every field, `$root/Submissions/` in the table of a repeat.

    Raises:
        Unparsable, UnknownField, ServerFault
    """
    if not text:
        return ALL
    return Filter(_Parser(text, root).whole(), f"{root}__system/deletedAt" in text)


def ordered(rows: Iterable[Submission], text: str) -> list[Submission]:
    """*rows* by `field [asc|desc]`, several with commas between; rows without a value come first when ascending.

    Raises:
        UnknownField
    """
    keys = [part.split() for part in text.split(",")]
    first_descends = len(keys[0]) > 1 and keys[0][1].lower() == "desc"
    out = sorted(rows, key=lambda row: row.number, reverse=first_descends)
    for name, *direction in reversed(keys):
        if name not in FIELDS:
            raise UnknownField(name, 0)
        out.sort(key=lambda row: _sortable(FIELDS[name](row)), reverse=direction[:1] == ["desc"])
    return out


def _sortable(value: Value) -> tuple[bool, str]:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return value is not None, text


class _Parser:
    """or < and < not < comparison, from left to right."""

    def __init__(self, text: str, root: str) -> None:
        self._root = root
        self._tokens = list(_tokens(text))
        self._next = 0

    def whole(self) -> Test:
        test = self._any()
        if self._peek():
            raise Unparsable(self._at())
        return test

    def _any(self) -> Test:
        tests = [self._every()]
        while self._take("or"):
            tests.append(self._every())
        return lambda row: any(test(row) for test in tests)

    def _every(self) -> Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self._take("not"):
            test = self._one()
            return lambda row: not test(row)
        if self._take("("):
            inner = self._any()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        left = self._operand()
        word = self._peek()
        if word is None or word.text not in _COMPARE:
            raise Unparsable(self._at())
        self._next += 1
        right = self._operand()
        compare = _COMPARE[word.text]
        by_equality = word.text in {"eq", "ne"}
        return lambda row: _holds(compare, left(row), right(row), by_equality=by_equality)

    def _operand(self) -> Callable[[Submission], Value]:
        token = self._peek()
        if token is None:
            raise Unparsable(self._at())
        self._next += 1
        if token.kind != "word":
            return _literal(token)
        if token.text == "null":
            return lambda _: None
        if self._take("("):
            return self._call(token.text)
        name = token.text.removeprefix(self._root)
        if name not in FIELDS or not token.text.startswith(self._root):
            raise UnknownField(token.text, token.at)
        return FIELDS[name]

    def _call(self, name: str) -> Callable[[Submission], Value]:
        if name == "now":
            raise ServerFault(name)
        argument = self._operand()
        self._expect(")")
        if name not in _PARTS:
            raise Unparsable(self._at())
        return lambda row: _part(name, argument(row))

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _at(self) -> int:
        """Where the part ends that makes sense."""
        return self._tokens[self._next - 1].end if self._next else 0

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.text != text:
            return False
        self._next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise Unparsable(self._at())


def _tokens(text: str) -> Iterable[_Token]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise Unparsable(at)
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup), match.end())
        at = match.end()


def _literal(token: _Token) -> Callable[[Submission], Value]:
    text = token.text[1:-1] if token.kind == "text" else token.text
    return lambda _: text


def _holds(compare: Callable[..., object], left: Value, right: Value, *, by_equality: bool) -> bool:
    if left is None or right is None:
        return bool(compare(left, right)) if by_equality else False
    return bool(compare(*_alike(left, right)))


def _alike(left: Value, right: Value) -> tuple[Value, Value]:
    """A written value takes the kind of the one that it is compared with."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(right, str):
        return left, _as_kind(right, left)
    return (_as_kind(left, right), right) if isinstance(left, str) else (left, right)


def _as_kind(text: str, other: Value) -> Value:
    if isinstance(other, datetime):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(text)


def _part(name: str, value: Value) -> Value:
    if not isinstance(value, datetime):
        return None
    part: int = getattr(value.astimezone(UTC), name)
    return part
