"""Periods of a report: a whole year of any of the three calendars as its first and last Gregorian day."""

from __future__ import annotations

from datetime import date, timedelta

from connector.errors import Refused
from connector.transforms.dates import Calendar, to_gregorian


def year_of(calendar: Calendar, year: int) -> tuple[date, date]:
    """The first and the last day of *year* in *calendar*; raises `Refused` for a year that it does not have."""
    try:
        first, after = to_gregorian(calendar, year, 1, 1), to_gregorian(calendar, year + 1, 1, 1)
    except (ValueError, OverflowError):
        raise Refused("report.period", f"year {year}", "Give a year of that calendar, as 1404.") from None
    return first, after - timedelta(days=1)
