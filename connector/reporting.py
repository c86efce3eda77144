"""The figures of one node: its facts, and the baseline that its configuration names."""

from __future__ import annotations

from datetime import date

from connector.config import Config
from connector.errors import Refused
from connector.figures import baseline
from connector.figures.report import Report, compile_report
from connector.ledger.figures import counted
from connector.ledger.flow import Ledger


def figures(config: Config, ledger: Ledger, start: date, end: date, *, public: bool = False) -> Report:
    """The report from *start* to *end*, both included; raises `Refused` for a period or a baseline that cannot be."""
    if end < start:
        raise Refused("report.period", f"{start} to {end}", "The last day comes after the first.")
    file = config.figures.baseline_file
    before = baseline.read(config.at_home(file)) if file else ()
    facts = counted(ledger.database, ledger.fact_book, start, end)
    return compile_report(facts, before, start, end, public=public)
