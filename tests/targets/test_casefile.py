"""The printable case file, and the words that workbooks and case files share."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from connector.model import Recipient
from connector.targets import wording
from connector.targets.casefile import case_file
from connector.targets.table import Table
from connector.targets.wording import Language, Wording
from connector.transforms.record import Photo, SaidDate, fields_of
from connector.transforms.registry import RECORDS
from tests.targets.releases import KARIM, release, request

LANGUAGES: tuple[Language, ...] = ("en", "ar", "fa", "fr")
PHOTO = b"\xff\xd8\xff the bytes of a picture"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_every_field_is_called_something(kind: str, language: Language) -> None:
    """No office sees a path of the software: each column has a heading in each language, and no two share one."""
    table = Table(kind, Recipient.OWN_SOCIETY, language)
    named = dict(zip(table.columns, table.headings, strict=True))

    assert [] == [column for column, heading in named.items() if heading in {"", column, column.replace("[]", "")}]
    assert [] == [heading for heading, times in Counter(named.values()).items() if times > 1]


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_an_arabic_page_has_no_english_headings(kind: str) -> None:
    """Every part and column of every kind of record has its Arabic name."""
    sections = [one.name for one in fields_of(RECORDS[kind]) if one.model not in {None, SaidDate, Photo}]
    words = Wording(kind, "ar")
    headings = [*(words.section(name) for name in sections), *Table(kind, Recipient.OWN_SOCIETY, "ar").headings]

    assert [] == [heading for heading in headings if re.search("[A-Za-z]{3}", heading)]


def test_the_table_of_headings_is_whole() -> None:
    """Every row of headings.csv has five cells; either all languages have a text or none has."""
    with wording._HEADINGS.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))

    assert [] == [row for row in rows if len(row) != 5 or len({bool(cell) for cell in row[1:]}) != 1]
    assert len(rows) == len({row[0] for row in rows})


@pytest.mark.parametrize("language", ["ar", "fa"])
def test_english_stands_beside_the_other_language(language: Language) -> None:
    """Headings and choices are in both, each with its direction; a name stands once, as it was said."""
    page = case_file(release(), language).decode()

    assert f"<th scope=row dir=rtl lang={language}>" in page
    assert "<td dir=ltr lang=en>Brother</td>" in page
    assert f"<td dir=rtl lang={language}>{ {'ar': 'الأخ', 'fa': 'برادر'}[language] }</td>" in page
    assert 1 == page.count("<td colspan=2 class=same dir=auto>كريم يوسف الحمصي</td>")
    assert "10100000016" in page


def test_the_page_asks_nothing_of_the_network() -> None:
    """Style and photos are in the page, nothing is fetched, and no script may run."""
    page = case_file(release(photo=PHOTO), "ar").decode()

    assert "data:image/jpeg;base64," in page
    assert "default-src 'none'" in page
    assert [] == re.findall(r"(?:src|href)=\"(?!data:)|<script|url\(|@import", page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_cannot_become_markup(language: Language) -> None:
    """What somebody wrote is text on the page, whatever it looks like."""
    page = case_file(release(request(sought=[{**KARIM, "marks": "<script>alert(1)</script>"}])), language).decode()

    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_date_is_shown_as_it_was_said() -> None:
    """A Hijri year is shown as Gregorian days, in its own calendar, and in the words that were used."""
    born = {
        "kind": "year", "calendar": "hijri", "year": 1410, "said": "سنة 1410", "earliest": "1989-08-03", "latest": "1990-07-22",
    }  # fmt: skip
    page = case_file(release(request(sought=[{**KARIM, "birth": born}])), "ar").decode()

    assert "from 3 August 1989 to 22 July 1990" in page
    assert "1 Muharram" in page or "1410" in page
    assert "سنة 1410" in page


def test_the_stylesheet_travels_with_the_product() -> None:
    """The files that pages and workbooks need are named as package data."""
    project = Path(__file__).parents[2] / "pyproject.toml"

    assert '"targets/*.css"' in project.read_text(encoding="utf-8")
    assert '"targets/*.csv"' in project.read_text(encoding="utf-8")


def test_a_persian_page_has_one_kind_of_digits_in_a_date() -> None:
    """The age stands beside the days it means, in the same digits."""
    page = case_file(release(), "fa").decode()

    assert "سن ۳۴" in page
    assert "سن 34" not in page
