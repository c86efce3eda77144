"""Small cells: what may be published without telling of single people.

Cells of 1 to 4 are hidden, and then as many more as it takes: a hidden cell stays hidden only if, by everything that
is shown (each total is the sum of its parts, no number is below 0), it could as well have another value. That is
proven cell by cell with a second table that fits what is shown; where none is found, the cheapest further cell is
hidden and the proof begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import lcm

from connector.figures.baseline import parts_of
from connector.figures.facts import BENEFICIARY, SERVICES

Cell = tuple[str, str]  # sex, age group
Counts = Mapping[Cell, int]
Table = tuple[str, str, str]  # branch, service, unit
Place = tuple[Table, Cell]
_Equation = tuple[Place, tuple[Place, ...]]  # a total and its parts

SMALLEST_SHOWN = 5


def suppressed(tables: Mapping[Table, Counts]) -> frozenset[Place]:
    """The places that must not be shown. A table without a small cell loses nothing by its own account."""
    hidden: set[Place] = set()
    for group in _groups(tables):
        hidden |= _System({table: tables[table] for table in group}).hidden()
    return frozenset(hidden)


def _groups(tables: Mapping[Table, Counts]) -> list[tuple[Table, ...]]:
    """Tables that tell of each other: in a branch with one service, its people are the people of all services; and the
    people of all services are those of all situations."""
    together = [group for table in tables if len(group := _same_people(table, tables)) > 1]
    paired = {table for group in together for table in group}
    return [*together, *((table,) for table in tables if table not in paired)]


def _same_people(table: Table, tables: Iterable[Table]) -> tuple[Table, ...]:
    """The table of all services, the one of its only service if it has but one, and those of the situations."""
    branch, service, unit = table
    if service != SERVICES or unit != "people":
        return (table,)
    beside = [one for one in tables if one[0] == branch and one[2] == unit]
    each = [one for one in beside if one[1].startswith(f"{SERVICES}.")]
    situations = [one for one in beside if one[1].startswith(f"{BENEFICIARY}.")]
    return (table, *(each if len(each) == 1 else ()), *situations)


class _System:
    """Cells of tables that belong together, and the sums that hold between them."""

    def __init__(self, tables: Mapping[Table, Counts]) -> None:
        self._counts = {(table, cell): number for table, counts in tables.items() for cell, number in counts.items()}
        self._equations = [one for table, counts in tables.items() for one in _sums(table, counts)]
        first, *others = tables
        situations = [one for one in others if one[1].startswith(f"{BENEFICIARY}.")]
        for other in (one for one in others if one not in situations):
            same = [cell for cell in tables[first] if cell in tables[other]]
            self._equations += [((first, cell), ((other, cell),)) for cell in same]
        for cell, number in tables[first].items() if situations else ():
            parts = tuple((one, cell) for one in situations if cell in tables[one])
            if number == sum(self._counts[part] for part in parts):
                self._equations.append(((first, cell), parts))

    def hidden(self) -> set[Place]:
        hidden = {place for place, number in self._counts.items() if 0 < number < SMALLEST_SHOWN}
        while hidden and (bare := self._given_away(hidden)) is not None:
            more = self._cheapest(bare, hidden)
            if more is None:
                return set(self._counts)
            hidden.add(more)
        return hidden

    def _cheapest(self, bare: Place, hidden: set[Place]) -> Place | None:
        """The smallest shown cell in a sum with *bare*; a zero and a total only when nothing else is left."""
        near = {place for places in self._lines() if bare in places for place in places} - hidden
        anywhere = set(self._counts) - hidden
        totals = {total for total, _ in self._equations}
        return min(
            near or anywhere,
            key=lambda place: (place in totals, self._counts[place] == 0, self._counts[place], place),
            default=None,
        )

    def _lines(self) -> list[set[Place]]:
        return [{total, *parts} for total, parts in self._equations]

    def _given_away(self, hidden: set[Place]) -> Place | None:
        """A hidden cell of which no other value is known to fit; None when each could have another."""
        places = sorted(hidden)
        safe: set[Place] = set()
        changes = _changes(places, self._equations)
        for change in _with_sums(changes):
            if len(safe) == len(places):
                break
            if self._fits(change, 1) or self._fits(change, -1):
                safe |= set(change)
        return next((place for place in places if place not in safe), None)

    def _fits(self, change: Mapping[Place, int], sign: int) -> bool:
        """Whether no number falls below 0."""
        return all(self._counts[place] + sign * amount >= 0 for place, amount in change.items())


def _sums(table: Table, counts: Counts) -> list[_Equation]:
    return [
        ((table, cell), tuple((table, part) for part in parts)) for cell in counts for parts in parts_of(cell, counts)
    ]


def _with_sums(changes: Sequence[Mapping[Place, int]]) -> Iterable[Mapping[Place, int]]:
    """The changes, and the sums and differences of two of them."""
    yield from changes
    for one, other in combinations(changes, 2):
        for sign in (1, -1):
            both = {place: one.get(place, 0) + sign * other.get(place, 0) for place in {*one, *other}}
            yield {place: amount for place, amount in both.items() if amount}


def _changes(places: Sequence[Place], equations: Sequence[_Equation]) -> list[dict[Place, int]]:
    """Whole-number changes of the hidden *places* that leave every sum as it is: a basis of all of them."""
    index = {place: number for number, place in enumerate(places)}
    rows = []
    for total, parts in equations:
        row = [Fraction(0)] * len(places)
        for place, amount in ((total, -1), *((part, 1) for part in parts)):
            if place in index:
                row[index[place]] += amount
        rows.append(row)
    pivots = _reduce(rows)
    free = [column for column in range(len(places)) if column not in pivots]
    return [_change(column, rows, pivots, places) for column in free]


def _reduce(rows: list[list[Fraction]]) -> dict[int, int]:
    """Brings *rows* to reduced echelon form in place; pivot column -> its row."""
    pivots: dict[int, int] = {}
    for column in range(len(rows[0]) if rows else 0):
        top = len(pivots)
        found = next((number for number in range(top, len(rows)) if rows[number][column]), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [value / rows[top][column] for value in rows[top]]
        for number, row in enumerate(rows):
            if number != top and row[column]:
                rows[number] = [value - row[column] * above for value, above in zip(row, rows[top], strict=True)]
        pivots[column] = top
    return pivots


def _change(
    free: int, rows: Sequence[Sequence[Fraction]], pivots: Mapping[int, int], places: Sequence[Place]
) -> dict[Place, int]:
    amounts = {free: Fraction(1), **{column: -rows[row][free] for column, row in pivots.items()}}
    scale = lcm(*(amount.denominator for amount in amounts.values()))
    return {places[column]: int(amount * scale) for column, amount in amounts.items() if amount}
