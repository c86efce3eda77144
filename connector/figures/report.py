"""The report: facts and baseline in one set of tables, in which every total is the sum of its parts.

A table is one branch, service and unit; its cells are sex × age group. Where sources are divided differently (the
years before the system by sex alone, since then by age as well), the table is shown as finely as all of its sources
allow, so that nothing is counted twice and no total lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from connector.figures import baseline
from connector.figures.facts import TOTAL
from connector.figures.suppression import Cell, Counts, suppressed

Table = tuple[str, str, str]  # branch, service, unit
_Form = tuple[bool, bool]  # divided by sex, by age group
_COARSEST: _Form = (False, False)


@dataclass(frozen=True, slots=True)
class Count:
    """One row of a report; *count* is None when it is suppressed."""

    branch: str
    service: str
    unit: str
    sex: str
    age_group: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Official figures from *start* to *end*, both included. *left_out* names rows of the baseline that reach beyond."""

    start: date
    end: date
    rows: tuple[Count, ...]
    left_out: tuple[int, ...] = ()

    @property
    def suppressed(self) -> int:
        return sum(row.count is None for row in self.rows)


def compile_report(
    facts: Iterable[tuple[Table, Cell, int]], before: Sequence[baseline.Row], start: date, end: date, *, public: bool
) -> Report:
    """The figures of a period.

    Args:
        facts: what the records of the period count as, summed: (table, cell, number).
        before: the baseline; a row counts when its whole period lies within.
        public: hide small cells and whatever would give them away.
    """
    within = [row for row in before if start <= row.start and row.end <= end]
    left_out = tuple(row.line for row in before if row not in within and row.start <= end and start <= row.end)
    sources: dict[Table, list[Counts]] = {}
    for table, counts in _summed(facts).items():
        sources.setdefault(table, []).append(counts)
    for rows in baseline.periods(within).values():
        sources.setdefault(rows[0].table, []).append({row.cell: row.count for row in rows})
    tables = {table: _together(counts) for table, counts in sorted(sources.items())}
    hidden = suppressed(tables) if public else frozenset()
    rows_ = tuple(
        Count(*table, *cell, None if (table, cell) in hidden else number)
        for table, counts in tables.items()
        for cell, number in sorted(counts.items())
    )
    return Report(start, end, rows_, left_out)


def _summed(facts: Iterable[tuple[Table, Cell, int]]) -> Mapping[Table, dict[Cell, int]]:
    found: dict[Table, dict[Cell, int]] = {}
    for table, cell, number in facts:
        counts = found.setdefault(table, {})
        counts[cell] = counts.get(cell, 0) + number
    return found


def _together(sources: Sequence[Counts]) -> dict[Cell, int]:
    """The sources added up, divided in every way that one of them shows and all of them can be summed to."""
    stated = [{_form(cell) for cell in counts} for counts in sources]
    wanted = set().union(*stated)
    shown = [form for form in wanted if all(any(_finer(one, form) for one in forms) for forms in stated)]
    found: dict[Cell, int] = {}
    for form in shown or [_COARSEST]:
        for counts, forms in zip(sources, stated, strict=True):
            for cell, number in _projected(counts, forms, form).items():
                found[cell] = found.get(cell, 0) + number
    return found


def _projected(counts: Counts, forms: Iterable[_Form], form: _Form) -> dict[Cell, int]:
    """*counts* divided as *form* says: as stated, else summed from a finer division."""
    source = form if form in set(forms) else next(one for one in sorted(forms) if _finer(one, form))
    found: dict[Cell, int] = {}
    for cell, number in counts.items():
        if _form(cell) == source:
            coarse = (cell[0] if form[0] else TOTAL, cell[1] if form[1] else TOTAL)
            found[coarse] = found.get(coarse, 0) + number
    return found


def _form(cell: Cell) -> _Form:
    return cell[0] != TOTAL, cell[1] != TOTAL


def _finer(one: _Form, than: _Form) -> bool:
    return one[0] >= than[0] and one[1] >= than[1]
