"""The figures of one node: its facts, and the baseline that its configuration names."""

from __future__ import annotations

from datetime import date, timedelta

from connector.config import Config
from connector.errors import Refused
from connector.figures import baseline
from connector.figures.report import Report, compile_report
from connector.ledger.figures import counted
from connector.ledger.flow import Ledger


def month_of(config: Config, ledger: Ledger, month: str) -> Report:
    """The figures of a month that is over, as they may be published; raises `Refused`.

    A month that is not over would be sent twice, and the difference of the two could tell of single people.
    """
    try:
        start = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise Refused("report.not_a_month", "--month", "Write it as 2026-10.") from None
    after = (start + timedelta(days=32)).replace(day=1)
    if ledger.now().date() < after:
        raise Refused("report.month_not_over", month, "Send it when the month is over.")
    return figures(config, ledger, start, after - timedelta(days=1), public=True)


def figures(config: Config, ledger: Ledger, start: date, end: date, *, public: bool = False) -> Report:
    """The report from *start* to *end*, both included; raises `Refused` for a period or a baseline that cannot be."""
    if end < start:
        raise Refused("report.period", f"{start} to {end}", "The last day comes after the first.")
    file = config.figures.baseline_file
    before = baseline.read(config.at_home(file)) if file else ()
    facts = counted(ledger.database, ledger.fact_book, start, end)
    return compile_report(facts, before, start, end, public=public)
