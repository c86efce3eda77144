"""`silah policy show`: the officer's table says what the gate does, and what changed since it was signed."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from openpyxl import load_workbook

from connector.cli import main
from connector.errors import Refused
from connector.model import Recipient
from connector.papers.page import LANGUAGES, Language, word
from connector.papers.policy_table import Change, as_html, as_xlsx, table_of
from forms.errors import FormError
from forms.policy import policy
from forms.tables import FORMS, form_ids, load

FORM = "tracing_request"


def changed_copy(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """A folder of forms in which one form's policy reads otherwise."""
    folder = tmp_path / "earlier"
    (folder / FORM).mkdir(parents=True)
    text = (FORMS / FORM / "policy.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert re.search(old, text, re.MULTILINE), old
        text = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    (folder / FORM / "policy.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("form_id", form_ids())
def test_the_table_says_what_the_gate_does(form_id: str) -> None:
    """Every question of the form is in it, in the form's order, with exactly the recipients that the gate lets have it."""
    rules, table = policy(form_id), table_of(form_id, "en")
    assert list(load(form_id).questions) == [line.question for line in table.lines]
    for line in table.lines:
        asked = {one for one in Recipient if rules.lets_go((line.question,), one, frozenset()) is not None}
        assert asked == line.recipients


def test_a_question_that_nobody_decided_on_is_shown_so(tmp_path: Path) -> None:
    """A new question goes to nobody, and the table says that in every form it takes."""
    root = tmp_path / "forms"
    shutil.copytree(FORMS, root, ignore=shutil.ignore_patterns("xlsx", "__pycache__"))
    file = root / FORM / "policy.toml"
    file.write_text(
        re.sub(r"^enq_phone = .*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8"
    )
    table = table_of(FORM, "en", root=root)
    [line] = [line for line in table.lines if line.question == "enq_phone"]
    assert (None, frozenset()) == (line.class_of_data, line.recipients)
    assert word("table.undecided", "en") in as_html([table], "en")


def test_the_difference_between_two_versions(tmp_path: Path) -> None:
    """A recipient more, a recipient less, another class, a question more, a question less: each is told, nothing else."""
    assert () == table_of(FORM, "en", FORMS).changes
    folder = changed_copy(
        tmp_path,
        (r'^enq_phone = "[^"]*"', 'enq_phone = "internal"'),
        (r"^urgency = .*\n", ""),
        (r"^\[questions\]\n", '[questions]\nenq_old = "case"\n'),
    )
    for against in (folder, folder / FORM / "policy.toml"):
        changes = table_of(FORM, "en", against).changes
        assert changes is not None
        assert {
            Change("enq_phone", "class_changed", "internal"), Change("urgency", "added"), Change("enq_old", "removed"),
        } <= set(changes)  # fmt: skip
        assert {"enq_phone", "urgency", "enq_old"} == {change.question for change in changes}
        gained = {change.what for change in changes if change.question == "enq_phone" and change.kind == "gains"}
        assert gained == table_line("enq_phone") - {"own_society"}
        assert "loses" in {change.kind for change in changes if change.question == "enq_old"}


def table_line(question: str) -> frozenset[str]:
    return next(line.recipients for line in table_of(FORM, "en").lines if line.question == question)


def test_a_policy_that_is_not_there_or_no_policy(tmp_path: Path) -> None:
    """Compared with nothing, or with a file that is none, it says so and shows no empty difference."""
    (tmp_path / "broken.toml").write_text("= no", encoding="utf-8")
    with pytest.raises(Refused):
        table_of(FORM, "en", tmp_path)
    with pytest.raises(FormError):
        table_of(FORM, "en", tmp_path / "broken.toml")


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_and_workbook_hold_the_same(language: Language) -> None:
    """HTML and .xlsx have a row a question and a column a recipient, from right to left where that is read so."""
    table = table_of(FORM, language)
    page = as_html([table], language)
    assert (len(table.lines), [], language in {"ar", "fa"}) == (
        page.count("<tr") - 1, re.findall(r"<script|https?://|src=", page), 'dir="rtl"' in page,
    )  # fmt: skip
    book = load_workbook(io.BytesIO(as_xlsx([table], language)))
    sheet = book[FORM]
    assert (len(table.lines) + 1, 2 + len(Recipient)) == (sheet.max_row, sheet.max_column)
    assert (language in {"ar", "fa"}) == bool(sheet.sheet_view.rightToLeft)
    marked = sum(cell.value == "●" for row in sheet.iter_rows(min_row=2) for cell in row)
    assert sum(len(line.recipients) for line in table.lines) == marked == page.count("●")
    assert {"f"} & {cell.data_type for row in sheet.iter_rows() for cell in row} == set()


def test_the_command_needs_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed, as JSON, as files; an unknown form is refused."""
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    told = json.loads(run(main, ["policy", "show", FORM, "--json", "--against", str(FORMS)]).stdout)
    assert ([FORM], [[]]) == ([one["form"] for one in told], [one["changes"] for one in told])
    assert "enq_phone" in run(main, ["policy", "show", FORM]).stdout
    done = run(main, ["policy", "show", FORM, "--html", "a.html", "--xlsx", "a.xlsx", "--lang", "fa"])
    assert (0, True, True) == (done.exit_code, (tmp_path / "a.html").is_file(), (tmp_path / "a.xlsx").is_file())
    assert 1 == run(main, ["policy", "show", "no_form"]).exit_code
    one_file = str(FORMS / FORM / "policy.toml")
    assert "policy.one_form" in run(main, ["policy", "show", "--against", one_file]).stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_how_long_it_stays_is_in_the_table(tmp_path: Path, language: Language) -> None:
    """A class with a time of its own is named with it, and a changed time is among the changes."""
    folder = tmp_path / "earlier"
    (folder / "family_visit").mkdir(parents=True)
    text = (FORMS / "family_visit" / "policy.toml").read_text(encoding="utf-8")
    (folder / "family_visit" / "policy.toml").write_text(text.replace("days = 30", "days = 90"), encoding="utf-8")
    table = table_of("family_visit", language, folder)
    assert {"v_name_full_native", "v_father", "v_doc_type", "v_doc_no", "v_permit_relation"} == {
        one.question for one in table.changes or () if one.kind == "keep_changed"
    }
    page = as_html([table], language)
    assert "30" in re.sub("<[^>]+>", " ", page.partition("<table")[0])
    assert word("table.keep_changed", language) in page
