"""What is hidden cannot be computed from what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.figures.suppression import Cell, suppressed

TABLE = ("101", "contact.participants", "participations")
SEXES, AGES = ("female", "male"), ("0-17", "18+")


def with_totals(cells: Mapping[Cell, int]) -> dict[Cell, int]:
    """Every total of a table of sex × age group."""
    found = dict(cells)
    for sex in {sex for sex, _ in cells}:
        found[sex, "total"] = sum(number for cell, number in cells.items() if cell[0] == sex)
    for age in {age for _, age in cells}:
        found["total", age] = sum(number for cell, number in cells.items() if cell[1] == age)
    return {**found, ("total", "total"): sum(cells.values())}


def tables_that_fit(shown: Mapping[Cell, int], most: int) -> Iterator[dict[Cell, int]]:
    """Every table of whole numbers up to *most* that agrees with what is shown: what an attacker has to choose from."""
    cells = list(product(SEXES, AGES))
    ranges = [[shown[cell]] if cell in shown else range(most + 1) for cell in cells]
    for numbers in product(*ranges):
        table = with_totals(dict(zip(cells, numbers, strict=True)))
        if all(table[cell] == number for cell, number in shown.items()):
            yield table


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_no_hidden_cell_has_one_value_alone(numbers: list[int]) -> None:
    """By brute force: for every hidden cell there are two tables that fit what is shown and differ in it."""
    counts = with_totals(dict(zip(product(SEXES, AGES), numbers, strict=True)))
    hidden = {cell for _, cell in suppressed({TABLE: counts})}
    assert {cell for cell, number in counts.items() if 0 < number < 5} <= hidden
    shown = {cell: number for cell, number in counts.items() if cell not in hidden}
    values: dict[Cell, set[int]] = {cell: set() for cell in hidden}
    for table in tables_that_fit(shown, 12):
        for cell in hidden:
            values[cell].add(table[cell])
        if all(len(one) > 1 for one in values.values()):
            return
    assert not hidden, {cell: value for cell, value in values.items() if len(value) < 2}


@given(st.lists(st.one_of(st.just(0), st.integers(5, 99)), min_size=4, max_size=4))
def test_a_table_without_a_small_cell_is_untouched(numbers: list[int]) -> None:
    """Nothing is hidden where nothing is small."""
    counts = with_totals(dict(zip(product(SEXES, AGES), numbers, strict=True)))
    assert suppressed({TABLE: counts}) == frozenset()


def test_one_small_cell_of_a_line_takes_a_second_with_it() -> None:
    """3 of 33 could be had by subtraction."""
    counts = {("male", "total"): 3, ("female", "total"): 20, ("not_recorded", "total"): 10, ("total", "total"): 33}
    assert {cell for _, cell in suppressed({TABLE: counts})} == {("male", "total"), ("not_recorded", "total")}


@pytest.mark.parametrize("total", [False, True])
def test_without_a_total_a_small_cell_goes_alone(total: bool) -> None:
    """Where no total is shown nothing can be subtracted."""
    counts = {("male", "total"): 3, ("female", "total"): 20}
    if total:
        counts["total", "total"] = 23
    assert len(suppressed({TABLE: counts})) == (2 if total else 1)


def test_the_only_service_of_a_branch_hides_with_all_services() -> None:
    """There the people of the service are the people of all services: one must not tell of the other."""
    counts = {("male", "total"): 3, ("female", "total"): 20, ("not_recorded", "total"): 10, ("total", "total"): 33}
    one, all_ = ("101", "service_delivery.medical", "people"), ("101", "service_delivery", "people")
    hidden = suppressed({one: counts, all_: counts})
    assert {cell for table, cell in hidden if table == one} == {cell for table, cell in hidden if table == all_}
