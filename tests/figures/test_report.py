"""`silah report`: the figures of a period, with what was counted before."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.figures.baseline import COLUMNS
from connector.keys import new_master_file
from tests.conftest import FillIn, Node, edited
from tests.people import request

SAUDI = [
    ("tracing_request", "events", "total", 240),
    ("family_call.phone", "events", "total", 435),
    ("family_call.video", "events", "total", 626),
    ("family_visit", "events", "total", 63),
    ("contact.participants", "participations", "male", 4678),
    ("contact.participants", "participations", "female", 2260),
    ("contact.participants", "participations", "other", 0),
    ("contact.participants", "participations", "not_recorded", 239),
    ("contact.participants", "participations", "total", 7177),
]
_HXL = re.compile(r"#[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)*")  # hxlstandard.org 1.1, tagging conventions


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    new_master_file(tmp_path / "keys" / "master.key")
    configure(tmp_path)
    return tmp_path


def configure(home: Path, *, baseline: bool = False) -> None:
    text = 'society = "SA-RC"\ndatabase = "sqlite:///var/silah.db"\nmaster_key_file = "keys/master.key"\n'
    text += '[figures]\nbaseline_file = "baseline.csv"\n' if baseline else ""
    (home / "silah.toml").write_text(text, encoding="utf-8")


def write_baseline(home: Path, rows: list[tuple[str, str, str, int]], period: str = "2003-01-01,2024-12-31") -> None:
    lines = [",".join(COLUMNS), *(f"{period},SA,{s},{u},{sex},total,{n}" for s, u, sex, n in rows)]
    (home / "baseline.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    configure(home, baseline=True)


def run(home: Path, *options: str) -> Result:
    whole = ["--from", "2003-01-01", "--to", "2026-12-31"]
    return CliRunner().invoke(main, ["--config", str(home / "silah.toml"), "report", *whole, *options])


def report(home: Path, *options: str) -> dict[str, Any]:
    result = run(home, "--format", "json", *options)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_a_node_without_anything_reports_nothing(home: Path) -> None:
    """No servers, no targets, no baseline, no records: an empty report in the agreed shape."""
    assert report(home) == {"from": "2003-01-01", "to": "2026-12-31", "rows": [], "suppressed": 0}


def test_the_saudi_programme(home: Path) -> None:
    """The seven figures of the source document, with the 239 whose sex nobody wrote down."""
    write_baseline(home, SAUDI)
    rows = report(home)["rows"]
    assert sorted(SAUDI) == sorted((r["service"], r["unit"], r["sex"], r["count"]) for r in rows)
    assert {(r["branch"], r["age_group"]) for r in rows} == {("SA", "total")}
    assert report(home, "--public")["rows"] == rows


def test_a_total_that_its_parts_do_not_add_up_to_is_refused(home: Path) -> None:
    """4 678 + 2 260 entered as 7 177 with nobody unrecorded: the row and the difference are told."""
    write_baseline(home, [(s, u, sex, 0 if sex == "not_recorded" else n) for s, u, sex, n in SAUDI])
    result = run(home, "--format", "json")
    assert result.exit_code == 1
    assert "figures.total_differs" in result.stderr
    assert "row 10 of" in result.stderr
    assert "a difference of 239" in result.stderr


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (("tracing_request", "events", "total", -1), "figures.baseline_count"),
        (("tracing_request", "events", "unknown", 1), "figures.baseline_sex"),
        (("tracing_request", "families", "total", 1), "figures.baseline_unit"),
        (("", "events", "total", 1), "figures.baseline_empty"),
    ],
)
def test_a_row_that_cannot_be_is_refused(home: Path, row: tuple[str, str, str, int], code: str) -> None:
    """The code says what is wrong, the message in which row."""
    write_baseline(home, [SAUDI[0], row])
    result = run(home, "--format", "json")
    assert (result.exit_code, code in result.stderr, "row 3" in result.stderr) == (1, True, True)


def test_csv_has_a_header_an_hxl_row_and_raw_codes(home: Path) -> None:
    """In that order, on standard output."""
    write_baseline(home, [*SAUDI, ("activity.of_our_own", "events", "total", 3)])
    rows = list(csv.reader(io.StringIO(run(home, "--format", "csv", "--public").stdout)))
    assert rows[0] == ["branch", "service", "unit", "sex", "age_group", "count"]
    assert all(_HXL.fullmatch(tag) for tag in rows[1])
    assert rows[2] == ["SA", "activity.of_our_own", "events", "total", "total", ""]
    assert len(rows) == 2 + len(SAUDI) + 1


def test_the_workbook_has_all_figures_in_four_languages(home: Path) -> None:
    """One sheet from left to right in English, one from right to left in Arabic, Persian and French ones as well."""
    write_baseline(home, SAUDI)
    path = home / "out.xlsx"
    assert run(home, "--out", str(path)).stdout.strip() == str(path)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["English", "العربية", "فارسی", "Français"]
    assert [bool(sheet.sheet_view.rightToLeft) for sheet in book] == [False, True, True, False]
    for sheet in book:
        assert sorted(row[5] for row in sheet.iter_rows(min_row=2, values_only=True)) == sorted(n for *_, n in SAUDI)
    assert {row[1] for row in book["English"].iter_rows(min_row=2, values_only=True)} >= {"Phone calls"}


def test_rows_of_several_periods_stand_once(home: Path) -> None:
    """The periods are summed; a period that reaches beyond the report is left out and named."""
    write_baseline(home, [("family_visit", "events", "total", 10)])
    with (home / "baseline.csv").open("a", encoding="utf-8") as out:
        out.write("2025-01-01,2025-12-31,SA,family_visit,events,total,total,7\n")
        out.write("2026-07-01,2027-06-30,SA,family_visit,events,total,total,100\n")
    result = run(home, "--format", "json")
    assert [row["count"] for row in json.loads(result.stdout)["rows"]] == [17]
    assert "row 4 reaches beyond" in result.stderr


def test_sources_that_are_divided_differently_are_shown_as_finely_as_all_allow(home: Path) -> None:
    """Years without any division and years by sex: the sum is right and nothing counts twice."""
    write_baseline(home, [("family_visit", "participations", "total", 100)])
    with (home / "baseline.csv").open("a", encoding="utf-8") as out:
        out.write("2025-01-01,2025-12-31,SA,family_visit,participations,male,total,10\n")
        out.write("2025-01-01,2025-12-31,SA,family_visit,participations,female,total,5\n")
    rows = report(home)["rows"]
    assert [(row["sex"], row["count"]) for row in rows] == [("total", 115)]


def test_a_request_is_counted_once_over_its_edits(node: Node, fill_in: FillIn) -> None:
    """A submission that is taken in and edited stays one request, and comes on top of the baseline of its branch."""
    xml = fill_in(request())
    submission = node.take_in(xml)
    stored = node.kobo.data_xml(node.asset, submission["_id"]) if hasattr(node.kobo, "data_xml") else xml
    node.submit(edited(stored, {"s_circumstances": "…"}))
    node.pull()
    write_baseline(node.home, [("tracing_request", "events", "total", 240)])
    (node.home / "baseline.csv").write_text(
        (node.home / "baseline.csv").read_text(encoding="utf-8").replace(",SA,", ",101,"), encoding="utf-8"
    )
    assert [row["count"] for row in report(node.home)["rows"]] == [241]
