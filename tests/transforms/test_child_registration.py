"""What the registration of a child promises: no consent of a child, best interests with a reason, and a no that protects."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connector.disclosure import Approvals, Release, Stamp, Waiting, Withheld, clear
from connector.model import Answer, Audience, Recipient, Submission
from connector.transforms.child_registration import ChildRegistration
from connector.transforms.registry import to_record
from forms.policy import policy
from forms.tables import load, walk

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOBODY = Approvals()
ONE_USER = Approvals(users=frozenset({"one"}))
ANSWERS: dict[str, Answer] = {
    "branch_code": "101",
    "interview_date": "2026-11-20",
    "legal_basis": "consent",
    "level": "quick",
    "info_notice_given": "yes",
    "search_danger": "no",
    "c_collect": "yes",
    "consent_giver": "parent",
    "consent_confirm": "yes",
    "c_share_icrc": "yes",
    "share_wider": "yes",
    "c_share_un_agency": "yes",
    "which_un_agency": "unicef",
    "child_assent": "yes",
    "wants_tracing": "yes",
    "ch_name_full_native": "Sami Noor",
    "ch_dob_kind": "age",
    "ch_age": "9",
    "ch_sex": "male",
    "ch_photo": "sami.jpg",
    "protection_concerns": "caafag",
    "mo_name_full_native": "Huda Noor",
    "mo_phone": "+963944000111",
    "siblings": ({"siblings/sib_name": "Layla", "siblings/sib_age": "4"},),
}
BEST_INTERESTS: dict[str, Answer] = {
    "legal_basis": "best_interests",
    "basis_reason": "No adult is with the child.",
    "basis_approved_by": "S-01",
    "ns_destination": "SY-RC",
}


def _record(**changed: Answer) -> ChildRegistration:
    answers = {name: value for name, value in {**ANSWERS, **changed}.items() if value}
    record = to_record(Submission("kobo", "child_registration", "r", "i", 1, None, NOW, answers))
    assert isinstance(record, ChildRegistration)
    return record


def _clear(record: ChildRegistration, to: Recipient, who: str | None = None, said: Approvals = NOBODY) -> object:
    stamp = Stamp("r", 1, "IR-RCS", "k", NOW)
    return clear(record, policy("child_registration"), Audience("t", to, who), stamp, said, NOW)


def test_a_child_is_read_as_it_was_said() -> None:
    """The name in roles, the age as the days it can mean, mother and brothers apart, what nobody asked absent."""
    record = _record()
    assert record.child is not None
    assert record.child.birth is not None
    assert record.mother is not None
    assert (date(2016, 11, 21), date(2017, 11, 20)) == (record.child.birth.earliest, record.child.birth.latest)
    assert record.mother.name is not None
    assert ("Huda Noor", "Layla", 4) == (record.mother.name.full, record.siblings[0].name, record.siblings[0].age)
    assert (None, None) == (record.father, record.separation)


@pytest.mark.parametrize("missing", ["basis_reason", "basis_approved_by"])
def test_best_interests_without_reason_or_supervisor_open_nothing(missing: str) -> None:
    """An incomplete basis sends to nobody, not even home, whatever consents were ticked beside it."""
    record = _record(**{**BEST_INTERESTS, missing: ""})
    for to, who in ((Recipient.OWN_SOCIETY, None), (Recipient.ICRC, None), (Recipient.UN_AGENCY, "unicef")):
        assert isinstance(_clear(record, to, who, ONE_USER), Withheld)


def test_best_interests_stay_in_the_movement() -> None:
    """Home at once; the ICRC and the society named after a release; no organisation beside, although ticked."""
    record = _record(**BEST_INTERESTS)
    assert isinstance(_clear(record, Recipient.OWN_SOCIETY), Release)
    assert isinstance(_clear(record, Recipient.ICRC), Waiting)
    assert isinstance(_clear(record, Recipient.ICRC, None, ONE_USER), Release)
    assert isinstance(_clear(record, Recipient.NATIONAL_SOCIETY, "SY-RC", ONE_USER), Release)
    assert isinstance(_clear(record, Recipient.NATIONAL_SOCIETY, "TR-RC", ONE_USER), Withheld)
    assert isinstance(_clear(record, Recipient.UN_AGENCY, "unicef", ONE_USER), Withheld)


@pytest.mark.parametrize(
    "changed",
    [
        {"child_assent": "no"},
        {"wants_tracing": "no"},
        {"wants_tracing": "undecided"},
        {"does_not_want_contact_with": "An uncle"},
        {"search_danger": "unknown"},
        {"separation_cause": "adoption_care"},
        {"protection_concerns": "arrested_detained", "c_share_icrc": ""},
    ],
)
def test_a_no_of_the_child_protects_and_does_not_trace(changed: dict[str, Answer]) -> None:
    """Home alone until a named user has looked: a no, an open question, somebody feared, danger, a dispute, detention."""
    record = _record(**changed)
    assert isinstance(_clear(record, Recipient.OWN_SOCIETY), Release)
    assert isinstance(_clear(record, Recipient.UN_AGENCY, "unicef"), Waiting)
    assert isinstance(_clear(record, Recipient.UN_AGENCY, "unicef", ONE_USER), Release)


def test_an_organisation_that_may_help_gets_what_a_search_needs() -> None:
    """Names and ages of the child and the family; no photo, no telephone, nothing that staff noticed."""
    release = _clear(_record(), Recipient.UN_AGENCY, "unicef")
    assert isinstance(release, Release)
    sent = repr(dict(release.fields))
    assert [word for word in ("Sami Noor", "Huda Noor", "Layla") if word not in sent] == []
    assert [word for word in ("sami.jpg", "944000111", "caafag") if word in sent] == []


def test_nothing_of_a_child_is_published() -> None:
    """No question of publication, and no line that lets the public have anything."""
    rules = policy("child_registration")
    assert "c_publish_photo_online" not in load("child_registration").questions
    assert [name for name in rules.class_of if rules.may_receive(name, "public")] == []


def test_the_legal_basis_is_the_first_question_after_the_interview() -> None:
    """Staff settle on what basis anything is written down before the adult or the child is asked anything."""
    paths = (question.path for question in load("child_registration").questions.values() if question.label)
    assert "basis/legal_basis" == next(path for path in paths if not path.startswith("interview/"))


def test_the_name_is_asked_after_five_screens() -> None:
    """Interview, basis, consent, sharing, assent; other organisations are a sixth only for those who ask for them."""
    rows = list(walk(load("child_registration").rows))
    place = next(n for n, (row, _) in enumerate(rows) if row.name == "ch_name_full_native")
    screens = [row.name for row, _ in rows[:place] if row["appearance"] == "field-list"]
    common = ["interview", "basis", "consent_opening", "consent_sharing", "assent", "ch_name"]
    assert common == [name for name in screens if name != "consent_wider"]
