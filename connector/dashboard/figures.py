"""The page of figures, and the report as a file."""

from __future__ import annotations

import io
import tempfile
from datetime import date
from pathlib import Path

from flask import Response, flash, render_template, request
from flask.typing import ResponseReturnValue

from connector.dashboard import session as door
from connector.dashboard.blueprint import pages
from connector.dashboard.charts import charts_of
from connector.dashboard.desk import desk
from connector.dashboard.roles import Right
from connector.errors import Refused
from connector.figures import printing
from connector.figures.periods import year_of
from connector.figures.report import Report
from connector.ledger.audit import Entry
from connector.model import JSON
from connector.transforms.dates import Calendar

_FIRST_YEAR = 2003
_YEAR_DIGITS = 4


@pages.get("/figures")
@door.needs(Right.FIGURES)
def figures() -> ResponseReturnValue:
    start, end, public = _period()
    report = desk().report(start, end, public=public)
    kind = request.args.get("as")
    if kind in {"csv", "xlsx"}:
        return _file(report, kind)
    rows = [(printing.labels(row, door.language()), row.count) for row in report.rows]
    charts = charts_of(report, door.language())
    return render_template(
        "figures.html", report=report, rows=rows, public=public, charts=charts, calendars=tuple(Calendar)
    )


def _period() -> tuple[date, date, bool]:
    today, year = desk().ledger.now().date(), request.args.get("year", "")
    calendar = next((one for one in Calendar if one == request.args.get("calendar")), Calendar.GREGORIAN)
    if year.isascii() and year.isdigit() and len(year) <= _YEAR_DIGITS:
        try:
            return *year_of(calendar, int(year)), "public" in request.args
        except Refused:
            flash("code:report.period")
    start = _day(request.args.get("from")) or date(_FIRST_YEAR, 1, 1)
    end = _day(request.args.get("to")) or today
    return start, max(start, end), "public" in request.args


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


@door.needs(Right.EXPORT)
def _file(report: Report, kind: str) -> ResponseReturnValue:
    """The report as a file; who took it is in the audit."""
    detail: dict[str, JSON] = {"format": kind, "from": report.start.isoformat(), "to": report.end.isoformat()}
    desk().overview.note(Entry("figures_taken", door.user().name, detail=detail))
    if kind == "csv":
        body, media = printing.as_csv(report).encode(), "text/csv; charset=utf-8"
    else:
        with tempfile.TemporaryDirectory() as folder:
            printing.write_xlsx(report, Path(folder) / "report.xlsx")
            body = (Path(folder) / "report.xlsx").read_bytes()
        media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    name = f"figures-{report.start}-{report.end}.{kind}"
    return Response(
        io.BytesIO(body), headers={"Content-Disposition": f'attachment; filename="{name}"'}, content_type=media
    )
