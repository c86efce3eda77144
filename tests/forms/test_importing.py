"""`silah forms import`: an edited workbook becomes tables and PO files again, or the cell that cannot be kept is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from forms import compiler
from forms.errors import FormError
from forms.importing import Imported, import_workbook
from forms.tables import BUILDS, FORMS, LANGUAGES, Build, forget, form_ids, load
from forms.translations import texts
from tests.forms.tiny import SETTINGS, complete, write_form

ENGLISH, ARABIC, FRENCH = (LANGUAGES[code] for code in ("en", "ar", "fr"))
SURVEY = """\
    type,name,label,required,relevant,calculation,#only
    include,person,,,,,
    override,nick,What are you called at home?,,,,
    text,remark,Remark,,,,
    select_one colour,colour,Which colour?,yes,,,
    text,central_only,Only there,,,,central
    begin_repeat,visit,Visit,,,,
    integer,visitors,How many came?,,,,
    end_repeat,,,,,,
    select_one yes_no,again,Again?,,,,
    calculate,both,,,,"concat('a', 'b')",
"""
PERSON = """\
    type,name,label
    text,full,Full name
    text,nick,Nickname
    text,mail,E-mail
"""
COLOURS = "list_name,name,label,#note\ncolour,red,Red,warm\ncolour,blue,Blue,\n"


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Iterator[Path]:
    forget()
    write_form(
        tmp_path, survey=SURVEY, choices=COLOURS, block_person=PERSON, list_yes_no="name,label\nyes,Yes\nno,No\n",
        settings=f'# as agreed\n{SETTINGS}[[entities]]\nlist_name = "cases"\nlabel = "${{remark}}"\n',
    )  # fmt: skip
    complete(tmp_path)
    yield tmp_path
    forget()


Change = Callable[[Workbook], None]


def edited(root: Path, change: Change, build: Build = "kobo", form_id: str = "tiny") -> Path:
    """The built form with *change* made by a person's spreadsheet."""
    forget()
    path = compiler.build(form_id, build, root / "out", root)
    book = load_workbook(path)
    change(book)
    book.save(path)
    return path


def place(sheet: Worksheet, name: str, column: str) -> tuple[int, int]:
    """(row, column) of the cell under *column*, a new one where there is none, in the row called *name*."""
    header = [cell.value for cell in sheet[1]]
    if column not in header:
        sheet.cell(1, len(header) + 1).value = column
        header.append(column)
    rows = [row[header.index("name")].value for row in sheet.iter_rows()]
    return rows.index(name) + 1, header.index(column) + 1


def put(sheet_name: str, name: str, column: str, text: object) -> Change:
    """A change: one cell."""

    def change(book: Workbook) -> None:
        sheet = book[sheet_name]
        sheet.cell(*place(sheet, name, column)).value = text

    return change


def said(root: Path, build: Build = "kobo") -> dict[str, compiler.Sheet]:
    forget()
    return compiler.sheets(load("tiny", root), build)


def refused(root: Path, path: Path) -> list[tuple[str, int, str]]:
    """(code, row, column) of every finding; nothing was written."""
    before = {file: file.read_bytes() for file in root.rglob("*") if file.suffix in (".csv", ".po", ".toml")}
    with pytest.raises(FormError, match=r"forms\.not_importable") as error:
        import_workbook(path, "tiny", root)
    assert before == {file: file.read_bytes() for file in before}
    return [(finding.code, finding.row, finding.column) for finding in error.value.findings]


def check_round_trip(path: Path, root: Path, form_id: str, build: Build) -> Imported:
    """Imports *path*, builds anew, and holds the two workbooks against each other."""
    done = import_workbook(path, None, root)
    again = compiler.build(form_id, build, root / "again", root)
    assert cells_of(path) == cells_of(again)
    return done


def cells_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    book = load_workbook(path)
    return {sheet.title: [*sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


@pytest.mark.parametrize("form_id", form_ids())
def test_a_form_that_nobody_edited_changes_nothing(form_id: str, tmp_path: Path) -> None:
    """Tables → .xlsx → import: the same tables, for every form and every build that differs."""
    form = load(form_id)
    same = compiler.sheets(form, "kobo") == compiler.sheets(form, "central")

    for build in BUILDS[:1] if same else BUILDS:
        done = import_workbook(compiler.build(form_id, build, tmp_path), dry_run=True)
        assert ((), {}, 0, build) == (done.files, done.translated, done.rows, done.build)


@pytest.fixture(name="copied", scope="module")
def _copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's tables, to be edited."""
    root = tmp_path_factory.mktemp("forms") / "forms"
    shutil.copytree(FORMS, root, ignore=shutil.ignore_patterns("xlsx", "packs", "*.py", "__pycache__"))
    return root


@pytest.mark.parametrize("form_id", form_ids())
def test_edits_of_every_form_come_back(form_id: str, copied: Path) -> None:
    """A translation of the first question, the wording and the condition of the form's own last one, a new row: all kept."""
    own = next(row for row in reversed(load(form_id, copied).rows) if row.via is None and row["label"] and row.builds)

    def change(book: Workbook) -> None:
        sheet = book["survey"]
        header = [cell.value for cell in sheet[1]]
        for name in LANGUAGES.values():
            sheet.cell(*place(sheet, own.name, f"label::{name}")).value = f"Another wording in {name}"
        sheet.cell(*place(sheet, own.name, "relevant")).value = "true()"
        sheet.append(["calculate" if name == "type" else "added_by_hand" if name == "name" else "" for name in header])
        sheet.cell(sheet.max_row, header.index("calculation") + 1).value = "1 + 1"

    forget()
    path = edited(copied, change, form_id=form_id)

    done = check_round_trip(path, copied, form_id, "kobo")

    assert (f"{form_id}/survey.csv",) == done.files


@pytest.mark.parametrize(
    ("name", "column", "text", "line"),
    [
        ("remark", f"label::{ENGLISH}", "Anything else?", "text,remark,Anything else?,,,,"),
        ("remark", "required", "yes", "text,remark,Remark,yes,,,"),
        ("colour", "required", None, "select_one colour,colour,Which colour?,,,,"),
        ("visitors", "relevant", "${remark} != ''", "integer,visitors,How many came?,,${remark} != '',,"),
        ("nick", f"label::{ENGLISH}", "Your pet name?", "override,nick,Your pet name?,,,,"),
        ("nick", "type", "barcode", "override barcode,nick,What are you called at home?,,,,"),
    ],
)
def test_a_cell_goes_where_it_was_written(root: Path, name: str, column: str, text: str | None, line: str) -> None:
    """A form's own row, or the override row that already says something of a block's question; no other line moves."""
    before = (root / "tiny" / "survey.csv").read_text().splitlines()

    import_workbook(edited(root, put("survey", name, column, text)), None, root)

    after = (root / "tiny" / "survey.csv").read_text().splitlines()
    assert [line] == [new for old, new in zip(before, after, strict=True) if old != new]


def test_a_translation_goes_into_the_po_file(root: Path) -> None:
    """Of a block's question too: a translation belongs to the text, wherever it stands."""
    done = import_workbook(edited(root, put("survey", "full", f"label::{ARABIC}", "الاسم الكامل")), None, root)

    assert {"ar": 1} == done.translated
    assert () == done.files
    assert "الاسم الكامل" == texts("ar", root)["Full name"]


def test_a_new_wording_keeps_its_translations(root: Path) -> None:
    """A typing error mended in English: the translations that stood beside it stay beside it."""
    import_workbook(edited(root, put("survey", "remark", f"label::{ENGLISH}", "Remarks")), None, root)

    assert "Remark (fr)" == texts("fr", root)["Remarks"]


def test_rows_can_be_added_moved_and_removed(root: Path) -> None:
    """The table follows the workbook's order; what only the other build has stays behind the row before it."""

    def change(book: Workbook) -> None:
        sheet = book["survey"]
        header = [str(cell.value) for cell in sheet[1]]
        sheet.delete_rows(place(sheet, "again", "name")[0])
        row = place(sheet, "remark", "name")[0]
        moved = [cell.value for cell in sheet[row]]
        sheet.delete_rows(row)
        sheet.insert_rows(place(sheet, "both", "name")[0])
        for number, value in enumerate(moved, start=1):
            sheet.cell(place(sheet, "both", "name")[0] - 1, number).value = value
        new = {"type": "text", "name": "street", **{f"label::{name}": f"Street {name}" for name in LANGUAGES.values()}}
        sheet.append([new.get(column, "") for column in header])
        del book["choices"]
        choices = book.create_sheet("choices")
        choices.append(["list_name", "name", *(f"label::{name}" for name in LANGUAGES.values())])
        for name, label in (("blue", "Blue"), ("red", "Red"), ("green", "Green")):
            known = [f"{label} ({code})" for code in ("ar", "fa", "fr")]
            choices.append(["colour", name, label, *known])

    path = edited(root, change)
    import_workbook(path, None, root)

    lines = (root / "tiny" / "survey.csv").read_text().splitlines()
    assert [
        "include,person,,,,,", "override,nick,What are you called at home?,,,,", "select_one colour,colour,Which colour?,yes,,,",
        "text,central_only,Only there,,,,central", "begin_repeat,visit,Visit,,,,", "integer,visitors,How many came?,,,,",
        "end_repeat,,,,,,", "text,remark,Remark,,,,", "calculate,both,,,,\"concat('a', 'b')\",", "text,street,Street English (en),,,,",
    ] == lines[1:]  # fmt: skip
    assert ["blue", "red", "green"] == [row[1] for row in said(root)["choices"][1:]]
    assert "colour,red,Red,warm" in (root / "tiny" / "choices.csv").read_text()


def test_settings_are_written_where_they_stand(root: Path) -> None:
    """Title, version and style; comments and entities of settings.toml stay."""

    def change(book: Workbook) -> None:
        sheet = book["settings"]
        header = [cell.value for cell in sheet[1]]
        sheet.cell(2, header.index("version") + 1).value = 2026112205
        sheet.cell(2, header.index("form_title") + 1).value = 'A "new" title'
        sheet.cell(1, len(header) + 1).value = "style"
        sheet.cell(2, len(header) + 1).value = "pages"

    import_workbook(edited(root, change), None, root)

    assert (
        '# as agreed\ntitle = "A \\"new\\" title"\nversion = "2026112205"\npurpose = "tracing"\nstyle = "pages"\n'
        '[[entities]]\nlist_name = "cases"\nlabel = "${remark}"\n'
    ) == (root / "tiny" / "settings.toml").read_text()


def test_both_builds_can_be_edited(root: Path) -> None:
    """The central build with its own row and its entities sheet comes back as well."""
    path = edited(root, put("survey", "central_only", f"label::{ENGLISH}", "Only at Central"), build="central")

    done = import_workbook(path, None, root)

    assert "central" == done.build
    assert "text,central_only,Only at Central,,,,central" in (root / "tiny" / "survey.csv").read_text()


def column(sheet_name: str, name: str) -> Change:
    def change(book: Workbook) -> None:
        sheet = book[sheet_name]
        sheet.cell(1, sheet.max_column + 1).value = name
        sheet.cell(2, sheet.max_column).value = "x"

    return change


def no_column(name: str) -> Change:
    def change(book: Workbook) -> None:
        sheet = book["survey"]
        sheet.delete_cols([cell.value for cell in sheet[1]].index(name) + 1)

    return change


def no_row(name: str) -> Change:
    return lambda book: book["survey"].delete_rows(place(book["survey"], name, "name")[0])


def row_inside_block(book: Workbook) -> None:
    sheet = book["survey"]
    row = place(sheet, "nick", "name")[0]
    sheet.insert_rows(row)
    sheet.cell(row, 1).value, sheet.cell(row, 2).value = "calculate", "between"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (put("survey", "full", f"label::{ENGLISH}", "Name"), ("block_row_edited", 2, f"label::{ENGLISH}")),
        (put("survey", "full", "required", "yes"), ("block_row_edited", 2, "required")),
        (no_row("mail"), ("block_row_gone", 0, "")),
        (row_inside_block, ("block_broken", 3, "")),
        (put("choices", "yes", f"label::{ENGLISH}", "Yes!"), ("shared_list_edited", 4, f"label::{ENGLISH}")),
        (put("choices", "yes", "name", "oui"), ("shared_list_edited", 4, "name")),
        (column("survey", "label::دری (prs)"), ("new_language", 1, "label::دری (prs)")),
        (column("survey", "relevent"), ("unknown_column", 1, "relevent")),
        (column("settings", "allow_choice_duplicates"), ("unknown_column", 1, "allow_choice_duplicates")),
        (no_column(f"label::{FRENCH}"), ("column_missing", 1, f"label::{FRENCH}")),
        (lambda book: book.remove(book["choices"]), ("sheet_missing", 0, "choices")),
        (lambda book: book.remove(book["settings"]), ("sheet_missing", 0, "settings")),
        (lambda book: book.create_sheet("notes"), ("unknown_sheet", 0, "notes")),
        (put("survey", "remark", "required", "=1+1"), ("cell_not_text", 5, "required")),
        (put("survey", "remark", f"label::{FRENCH}", None), ("translation_emptied", 5, f"label::{FRENCH}")),
        (put("survey", "remark", "relevant", "${colour} = ‘red’"), ("curly_quotes", 5, "relevant")),
        (put("survey", "remark", "name", "colour"), ("name_twice", 5, "name")),
        (put("survey", "colour", "type", "select_one nowhere"), ("unknown_list", 5, "type")),
    ],
)
def test_what_cannot_be_kept_is_named_by_its_cell(root: Path, change: Change, found: tuple[str, int, str]) -> None:
    """Sheet, row and column, and nothing is written."""
    assert found in refused(root, edited(root, change))


def test_a_lost_reference_in_a_translation_is_refused(root: Path) -> None:
    """`${…}` must survive: the device would show nothing there."""
    path = edited(root, put("survey", "remark", f"label::{ENGLISH}", "Remark on ${full}"))
    book = load_workbook(path)
    sheet = book["survey"]
    sheet.cell(*place(sheet, "remark", f"label::{ARABIC}")).value = "ملاحظة"
    book.save(path)

    assert ("translation_differs", 5, f"label::{ARABIC}") in refused(root, path)


def test_two_translations_of_one_text_are_refused(root: Path) -> None:
    """One text has one translation; the second cell is named."""
    write_form(root, survey=SURVEY + "text,other,Remark,,,,\n")
    complete(root)

    def change(book: Workbook) -> None:
        put("survey", "remark", f"label::{FRENCH}", "Une remarque")(book)
        put("survey", "other", f"label::{FRENCH}", "Autre remarque")(book)

    assert [("translated_twice", 12, f"label::{FRENCH}")] == refused(root, edited(root, change))


def test_macros_are_refused(root: Path) -> None:
    """By name, and by what is inside whatever the name says."""
    path = edited(root, lambda _: None)
    renamed = path.with_suffix(".xlsm")
    shutil.copy(path, renamed)
    with ZipFile(path, "a") as packed:
        packed.writestr("xl/vbaProject.bin", b"macro")

    for file in (renamed, path):
        with pytest.raises(FormError, match="macros"):
            import_workbook(file, None, root)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"type,name\n"])
def test_what_is_no_workbook_is_refused(root: Path, content: bytes) -> None:
    """An empty, a cut or another file: said in words, no traceback."""
    path = root / "tiny.xlsx"
    path.write_bytes(content)

    with pytest.raises(FormError, match=r"forms\.not_importable"):
        import_workbook(path, None, root)


def test_a_workbook_of_another_form_needs_to_be_told(root: Path) -> None:
    """A download from a form server carries no form_id of ours: --as names the form."""

    def change(book: Workbook) -> None:
        sheet = book["settings"]
        sheet.delete_cols([cell.value for cell in sheet[1]].index("form_id") + 1)

    path = edited(root, change)

    with pytest.raises(FormError, match="--as FORM"):
        import_workbook(path, None, root)
    assert "tiny" == import_workbook(path, "tiny", root).form_id


def test_what_the_form_server_gives_back_can_be_imported(root: Path) -> None:
    """The .xlsx that KoboToolbox hands out of a form of ours says the same as the tables."""
    from connector.sandbox.content import read_xlsx

    path = compiler.build("tiny", "kobo", root / "out", root)
    path.write_bytes(read_xlsx(path.read_bytes()).xlsx())

    done = import_workbook(path, "tiny", root)

    assert ((), {}, 0) == (done.files, done.translated, done.rows)
