"""What of a report is drawn: sums where people look rather than read. Each is in the table as well.

Of tables that are divided one division is summed, so that nothing counts twice; a sum with a hidden number in it is not
drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connector.figures.facts import SERVICES, TOTAL
from connector.figures.printing import service_label
from connector.figures.report import Count, Report
from connector.words import Language, said

_LEAST, _MOST = 2, 20  # bars
_Division = tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars: (label, number), under the words of *key*."""

    key: str
    bars: tuple[tuple[str, int], ...]

    @property
    def data(self) -> str:
        return json.dumps({"labels": [label for label, _ in self.bars], "values": [number for _, number in self.bars]})


def charts_of(report: Report, language: Language) -> list[Chart]:
    """By service, and by sex, as far as there is something to compare."""
    drawn = [
        Chart("chart:events", _by_service(report, "events", language)),
        Chart("chart:people", _by_service(report, "people", language)),
        Chart("chart:sex", _by_sex(report, language)),
    ]
    return [chart for chart in drawn if len(chart.bars) >= _LEAST]


def _by_service(report: Report, unit: str, language: Language) -> tuple[tuple[str, int], ...]:
    sums: dict[str, int | None] = {}
    for (_, service, unit_), rows in _tables(report).items():
        if unit_ == unit and not (unit == "people" and service == SERVICES):
            numbers = [row.count for row in rows]
            known = sums.get(service, 0)
            whole = known is not None and None not in numbers
            sums[service] = (known or 0) + sum(number or 0 for number in numbers) if whole else None
    found = ((service_label(service, language), number) for service, number in sums.items() if number)
    return tuple(sorted(found, key=lambda bar: -bar[1])[:_MOST])


def _by_sex(report: Report, language: Language) -> tuple[tuple[str, int], ...]:
    """Participations: the unit that every programme divides by sex."""
    sums: dict[str, int | None] = {}
    for (_, _, unit), rows in _tables(report, by_sex=True).items():
        for row in rows if unit == "participations" else ():
            known = sums.get(row.sex, 0)
            sums[row.sex] = None if known is None or row.count is None else known + row.count
    return tuple((said(language, f"sex:{sex}"), number) for sex, number in sums.items() if number)


def _tables(report: Report, *, by_sex: bool = False) -> Mapping[tuple[str, str, str], list[Count]]:
    """The rows of one division of each table: the coarsest, or the coarsest by sex."""
    found: dict[tuple[str, str, str], list[Count]] = {}
    for row in report.rows:
        found.setdefault((row.branch, row.service, row.unit), []).append(row)
    return {table: list(_division(rows, by_sex=by_sex)) for table, rows in found.items()}


def _division(rows: Iterable[Count], *, by_sex: bool) -> Iterator[Count]:
    divisions: dict[_Division, list[Count]] = {}
    for row in rows:
        divisions.setdefault((row.sex != TOTAL, row.age_group != TOTAL), []).append(row)
    wanted = sorted(one for one in divisions if one[0] or not by_sex)
    yield from divisions[wanted[0]] if wanted else ()
