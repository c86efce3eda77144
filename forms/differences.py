"""What changed between two versions of a form, and which changes would break records that were collected already.

Both sides are plain sheets, so that a form in our tables, in an .xlsx and on a server are compared alike. A record is
broken when nobody could read an answer in it any more: its question is gone or renamed, asked as something else, moved
into or out of a repeat, or the choice that was made is no longer on the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from forms.compiler import Sheet

Cells: TypeAlias = Mapping[str, str]
"""Column → text; empty cells are absent."""
Rows: TypeAlias = Mapping[str, Sequence[Cells]]
"""Sheet → its rows below the header."""

_ENDS = frozenset({"end_group", "end_repeat"})
_UNANSWERED = frozenset({"note", "begin_group", "begin_repeat", "xml-external", "csv-external"})
_LISTED = frozenset({"select_one", "select_multiple", "rank"})
_FROM_FILE = frozenset({"select_one_from_file", "select_multiple_from_file"})
_TRUE = frozenset({"yes", "true", "true()"})
_NOT_COMPARED = frozenset({"type", "name", "#note"})


@dataclass(frozen=True, order=True)
class Change:
    """One change.

    Args:
        breaks: it would break records already collected, or undo a protection: only done when somebody insists.
        code: stable, lower case: `question_removed`.
        where: the question's path, a setting or a list.
        told: what changed, in one sentence.
    """

    breaks: bool
    code: str
    where: str
    told: str

    def __str__(self) -> str:
        return f"{self.where}: {self.told} [{self.code}]"


@dataclass(frozen=True)
class _Asked:
    """A question as its records show it; *repeat* is the innermost repeat's name, *label* in the first language."""

    path: str
    kind: str
    repeat: str
    label: str
    choices: frozenset[str]
    cells: Cells


def rows_of(sheets: Mapping[str, Sheet]) -> Rows:
    """Sheets with a header as rows by column."""
    return {
        name: [
            {column: cell for column, cell in zip(sheet[0], row, strict=False) if column and cell} for row in sheet[1:]
        ]
        for name, sheet in sheets.items()
        if sheet
    }


def compare(old: Rows, new: Rows) -> list[Change]:
    """Every change from *old* to *new*, the breaking ones first."""
    before, after = _questions(old), _questions(new)
    changes = [*_gone(before, after), *_come(before, after), *_settings(old, new)]
    for name in before.keys() & after.keys():
        changes += _changed(before[name], after[name])
    changes += _texts(old, new)
    return sorted(changes, key=lambda change: (not change.breaks, change.code, change.where))


def _questions(rows: Rows) -> dict[str, _Asked]:
    """Name → question. What carries no answer is left out."""
    choices = _choices(rows)
    asked: dict[str, _Asked] = {}
    groups: list[tuple[str, str]] = []
    for cells in rows.get("survey", ()):
        kind, listed = _kind(cells.get("type", ""))
        name = cells.get("name", "")
        if kind in _ENDS:
            groups = groups[:-1]
        elif kind.startswith("begin_"):
            groups = [*groups, (kind, name)]
        elif kind and kind not in _UNANSWERED:
            path = "/".join([*(group for _, group in groups), name])
            repeat = next((group for begin, group in reversed(groups) if begin == "begin_repeat"), "")
            full = f"{kind} {listed}" if kind in _FROM_FILE else kind
            names = choices.get(listed, frozenset()) if kind in _LISTED else frozenset()
            asked[name] = _Asked(path, full, repeat, _label(cells), names, cells)
    return asked


def _kind(text: str) -> tuple[str, str]:
    """(`select_one`, `sex`) of `select_one sex`; `begin group` and `begin_group` are the same."""
    first, _, rest = text.strip().partition(" ")
    if first in ("begin", "end"):
        return f"{first}_{rest.strip()}", ""
    return first, rest.strip().partition(" ")[0]


def _label(cells: Cells) -> str:
    return next((cell for column, cell in cells.items() if column.partition("::")[0] == "label"), "")


def _choices(rows: Rows) -> dict[str, frozenset[str]]:
    lists: dict[str, set[str]] = {}
    for cells in rows.get("choices", ()):
        lists.setdefault(cells.get("list_name", ""), set()).add(cells.get("name", ""))
    return {name: frozenset(names) for name, names in lists.items()}


def _gone(before: Mapping[str, _Asked], after: Mapping[str, _Asked]) -> Iterator[Change]:
    """Questions that are asked no more; one with the same label under a new name was renamed."""
    fresh = {asked.label: name for name, asked in after.items() if name not in before and asked.label}
    for name, asked in before.items():
        if name in after:
            continue
        renamed = fresh.get(asked.label)
        if renamed:
            told = f"the question is called {renamed} now; records keep the old name, and nobody would find the answer."
            yield Change(True, "question_renamed", asked.path, told)
        else:
            yield Change(True, "question_removed", asked.path, "the question is gone; answers to it could not be read.")


def _come(before: Mapping[str, _Asked], after: Mapping[str, _Asked]) -> Iterator[Change]:
    for name, asked in after.items():
        if name not in before:
            yield Change(False, "question_added", asked.path, f"a new question ({asked.kind}).")


def _changed(old: _Asked, new: _Asked) -> Iterator[Change]:
    if old.kind != new.kind:
        yield Change(True, "type_changed", new.path, f"it was {old.kind} and is {new.kind} now.")
    elif old.choices - new.choices:
        names = ", ".join(sorted(old.choices - new.choices))
        yield Change(True, "choices_narrowed", new.path, f"these choices are gone: {names}.")
    if new.choices - old.choices and old.kind == new.kind:
        yield Change(False, "choices_added", new.path, f"new choices: {', '.join(sorted(new.choices - old.choices))}.")
    if old.repeat != new.repeat:
        told = f"it stood {_in(old.repeat)} and stands {_in(new.repeat)} now."
        yield Change(True, "repeat_changed", new.path, told)
    elif old.path != new.path:
        yield Change(False, "question_moved", new.path, f"it was {old.path}; answers are found by name.")


def _in(repeat: str) -> str:
    return f"in the repeat {repeat}" if repeat else "in no repeat"


def _settings(old: Rows, new: Rows) -> Iterator[Change]:
    before, after = _first(old.get("settings", ())), _first(new.get("settings", ()))
    had, has = before.get("public_key", ""), after.get("public_key", "")
    if had and not has:
        told = "devices would stop encrypting what they send; publish with --encrypt KEY.pem as before."
        yield Change(True, "encryption_removed", "settings", told)
    elif has and not had:
        told = "devices encrypt what they send from now on; earlier records stay readable."
        yield Change(False, "encryption_added", "settings", told)
    elif had != has:
        told = "another key: new records open with the new private key alone, earlier ones with the old."
        yield Change(False, "key_changed", "settings", told)
    if before.get("version", "") != after.get("version", ""):
        told = f"version {before.get('version') or 'none'} becomes {after.get('version') or 'none'}."
        yield Change(False, "version", "settings", told)


def _first(rows: Sequence[Cells]) -> Cells:
    return rows[0] if rows else {}


def _texts(old: Rows, new: Rows) -> Iterator[Change]:
    """Cells of rows that stand on both sides: wording by column, and how many rows it concerns."""
    before, after = _by_name(old), _by_name(new)
    touched: dict[str, list[str]] = {}
    for name in after.keys() & before.keys():
        for column in sorted((before[name].keys() | after[name].keys()) - _NOT_COMPARED):
            if _plain(column, before[name].get(column, "")) != _plain(column, after[name].get(column, "")):
                touched.setdefault(column, []).append(name)
    for column, names in sorted(touched.items()):
        shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")  # noqa: PLR2004 (three fit a line)
        yield Change(False, "cells_changed", column, f"{len(names)} changed: {shown}.")


def _by_name(rows: Rows) -> dict[str, Cells]:
    return {cells["name"]: cells for cells in rows.get("survey", ()) if cells.get("name")}


def _plain(column: str, cell: str) -> str:
    return "yes" if column in ("required", "read_only") and cell.lower() in _TRUE else cell.strip()
