"""What is meant as a code holds no way to reach anybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from connector.errors import TransformError
from connector.model import Submission
from connector.transforms.codes import coded_questions, is_code
from connector.transforms.registry import RECORDS, to_record
from forms.policy import policy
from forms.tables import load
from tests.conftest import Node

SENT = datetime(2026, 11, 20, tzinfo=UTC)
REACHES_SOMEBODY = (
    "+963944000111", "+963 944 000 111", "00963-944-000-111", "0912 345 6789", "09123456789", "(02) 555 12 34",
    "tel0791234567", "٠٩١٢٣٤٥٦٧٨٩", "amina@example.org", "Amina Haddad", "ask for Amina, 2nd floor", "x" * 41,
)  # fmt: skip
OF_OURS = (
    "10167650901", "10112345678", "101", "V-07", "AE/2026/0001234", "2026-11-000123", "BIA 12 / 2026", "2026-11-20", "3.0", "IR-RCS",
    "0f8fad5b-d9cb-469f-a165-70867728950e", "00000000-0000-4000-8000-000000000001", "12/الف",
)  # fmt: skip


def _record(**answers: str) -> object:
    given = {"interview_date": "2026-11-20", "codes_only": "yes", "be_sex": "female", **answers}
    return to_record(Submission("kobo", "service_delivery", "r", "i", 1, None, SENT, given))


@pytest.mark.parametrize("question", ["case_code", "referral_ref", "collector_code", "org_code"])
@pytest.mark.parametrize("answer", REACHES_SOMEBODY)
def test_a_code_that_reaches_somebody_is_refused(question: str, answer: str) -> None:
    """R14: a telephone number, an e-mail address, or more than a code where a code belongs: no record is made, and the
    error names the question and never what stood there."""
    with pytest.raises(TransformError) as refused:
        _record(**{question: answer})
    assert ("answer.not_a_code", question) == (refused.value.code, refused.value.where)
    assert answer not in str(refused.value)


@pytest.mark.parametrize("answer", ["0791234567", "+963944000111"])
def test_a_typed_choice_is_no_telephone_number(answer: str) -> None:
    """R14: where a country's branches have no list yet and their code is typed, a number of somebody is refused too."""
    with pytest.raises(TransformError) as refused:
        _record(branch_code=answer)
    assert ("answer.not_a_code", "branch_code") == (refused.value.code, refused.value.where)


@pytest.mark.parametrize("answer", OF_OURS)
def test_codes_of_ours_are_read(answer: str) -> None:
    """R14 stops no work: case codes (a wrong check digit too), days, references and ids of the forms are codes."""
    assert is_code(answer)
    assert _record(referral_ref=answer)


@pytest.mark.parametrize("form_id", sorted(RECORDS))
def test_no_written_answer_is_counted_unlooked_at(form_id: str) -> None:
    """R14: whatever of a form goes into figures and is written or worked out is held to a code; the choices are held to
    their lists already."""
    rules, written = policy(form_id), {"text", "calculate", "barcode", "hidden"}
    counted = {
        name
        for name, one in load(form_id).questions.items()
        if one.type in written and rules.may_receive(name, "statistics")
    }
    assert counted
    assert set() == counted - coded_questions(form_id)


def test_it_is_parked_with_its_question_alone(node: Node) -> None:
    """R14: the submission waits for somebody to mend it, is sent to nobody, and nothing that is told holds the number."""
    answers = {"interview_date": "2026-11-20", "codes_only": "yes", "be_sex": "female", "case_code": "+963944000111"}
    submission = Submission("kobo", "service_delivery", "r", "i", 1, None, SENT, answers)
    prepared = node.flow.prepare(submission, None)
    assert (None, ("answer.not_a_code", "case_code")) == (prepared.record, prepared.fault)
    assert "963944000111" not in json.dumps(prepared.fault)
