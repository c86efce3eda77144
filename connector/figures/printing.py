"""A report as JSON, as CSV with its HXL row, and as a workbook in four languages."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from connector.figures.facts import SERVICES
from connector.figures.report import Count, Report
from connector.words import LANGUAGES, OWN_NAMES, RIGHT_TO_LEFT, Language, is_known, said
from forms.tables import FORMS
from forms.translations import texts

if TYPE_CHECKING:  # read only where a workbook is written: a server that writes none does without
    from openpyxl.worksheet.worksheet import Worksheet

COLUMNS = ("branch", "service", "unit", "sex", "age_group", "count")
# https://hxlstandard.org/standard/1-1final/dictionary/
HXL = ("#org+branch+code", "#service+code", "#meta+counting_rule", "#group+sex", "#group+age", "#indicator+value+num")
_WIDTHS = (16, 44, 18, 18, 18, 14)
_TEXT = "@"


def as_json(report: Report) -> str:
    """The shape of contract §7: `from`, `to`, `rows`, `suppressed`."""
    told = {
        "from": report.start.isoformat(), "to": report.end.isoformat(),
        "rows": [asdict(row) for row in report.rows], "suppressed": report.suppressed,
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False, indent=2)


def as_csv(report: Report) -> str:
    """The header, the HXL row, then the rows with raw codes; the count of a suppressed row is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerow(HXL)
    for row in report.rows:
        writer.writerow(["" if value is None else value for value in asdict(row).values()])
    return out.getvalue()


def write_xlsx(report: Report, path: Path) -> None:
    """A sheet a language with all figures, from right to left where that is read so; raises `OSError`."""
    from openpyxl import Workbook

    book = Workbook()
    if book.active is not None:
        book.remove(book.active)
    for language in LANGUAGES:
        sheet = book.create_sheet(OWN_NAMES[language])
        sheet.sheet_view.rightToLeft = language in RIGHT_TO_LEFT
        _fill(sheet, report, language)
    book.save(path)


def _fill(sheet: Worksheet, report: Report, language: Language) -> None:
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    for column, name in enumerate(COLUMNS, 1):
        cell = sheet.cell(1, column, said(language, f"figures:{name}"))
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="E8E8E8")
        sheet.column_dimensions[get_column_letter(column)].width = _WIDTHS[column - 1]
    for number, row in enumerate(report.rows, 2):
        for column, text in enumerate(labels(row, language), 1):
            _write_text(sheet, number, column, text)
        count = sheet.cell(number, len(COLUMNS))
        if row.count is None:
            count.value = said(language, "figures:hidden")
        else:
            count.value, count.number_format = row.count, "#,##0"
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{len(report.rows) + 1}"
    if sheet.oddHeader is not None:
        sheet.oddHeader.center.text = f"{report.start.isoformat()} – {report.end.isoformat()}"
    sheet.print_title_rows = "1:1"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)


def _write_text(sheet: Worksheet, row: int, column: int, text: str) -> None:
    """Text that stays text: a code of a baseline is never a formula."""
    cell = sheet.cell(row, column)
    cell.value, cell.data_type, cell.number_format = text, "s", _TEXT


def labels(row: Count, language: Language) -> tuple[str, str, str, str, str]:
    """Branch, service, unit, sex and age group in words; a code that no catalogue knows stays as it is."""
    return (
        _branch(row.branch, language), service_label(row.service, language),
        _word("unit", row.unit, language), _word("sex", row.sex, language), _word("age", row.age_group, language),
    )  # fmt: skip


def service_label(service: str, language: Language) -> str:
    """The service in words, with the words of the form's own list after it."""
    if is_known(f"service:{service}"):
        return said(language, f"service:{service}")
    family, _, code = service.partition(".")
    known = _listed("service_code" if family == SERVICES else "").get(code)
    if not known or not is_known(f"service:{family}"):
        return service
    return f"{said(language, f'service.{family}')}: {texts(language).get(known, known) if language != 'en' else known}"


def _branch(code: str, language: Language) -> str:
    return said(language, "sex:not_recorded") if code == "not_recorded" else code


def _word(kind: str, code: str, language: Language) -> str:
    return said(language, f"{kind}:{code}") if is_known(f"{kind}:{code}") else code


def _listed(name: str) -> dict[str, str]:
    path = FORMS / "choices" / f"{name}.csv"
    if not name or not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return {row["name"]: row["label"] for row in csv.DictReader(lines)}
