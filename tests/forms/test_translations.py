"""PO files: what is missing is listed, what is merged survives, and nothing of the English is lost."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from tiny import write_form

from forms.errors import FormError
from forms.tables import load
from forms.translations import merge, missing, source_texts, texts, tidy

SURVEY = "type,name,label,hint\ntext,a,Name,In full\ntext,b,Name,\nselect_one yes_no,c,Sure?,\n"
YES_NO = "name,label\nyes,Yes\nno,No\n"


def test_each_text_is_listed_once_in_the_order_of_the_form(tmp_path: Path) -> None:
    """Title, labels, hints and choices: a text that stands twice is translated once."""
    root = write_form(tmp_path, survey=SURVEY, list_yes_no=YES_NO)
    assert source_texts("tiny", root) == ("Tiny form", "Name", "In full", "Sure?", "Yes", "No")


def test_what_is_merged_is_no_longer_missing(tmp_path: Path) -> None:
    """An empty translation counts as none; the title of a form comes from the same file."""
    root = write_form(tmp_path, survey=SURVEY, list_yes_no=YES_NO)
    merge("ar", {"Name": "الاسم", "Tiny form": "استمارة", "Yes": ""}, root)
    assert missing("ar", root) == ["In full", "Sure?", "Yes", "No"]
    assert load("tiny", root).title("ar") == "استمارة"
    assert load("tiny", root).title("fa") == "Tiny form"


LOSSES = {
    "a reference": ("Age of ${s_name}?", "كم عمره؟"),
    "another reference": ("Age of ${s_name}?", "عمر ${enq_name}؟"),
    "bold": ("**Never** write it", "لا تكتبه أبدا"),
    "a line break": ("One\nTwo", "واحد اثنان"),
    "a heading": ("# Part one", "الجزء الأول"),
}


@pytest.mark.parametrize(("english", "arabic"), LOSSES.values(), ids=LOSSES.keys())
def test_a_translation_that_loses_something_is_refused(tmp_path: Path, english: str, arabic: str) -> None:
    """The others of the same merge are written."""
    merged = merge("ar", {english: arabic, "Name": "الاسم"}, tmp_path)
    assert [finding.code for finding in merged.refused] == ["translation_differs"]
    assert texts("ar", tmp_path) == {"Name": "الاسم"}


def test_the_file_is_sorted_and_says_that_it_is_a_draft(tmp_path: Path) -> None:
    """The same texts give the same bytes in whatever order they came; a reviewer's header is kept."""
    merge("fa", {"b": "ب", "a": "الف"}, tmp_path)
    path = tmp_path / "translations/fa.po"
    first = path.read_text(encoding="utf-8")
    assert "machine-drafted, not yet reviewed by a native practitioner" in first
    assert first.index('msgid "a"') < first.index('msgid "b"')
    merge("fa", {"a": "الف"}, tmp_path)
    assert path.read_text(encoding="utf-8") == first
    path.write_text(first.replace("machine-drafted, not yet reviewed", "reviewed"), encoding="utf-8")
    merge("fa", {"c": "پ"}, tmp_path)
    assert "machine-drafted" not in path.read_text(encoding="utf-8")


def test_an_unused_text_can_be_taken_out(tmp_path: Path) -> None:
    """Only what stands in no form any more goes."""
    root = write_form(tmp_path, survey=SURVEY, list_yes_no=YES_NO)
    merge("fr", {"Name": "Nom", "Gone": "Parti"}, root)
    assert tidy("fr", root) == 1
    assert texts("fr", root) == {"Name": "Nom"}


def _merge_one(number: int, root: Path) -> int:
    return merge("ar", {f"text {number}": f"نص {number}"}, root).written


def test_several_people_may_merge_at_once(tmp_path: Path) -> None:
    """No translation of one is lost to the other's."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert sum(pool.map(_merge_one, range(24), [tmp_path] * 24)) == 24
    assert len(texts("ar", tmp_path)) == 24


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    """English is the source and has no file."""
    with pytest.raises(FormError, match=r"forms\.unknown_language"):
        merge("de", {}, tmp_path)
