"""`silah forms check` finds every mistake that form authors make: those that engines refuse, and those that they pass.

What pyxform, ODK Validate, JavaRosa and Web Forms each say of such a form was tried with the engines themselves; ten of
these mistakes are passed by some of them, and five by all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forms.commands import check_command
from forms.compiler import build_all
from forms.errors import FormError
from forms.tables import forget
from tests.forms.tiny import SETTINGS, complete, write_form

YES_NO = "name,label\nyes,Yes\nno,No\n"
HEADER = "type,name,label,hint,relevant,constraint,constraint_message,calculation,choice_filter,save_to\n"
ASKED = "select_one yes_no,a,Agreed?\n"


@dataclass(frozen=True)
class Fault:
    """Rows below one sound question, the finding that they must give, and what else the form has."""

    rows: str
    code: str
    files: dict[str, str] = field(default_factory=dict)
    untranslated: str = ""


ENTITIES = SETTINGS + '[[entities]]\nlist_name = "cases"\nlabel = "${a}"\n'
PASSED_BY_SOME = {
    "a reference to nothing": Fault("text,b,B,,${c} = 1\n", "unknown_reference"),
    "an unknown type": Fault("texd,b,B\n", "unknown_type"),
    "a group that is not closed": Fault("begin_group,g,G\ntext,b,B\n", "group_not_closed"),
    "a choice that is there twice": Fault("", "choice_twice", {"list_yes_no": YES_NO + "no,Not\n"}),
    "a reserved property of an entity": Fault("text,b,B,,,,,,,name\n", "not_convertible", {"settings": ENTITIES}),
    "a syntax error": Fault("text,b,B,,${a} = = 1\n", "not_valid"),
    "an unknown function": Fault("text,b,B,,floor-of(3) = 1\n", "not_valid"),
    "a wrong number of arguments": Fault("text,b,B,,regex(${a})\n", "not_valid"),
    "a question that hangs on itself": Fault('calculate,b,,,,,,"${c} + 1"\ncalculate,c,,,,,,"${b} + 1"\n', "not_valid"),
    "a reference into a repeat without an index": Fault(
        "begin_repeat,r,R\ntext,b,B\nend_repeat\ncalculate,c,,,,,,/data/r/b + 1\n", "not_valid"
    ),
    "an attached file that is not there": Fault("", "media_missing", {"settings": SETTINGS + 'media = ["x.csv"]\n'}),
    "a question without translation": Fault("text,b,Untold\n", "translation_missing", untranslated="Untold"),
    "a choice without translation": Fault(
        "", "translation_missing", {"list_yes_no": YES_NO + "may,Untold\n"}, untranslated="Untold"
    ),
    "a hint without translation": Fault("text,b,B,Untold\n", "translation_missing", untranslated="Untold"),
    "a filter on a column that is not there": Fault(
        "select_one yes_no,b,B,,,,,,region = 'x'\n", "filter_column_unknown"
    ),
    "a comparison with a choice that is not there": Fault("text,b,B,,${a} = 'maybe'\n", "choice_unknown"),
}


def test_without_a_mistake_nothing_is_found(tmp_path: Path) -> None:
    """The form that the other tests spoil passes the engines."""
    write_form(tmp_path, survey=HEADER + ASKED, list_yes_no=YES_NO)
    complete(tmp_path)
    build_all(root=tmp_path)

    checked = check_command(root=tmp_path)

    assert (0, ()) == (checked.exit_status, checked.findings)


@pytest.mark.parametrize("fault", PASSED_BY_SOME.values(), ids=PASSED_BY_SOME.keys())
def test_a_mistake_is_found(tmp_path: Path, fault: Fault) -> None:
    """The check ends with status 1 and that finding, whatever the engines say of it."""
    write_form(tmp_path, survey=HEADER + ASKED + fault.rows, **{"list_yes_no": YES_NO, **fault.files})
    try:
        complete(tmp_path)
        _take_away(tmp_path, fault.untranslated)
        build_all(root=tmp_path)
    except FormError:  # a table that cannot be read, or a file that is not there: the check says so
        forget()

    checked = check_command(root=tmp_path)

    assert (1, True) == (checked.exit_status, fault.code in {finding.code for finding in checked.findings})


def _take_away(root: Path, text: str) -> None:
    """One translation fewer, in Persian."""
    if text:
        path = root / "translations" / "fa.po"
        path.write_text(path.read_text(encoding="utf-8").replace(f'"{text} (fa)"', '""'), encoding="utf-8")
        forget()


@pytest.mark.parametrize("column", ["relevent", "label::فارسی", "label::Français (fr)"])
def test_a_column_that_nothing_reads_is_found(tmp_path: Path, column: str) -> None:
    """Misspelt, or a language beside the PO files: pyxform ignores the one and mixes up the other without a word."""
    write_form(tmp_path, survey=f"type,name,label,{column}\ntext,a,A,x\n")

    checked = check_command(root=tmp_path, engines=False)

    assert ["unknown_column"] == [finding.code for finding in checked.findings]
    assert [("tiny/survey.csv", 1, column)] == [(one.file, one.row, one.column) for one in checked.findings]


def test_a_language_without_a_code_is_found(tmp_path: Path) -> None:
    """Enketo takes direction and language from the code in brackets."""
    write_form(tmp_path, survey="type,name,label\ntext,a,A\n")
    complete(tmp_path)
    pack = tmp_path / "packs" / "land"
    pack.mkdir(parents=True)
    (pack / "pack.toml").write_text('title = "Land"\n[languages]\nprs = "Dari"\n[fallback]\nprs = "fa"\n')

    checked = check_command(root=tmp_path, engines=False, pack="land")

    assert ["not_convertible"] == sorted({finding.code for finding in checked.findings})
