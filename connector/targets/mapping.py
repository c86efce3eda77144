"""Which field of a record goes where in a target: a TOML file that an admin can read and change.

    [values.sex]                       # our code = theirs; a code that is not here is not sent
    male = "male"

    [tracing_request]                  # the kind of record
    to = "tracing_requests"            # where at the target
    [tracing_request.fields]           # theirs = ours
    relation_name = "enquirer.name.full"
    relation_sex = { from = "enquirer.sex", values = "sex" }
    relation_date_of_birth = { from = "enquirer.birth", as = "day" }

    [[tracing_request.rows]]           # one row for each entry of a repeat
    to = "tracing_request_subform_section"
    from = "sought"
    [tracing_request.rows.fields]
    name = "name.full"

    [tracing_request.progress]         # the way back: what their record says of the case
    from = "status"
    values = "case_state"              # their code = open, action_needed, call_office or closed

`from` is JMESPath (jmespath.org) over the fields of a record, those of `silah schema`; that of `progress` over the
target's own record. A file is checked against the former before anything is sent: an unknown field is an error with
file and line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID, uuid5

import jmespath
from jmespath.exceptions import JMESPathError

from connector.errors import Misconfigured
from connector.model import JSON, CaseState
from connector.targets.wording import iso_days
from connector.transforms.record import Part, Photo, Record, SaidDate, fields_of
from connector.transforms.registry import RECORDS

_ELSE = "*"
_MOST_ROWS = 200  # of one repeat, that are told from rows of others
_RULE_KEYS = frozenset({"from", "as", "values", "optional"})
_ROW_KEYS = frozenset({"to", "from", "fields"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One field of the target. *optional*: it is a gain where the target has it, and no fault where it has not; *kind* is
    its `as`, *place* its file and line."""

    to: str
    expression: jmespath.parser.ParsedResult
    turn: Callable[[JSON, date], JSON]
    values: Mapping[str, JSON] | None
    optional: bool
    kind: str
    place: str

    def of(self, fields: Mapping[str, JSON], on: date) -> JSON:
        """What the target gets; None for nothing. *on* is the day on which ages are reckoned."""
        value = self.turn(cast("JSON", self.expression.search(fields)), on)
        return value if self.values is None else _translated(value, self.values)

    def blank(self) -> JSON:
        """What stands there when nothing is held: ticks are never null."""
        return False if self.turn is _tick else None


@dataclass(frozen=True, slots=True)
class Rows:
    """A repeat of ours, or a single part, as rows of the target. *source* is its `from`; several may go *to* one place."""

    to: str
    source: str
    expression: jmespath.parser.ParsedResult
    rules: tuple[Rule, ...]

    def of(self, fields: Mapping[str, JSON], on: date) -> list[dict[str, JSON]]:
        """A row for each entry, in order; what has no value is None."""
        found = self.expression.search(fields) or []
        entries = [found] if isinstance(found, Mapping) else found
        return [{rule.to: rule.of(entry, on) for rule in self.rules} for entry in entries]

    def blank(self) -> dict[str, JSON]:
        """A row with nothing in it."""
        return {rule.to: rule.blank() for rule in self.rules}

    def key(self, record_id: str, number: int) -> str:
        """A row's own id, the same for ever: uuid of the record, of where it comes from and of its place there."""
        return str(uuid5(UUID(record_id), f"{self.to}/{self.source}/{number}"))

    def keys(self, record_id: str) -> frozenset[str]:
        """Every id that a row of this record ever had."""
        return frozenset(self.key(record_id, number) for number in range(_MOST_ROWS))


@dataclass(frozen=True, slots=True)
class Way:
    """How the target's own record becomes one of the four states of a case."""

    expression: jmespath.parser.ParsedResult
    values: Mapping[str, CaseState]

    def of(self, held: JSON) -> CaseState | None:
        """The state; None where the target's word has none."""
        said = self.expression.search(held)
        return None if said is None else self.values.get(str(said), self.values.get(_ELSE))


@dataclass(frozen=True, slots=True)
class KindMapping:
    """What becomes of one kind of record. *settings* are further keys of its table, for the type of target; *progress*
    is the way back, if there is one."""

    kind: str
    to: str
    rules: tuple[Rule, ...]
    rows: tuple[Rows, ...]
    settings: Mapping[str, JSON]
    progress: Way | None = None

    def of(self, fields: Mapping[str, JSON], on: date) -> dict[str, JSON]:
        """The record's own fields; what has no value is None."""
        return {rule.to: rule.of(fields, on) for rule in self.rules}

    def blank(self) -> dict[str, JSON]:
        """The record's own fields with nothing in them."""
        return {rule.to: rule.blank() for rule in self.rules}


def read_mapping(path: Path, kinds: Iterable[str], settings: frozenset[str] = frozenset()) -> Mapping[str, KindMapping]:
    """The mapping of each of *kinds* in the file *path*, which is checked whole; *settings* are the further keys that a
    kind's table may have.

    Raises:
        Misconfigured: `mapping.…`, with file, line and what to mend.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        raise Misconfigured(
            "mapping.no_file", str(path), "Mend `mapping`, or leave it out for the one we ship."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured("mapping.not_toml", f"{path}: {error}", "Mend the line that is named.") from None
    reader = _Reader(path, text, tables, settings)
    read = {kind: reader.kind(kind) for kind in tables if kind != "values"}
    for kind in kinds:
        if kind not in read:
            raise Misconfigured(
                "mapping.kind_missing", f"[{kind}] in {path}", "Write it, or take the kind out of `accepts`."
            )
    return {kind: read[kind] for kind in kinds}


class _Reader:
    """One file, with the lines its keys stand on."""

    def __init__(self, path: Path, text: str, tables: Mapping[str, Any], settings: frozenset[str]) -> None:
        self._path, self._lines, self._tables, self._settings = path, text.splitlines(), tables, settings
        self._begins = 0  # the line after which the table that is being read begins

    def kind(self, kind: str) -> KindMapping:
        if kind not in RECORDS:
            raise self._fault("mapping.unknown_kind", kind, f"Known kinds: {', '.join(sorted(RECORDS))}.")
        self._begins = self._line(kind)
        table = self._table(self._tables[kind], kind)
        for key in set(table) - {"to", "fields", "rows", "progress"} - self._settings:
            raise self._fault("mapping.unknown_key", key, "Remove the key or mend its spelling.")
        rules = self._rules(self._table(table.get("fields", {}), "fields"), RECORDS[kind])
        rows = tuple(self._rows(one, RECORDS[kind]) for one in table.get("rows", ()))
        extra = {key: table[key] for key in self._settings if key in table}
        return KindMapping(kind, str(table.get("to", "")), rules, rows, extra, self._way(table.get("progress")))

    def _way(self, given: object) -> Way | None:
        if given is None:
            return None
        self._begins = self._line("progress")
        table = self._table(given, "progress")
        if set(table) != {"from", "values"}:
            raise self._fault("mapping.bad_rule", "progress", "The way back has `from` and `values`, and nothing else.")
        values = self._values("progress", table["values"]) or {}
        strange = [theirs for theirs, ours in values.items() if str(ours) not in set(CaseState)]
        if strange:
            raise self._fault("mapping.unknown_state", strange[0], f"A case is one of: {', '.join(CaseState)}.")
        try:
            expression = jmespath.compile(str(table["from"]))
        except JMESPathError:
            raise self._fault(
                "mapping.not_jmespath", "progress", "Mend the expression; jmespath.org explains the language."
            ) from None
        return Way(expression, {theirs: CaseState(str(ours)) for theirs, ours in values.items()})

    def _rows(self, given: object, model: type[Record]) -> Rows:
        self._begins = self._line("rows")
        table = self._table(given, "rows")
        if set(table) != _ROW_KEYS:
            raise self._fault("mapping.bad_rows", "rows", "Rows have `to`, `from` and `fields`, and nothing else.")
        source, to = str(table["from"]), str(table["to"])
        expression, inside = self._expression(to, source, model)
        if not (isinstance(inside, type) and issubclass(inside, Part)):
            raise self._fault(
                "mapping.not_a_repeat", source, "`from` of rows is a repeat or a part of the record, such as `sought`."
            )
        return Rows(to, source, expression, self._rules(self._table(table["fields"], "fields"), inside))

    def _rules(self, table: Mapping[str, Any], model: type[Part]) -> tuple[Rule, ...]:
        return tuple(
            self._rule(to, {"from": given} if isinstance(given, str) else given, model) for to, given in table.items()
        )

    def _rule(self, to: str, given: object, model: type[Part]) -> Rule:
        table = self._table(given, to)
        if "from" not in table or set(table) - _RULE_KEYS:
            raise self._fault("mapping.bad_rule", to, "A field has `from`, and may have `as`, `values`, `optional`.")
        turn = str(table.get("as", "plain"))
        if turn not in TURNS:
            raise self._fault("mapping.unknown_as", to, f"Known: {', '.join(TURNS)}.")
        expression, _ = self._expression(to, str(table["from"]), model)
        values, optional = self._values(to, table.get("values")), bool(table.get("optional", False))
        place = f"{self._path}, line {self._line(to)}"
        return Rule(to, expression, TURNS[turn], values, optional, turn, place)

    def _values(self, to: str, name: object) -> Mapping[str, JSON] | None:
        if name is None:
            return None
        lists = self._table(self._tables.get("values", {}), "values")
        if name not in lists:
            raise self._fault("mapping.unknown_values", to, f"Write the table [values.{name}].")
        return cast("Mapping[str, JSON]", self._table(lists[str(name)], str(name)))

    def _expression(self, to: str, source: str, model: type[Part]) -> tuple[jmespath.parser.ParsedResult, object]:
        try:
            compiled = jmespath.compile(source)
            return compiled, _scope(compiled.parsed, model)
        except JMESPathError:
            raise self._fault(
                "mapping.not_jmespath", to, "Mend the expression; jmespath.org explains the language."
            ) from None
        except _UnknownField as error:
            advice = f"The record has no field {error.args[0]!r} there; `silah schema` lists them."
            raise self._fault("mapping.unknown_field", to, advice) from None

    def _table(self, value: object, key: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._fault("mapping.not_a_table", key, "Write it as a table.")
        return value

    def _fault(self, code: str, key: str, advice: str) -> Misconfigured:
        return Misconfigured(code, f"`{key}` in {self._path}, line {self._line(key)}", advice)

    def _line(self, key: str) -> int:
        """Where *key* stands in the table that is being read: as a table's or field's name, else as a value."""
        name = re.escape(key)
        said = re.compile(rf"^\s*(\[+[^\]]*\b)?[\"']?{name}\b|=\s*[\"']{name}\b")
        numbered = list(enumerate(self._lines, 1))
        return next((number for number, line in [*numbered[self._begins :], *numbered] if said.search(line)), 1)


class _UnknownField(Exception):
    """A field that the record has not."""


class _Plain:
    """A value that has no fields."""


_ANYTHING: Final = object()  # what an expression made: nothing is known of its inside
_Scope = object
_Node = Mapping[str, Any]
_CHAINS = frozenset({"subexpression", "pipe", "projection", "index_expression", "value_projection"})


def _scope(node: _Node, scope: _Scope) -> _Scope:
    """Walks a parsed expression over the models of a record; raises `_UnknownField` where it leaves them."""
    kind, children = node["type"], cast("Sequence[_Node]", node["children"])
    if kind == "field":
        return _field(scope, node["value"])
    if kind in _CHAINS:
        for child in children:
            scope = _scope(child, scope)
        return scope
    if kind == "filter_projection":
        entries = _scope(children[0], scope)
        _scope(children[2], entries)
        return _scope(children[1], entries)
    if kind in {"identity", "current", "index", "slice"}:
        return scope
    inner = [_scope(child, scope) for child in children]
    return inner[0] if kind == "flatten" else _ANYTHING


def _field(scope: _Scope, name: str) -> _Scope:
    if scope is _ANYTHING:
        return _ANYTHING
    if not (isinstance(scope, type) and issubclass(scope, Part)) or scope is Photo:
        raise _UnknownField(name)
    if scope is SaidDate:
        if name not in SaidDate.model_fields:
            raise _UnknownField(name)
        return _Plain
    found = next((one for one in fields_of(scope) if one.name == name), None)
    if found is None:
        raise _UnknownField(name)
    return found.model or _Plain


def _translated(value: JSON, values: Mapping[str, JSON]) -> JSON:
    """Their code for ours; a list keeps those that have one."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        made = [_translated(one, values) for one in value]
        return list(dict.fromkeys(str(one) for one in made if one is not None)) or None
    return None if value is None else values.get(str(value), values.get(_ELSE))


def _whole_years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _day(value: JSON, _on: date) -> JSON:
    """A date that is one day; a month, a year or an age is none, and is never made one."""
    if isinstance(value, Mapping):
        first = value.get("earliest")
        return first if first is not None and first == value.get("latest") else None
    return str(value)[:10] if value else None


def _age(value: JSON, on: date) -> JSON:
    """The age that was said, else the one that all days of the interval give; None when they differ."""
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("age"), int):
        return value["age"]
    first, last = value.get("earliest"), value.get("latest")
    if first is None or last is None or on == date.min:
        return None
    ages = {_whole_years(date.fromisoformat(str(one)), on) for one in (first, last)}
    return ages.pop() if len(ages) == 1 else None


def _days(value: JSON, _on: date) -> JSON:
    return iso_days(value) or None if isinstance(value, Mapping) else value


def _moment(value: JSON, _on: date) -> JSON:
    """A time in UTC as `2026-11-21 20:00:00`."""
    if not isinstance(value, str):
        return None
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _lines(value: JSON, _on: date) -> JSON:
    """Several things as lines of one note: `name: value`."""
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {text}" for name, text in _told(value)) or None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(str(_lines(one, _on)) for one in value) or None
    return value


def _told(value: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            text = iso_days(inner) if "earliest" in inner else ", ".join(text for _, text in _told(inner))
        elif isinstance(inner, Sequence) and not isinstance(inner, str):
            text = ", ".join(str(one) for one in inner if one is not None)
        else:
            text = "" if inner is None else str(inner)
        if text:
            yield name, text


def _tick(value: JSON, _on: date) -> JSON:
    return isinstance(value, str | bool) and value in {True, "yes"}


def _list(value: JSON, _on: date) -> JSON:
    return (
        None
        if value is None
        else list(value)
        if isinstance(value, Sequence) and not isinstance(value, str)
        else [value]
    )


TURNS: Final[Mapping[str, Callable[[JSON, date], JSON]]] = {
    "plain": lambda value, _on: value,
    "text": lambda value, _on: str(value) if value not in {None, ""} else None,
    "day": _day,
    "days": _days,
    "age": _age,
    "moment": _moment,
    "tick": _tick,
    "list": _list,
    "lines": _lines,
}
"""What `as` can make of a value."""
