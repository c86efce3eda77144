"""`silah forms import --pack`: a country's translations come back into its pack, and nothing else changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from forms import compiler
from forms.errors import FormError
from forms.importing import Imported
from forms.importing_pack import import_pack_workbook
from forms.tables import LANGUAGES, forget, load
from forms.translations import texts, texts_of
from tests.forms.test_importing import place
from tests.forms.tiny import complete, write_form

ARABIC = LANGUAGES["ar"]
DARI = "دری (prs)"
SURVEY = """\
    type,name,label
    select_one colour,colour,Which colour?
    text,remark,What else about ${colour}?
"""
COLOURS = "list_name,name,label\ncolour,red,Red\ncolour,blue,Blue\n"
MANIFEST = f'title = "Land"\nlanguage = "fa"\n[languages]\nprs = "{DARI}"\n[fallback]\nprs = "fa"\n'

Change = Callable[[Workbook], None]


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Iterator[Path]:
    forget()
    write_form(tmp_path, survey=SURVEY, choices=COLOURS)
    complete(tmp_path)
    (tmp_path / "packs" / "land").mkdir(parents=True)
    (tmp_path / "packs" / "land" / "pack.toml").write_text(MANIFEST, encoding="utf-8")
    yield tmp_path
    forget()


def put(sheet: str, name: str, column: str, text: str) -> Change:
    """A change: one cell."""

    def change(book: Workbook) -> None:
        book[sheet].cell(*place(book[sheet], name, column)).value = text

    return change


def nothing(_: Workbook) -> None:
    """No change at all."""


def taken(root: Path, change: Change) -> Imported:
    """Imports the workbook built with the pack after *change*."""
    path = compiler.build("tiny", "kobo", root / "out", root, "land")
    book = load_workbook(path)
    change(book)
    book.save(path)
    shutil.rmtree(root / "out" / "tiny-media", ignore_errors=True)
    return import_pack_workbook(path, "land", root=root)


def test_a_workbook_that_nobody_edited_changes_nothing(root: Path) -> None:
    """Tables → workbook → import → the same tables."""
    done = taken(root, nothing)

    assert ({}, 0) == (done.translated, done.rows)
    assert [] == [*(root / "packs" / "land").glob("translations/*")]


@pytest.mark.parametrize(("language", "name"), [("ar", ARABIC), ("prs", DARI)])
def test_a_translation_goes_into_the_pack_alone(root: Path, language: str, name: str) -> None:
    """In this country it is said otherwise; the forms' own PO file stays as it is."""
    before = texts("ar", root)

    done = taken(root, put("choices", "red", f"label::{name}", "سرخ"))

    assert ({language: 1}, "packs/land/translations") == (done.translated, done.folder)
    forget()
    assert "سرخ" == texts_of(load("tiny", root, "land"), language)["Red"]
    assert before == texts("ar", root)


def _title(book: Workbook) -> None:
    book["settings"]["A2"].value = "Another"


REFUSED = {
    "an English text": (put("survey", "colour", "label::English (en)", "What colour?"), "pack_cell_edited", "colour"),
    "a condition": (put("survey", "remark", "relevant", "1 = 1"), "pack_cell_edited", "remark"),
    "a choice's name": (put("choices", "red", "name", "scarlet"), "pack_rows_edited", ""),
    "the title": (_title, "pack_cell_edited", ""),
    "a lost reference": (put("survey", "remark", f"label::{ARABIC}", "وماذا أيضًا؟"), "translation_differs", "remark"),
    "an emptied translation": (put("survey", "colour", f"label::{ARABIC}", ""), "translation_emptied", "colour"),
    "a new language": (put("survey", "colour", "label::Deutsch (de)", "Welche Farbe?"), "pack_cell_edited", "colour"),
}


@pytest.mark.parametrize(("change", "code", "name"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_translation_is_refused_with_its_cell(root: Path, change: Change, code: str, name: str) -> None:
    """Nothing is written; sheet, row, column and the mend are named."""
    with pytest.raises(FormError, match=r"forms\.not_importable") as refused:
        taken(root, change)

    (finding,) = refused.value.findings
    assert (code, True) == (finding.code, bool(finding.mend))
    assert finding.file.startswith("tiny.xlsx!")
    assert [] == [*(root / "packs" / "land").glob("translations/*")]
    if name:
        rows = {"colour": 2, "remark": 3}
        assert (rows[name], True) == (finding.row, bool(finding.column))


def test_a_sheet_that_is_gone_is_named(root: Path) -> None:
    """A workbook without its choices is not taken for a form without choices."""

    def change(book: Workbook) -> None:
        del book["choices"]

    with pytest.raises(FormError, match=r"forms\.not_importable") as refused:
        taken(root, change)
    assert ["sheet_missing"] == [finding.code for finding in refused.value.findings]
