"""What was counted before the system: a CSV of whole numbers, checked row by row (contract §7, docs/figures.md)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from connector.errors import Refused
from connector.figures.facts import SEXES, TOTAL, UNITS

COLUMNS = ("period_start", "period_end", "branch", "service", "unit", "sex", "age_group", "count")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file; *line* is its number there, the header being line 1."""

    line: int
    start: date
    end: date
    branch: str
    service: str
    unit: str
    sex: str
    age_group: str
    count: int

    @property
    def table(self) -> tuple[str, str, str]:
        return self.branch, self.service, self.unit

    @property
    def cell(self) -> tuple[str, str]:
        return self.sex, self.age_group


Period = tuple[date, date, str, str, str]


def read(path: Path) -> tuple[Row, ...]:
    """The rows of the file at *path*; raises `Refused` with the row and, for a total, the difference."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise Refused(
            "figures.baseline_unreadable", str(path), "Save it as CSV in UTF-8, where `baseline_file` says."
        ) from None
    rows = tuple(_rows(text, path))
    for together in periods(rows).values():
        _check_once(together, path)
        _check_totals(together, path)
    return rows


def periods(rows: Iterable[Row]) -> Mapping[Period, list[Row]]:
    """The rows of each table and period."""
    found: dict[Period, list[Row]] = {}
    for row in rows:
        found.setdefault((row.start, row.end, *row.table), []).append(row)
    return found


def _rows(text: str, path: Path) -> Iterator[Row]:
    reader = csv.DictReader(text.splitlines())
    absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise Refused("figures.baseline_columns", str(path), f"Columns that are missing: {', '.join(absent)}.")
    for cells in reader:
        given = {column: (cells[column] or "").strip() for column in COLUMNS}
        if any(given.values()):
            yield _row(given, reader.line_num, path)


def _row(cells: Mapping[str, str], line: int, path: Path) -> Row:
    start, end = (_day(cells, column, line, path) for column in ("period_start", "period_end"))
    if end < start:
        raise _wrong("figures.baseline_period", line, path, "The period ends before it begins.")
    if cells["sex"] not in {*SEXES, TOTAL}:
        raise _wrong("figures.baseline_sex", line, path, f"`sex` is one of {', '.join(SEXES)}, {TOTAL}.")
    if cells["unit"] not in UNITS:
        raise _wrong("figures.baseline_unit", line, path, f"`unit` is one of {', '.join(UNITS)}.")
    for column in ("branch", "service", "age_group"):
        if not cells[column]:
            raise _wrong("figures.baseline_empty", line, path, f"`{column}` is empty.")
    count = _count(cells["count"], line, path)
    return Row(
        line, start, end, cells["branch"], cells["service"], cells["unit"], cells["sex"], cells["age_group"], count
    )


def _day(cells: Mapping[str, str], column: str, line: int, path: Path) -> date:
    try:
        return date.fromisoformat(cells[column])
    except ValueError:
        raise _wrong("figures.baseline_date", line, path, f"`{column}` is written 2003-01-31.") from None


def _count(text: str, line: int, path: Path) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise _wrong("figures.baseline_count", line, path, "`count` is a whole number, 0 or more.")


def _check_once(rows: Sequence[Row], path: Path) -> None:
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.cell in seen:
            raise _wrong("figures.baseline_twice", row.line, path, f"Row {seen[row.cell]} counts the same; keep one.")
        seen[row.cell] = row.line


def _check_totals(rows: Sequence[Row], path: Path) -> None:
    """Every total against its parts: over the sexes of one age group, over the age groups of one sex, and over all."""
    counts = {row.cell: row.count for row in rows}
    for row in rows:
        for parts in parts_of(row.cell, counts):
            sum_ = sum(counts[part] for part in parts)
            if sum_ != row.count:
                raise _differs(row, sum_, path)


def parts_of(cell: tuple[str, str], cells: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The ways in which *cell* is the sum of others of *cells*: by sex, by age group, and of both for a total of all."""
    sex, age = cell
    known = list(cells)
    by_sex = [one for one in known if sex == TOTAL and one[0] != TOTAL and one[1] == age]
    by_age = [one for one in known if age == TOTAL and one[1] != TOTAL and one[0] == sex]
    yield from (parts for parts in (by_sex, by_age) if parts)
    if sex == age == TOTAL:
        inner = [one for one in known if TOTAL not in one]
        if inner:
            yield inner


def _differs(row: Row, parts: int, path: Path) -> Refused:
    difference = row.count - parts
    told = f"The total says {row.count}, its parts add up to {parts}: a difference of {abs(difference)}. " + (
        "Enter those whose sex or age nobody wrote down as not_recorded." if difference > 0 else "Mend the total."
    )
    return _wrong("figures.total_differs", row.line, path, told)


def _wrong(code: str, line: int, path: Path, advice: str) -> Refused:
    return Refused(code, f"row {line} of {path}", advice)
