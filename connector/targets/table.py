"""A record as lines of a table: one line for each entry of its first repeat, the rest of the record beside each.

All cells are text. Columns are those that the recipient may ever see, in the record's own order; a repeat inside a
line is put into one cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from connector.disclosure import Release
from connector.model import JSON, Action, Recipient
from connector.targets.wording import Language, Wording, iso_days
from connector.transforms.record import INNER, Each, fields_of, walk
from connector.transforms.registry import RECORDS
from forms.policy import policy

Line: TypeAlias = "dict[str, str]"
RECORD, LINE, VERSION, STATE, RECEIVED = FIXED = ("record", "line", "version", "state", "received")
SAID = ".said"
MOST_TEXT = 32_767
"""Characters: what a cell of a spreadsheet holds (ECMA-376 §18.3.1.4 as Excel applies it)."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a record, and the columns whose text did not fit into a cell."""

    lines: tuple[Line, ...]
    cut: tuple[str, ...] = ()


class Table:
    """The table of one *kind* of record for one class of recipients, in one language."""

    def __init__(self, kind: str, recipient: Recipient, language: Language) -> None:
        self.kind = kind
        self.words = Wording(kind, language)
        self._repeat = next((one.name for one in fields_of(RECORDS[kind]) if isinstance(one.mark, Each)), None)
        self.columns = (*FIXED, *_columns(kind, recipient, self._repeat))

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(self._heading(column) for column in self.columns)

    def lines(self, release: Release) -> Lines:
        """What *release* says, a line for each entry of the first repeat, at least one."""
        if release.action is Action.WITHDRAW:
            return Lines(())
        common = dict(self._cells(release.fields))
        entries = release.fields.get(self._repeat or "") or [{}]
        made = (
            [common | dict(self._cells({self._repeat: one})) for one in cast("Sequence[JSON]", entries)]
            if self._repeat
            else [common]
        )
        cut = sorted({column for line in made for column, text in line.items() if len(text) > MOST_TEXT})
        return Lines(
            tuple({**self._head(release, number), **_fitting(line)} for number, line in enumerate(made, 1)), tuple(cut)
        )

    def blank(self, line: Mapping[str, str], state: str, version: str) -> Line:
        """What is left of a *line* whose data are gone: its keys, its version and why."""
        return {
            RECORD: line[RECORD],
            LINE: line[LINE],
            VERSION: version,
            STATE: self.words.word(state),
            RECEIVED: line.get(RECEIVED, ""),
        }

    def _heading(self, column: str) -> str:
        if column in FIXED:
            return self.words.word(column)
        if column.endswith(SAID):
            return f"{self.words.heading(column.removesuffix(SAID))} ({self.words.word('said')})"
        return self.words.heading(column)

    def _head(self, release: Release, number: int) -> Line:
        day = release.made_at.date().isoformat()
        return {
            RECORD: release.record_id, LINE: str(number), VERSION: str(release.version), STATE: self.words.word("held"), RECEIVED: day,
        }  # fmt: skip

    def _cells(self, fields: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
        for column in self.columns[len(FIXED) :]:
            value = _at(fields, column.removesuffix(SAID).replace("[]", "").split("."))
            if value is None:
                continue
            if column.endswith(SAID):
                yield column, str(cast("Mapping[str, JSON]", value).get("said") or "")
            elif isinstance(value, Mapping):
                yield column, iso_days(value)
            else:
                yield column, self.words.shown(column, value)


def _fitting(line: Line) -> Line:
    return {column: text[:MOST_TEXT] for column, text in line.items()}


def _columns(kind: str, recipient: Recipient, repeat: str | None) -> Iterator[str]:
    """The paths of the cells: leaves that *recipient* may receive, a date as two, a repeat in a line as one."""
    rules = policy(kind)
    seen: set[str] = set()
    for path, questions in walk(RECORDS[kind]):
        allowed = all(rules.may_receive(question, recipient) for question in questions)
        if path in INNER or not questions or not allowed:
            continue
        column = _without_inner_repeat(path, repeat)
        if column in seen:
            continue
        seen.add(column)
        yield column
        if len(questions) > 1 and column == path:
            yield column + SAID


def _without_inner_repeat(path: str, repeat: str | None) -> str:
    """`sought[].name.aliases[].text` is in the cell `sought[].name.aliases`."""
    head, mark, rest = path.partition(f"{repeat}[].") if repeat else ("", "", path)
    if head or not mark:
        head, mark, rest = "", "", path
    return mark + rest.partition("[]")[0]


def _at(value: JSON, names: Sequence[str]) -> JSON:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
