"""Rules that hold over all forms: the check digit, and absent, unknown and refused as three different values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forms.tables import BEGINS, FORMS, TITLE_NOTE, ChoiceList, FormDefinition, Row, form_ids, load, read_table

NO_ANSWER = ("unknown", "nr", "pnts")
"""Does not know, not recorded, prefers not to say; an answer that is absent has none of them."""
_OTHER_SPELLINGS = frozenset(
    {"dont_know", "dk", "not_known", "not_recorded", "na", "n_a", "prefer_not", "no_answer", "none_given"}
)
_LABELS = {
    "unknown": {"I do not know", "Not known", "Country not known yet"},
    "nr": {"Not recorded"},
    "pnts": {"I prefer not to say"},
}


def _code_rows(form: FormDefinition) -> Iterator[Row]:
    """The questions that take a case code of an earlier form."""
    return (row for row in form.rows if row.type in ("text", "barcode") and row.name.endswith("case_code"))


def _block(block: str, name: str) -> Row:
    _, rows = read_table(FORMS, FORMS / "blocks" / f"{block}.csv", [])
    return next(row for row in rows if row.name == name)


@pytest.mark.parametrize("form_id", form_ids())
def test_every_case_code_is_made_or_verified_in_one_way(form_id: str) -> None:
    """Where a form takes a code it verifies the check digit, and says what to do; where it makes one, by the same block."""
    form = load(form_id)
    verified = _block("case_ref", "case_code")
    for row in _code_rows(form):
        assert (verified["constraint"], True) == (row["constraint"], bool(row["constraint_message"]))
    if "case_code_base" in form.questions:
        digits = _block("case_code", "case_code")["calculation"].removeprefix("once(").removesuffix(")")
        made = next(row for row in form.rows if row.name == "case_code" and row.type == "calculate")
        assert digits in made["calculation"]


@pytest.mark.parametrize("form_id", form_ids())
def test_the_first_screen_says_which_form_it_is(form_id: str) -> None:
    """Servers and devices show the title of the settings in one language; the first screen says it in the reader's own."""
    shown = [row.name for row in load(form_id).rows if row["label"] and row.type not in BEGINS]
    assert TITLE_NOTE == shown[0]


def _lists() -> Iterator[tuple[str, ChoiceList]]:
    for form_id in form_ids():
        yield from ((form_id, choices) for choices in load(form_id).choices.values())


def test_what_is_no_answer_stands_last_and_is_spelt_in_one_way() -> None:
    """`unknown`, `nr`, `pnts`, in the same words everywhere and after all answers; no other spelling of them."""
    for form_id, choices in _lists():
        found = [name for name in choices.names if name in NO_ANSWER]
        assert list(choices.names[len(choices.names) - len(found) :]) == found, (form_id, choices.name)
        assert set(choices.names) & _OTHER_SPELLINGS == set(), (form_id, choices.name)
        for choice in choices.choices:
            assert choice.name not in _LABELS or choice.label in _LABELS[choice.name], (form_id, choices.name)


def test_nothing_is_taken_for_unknown_by_itself() -> None:
    """No question is filled in beforehand with unknown, not recorded or prefers not to say: absent stays absent."""
    for form_id in form_ids():
        filled = [row.name for row in load(form_id).rows if row["default"].strip("'\"") in NO_ANSWER]
        assert [] == filled, form_id


@pytest.mark.parametrize("form_id", form_ids())
def test_a_required_question_about_a_person_can_be_left_open(form_id: str) -> None:
    """Sex, birth and date of a person have an answer for who does not know or does not want to say."""
    form = load(form_id)
    for row in form.rows:
        if row["required"] == "yes" and row.list_name in ("sex", "sex_counted", "dob_kind", "date_kind", "age_group"):
            assert set(form.choices[str(row.list_name)].names) & {*NO_ANSWER}, row.name
