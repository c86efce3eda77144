"""What a step of a search promises: the enquirer hears what the person found allowed, and without that nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connector.disclosure import Approvals, Release, Stamp, Withheld, clear
from connector.model import Audience, Recipient, Submission
from connector.transforms.registry import to_record
from connector.transforms.tracing_action import Answer, TracingAction, may_be_told
from forms.policy import policy
from forms.tables import load

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = date(2026, 11, 20)
FOUND = {
    "branch_code": "101",
    "case_code": "10100047116",
    "action_date": "2026-11-20",
    "action_type": "field_visit",
    "outcome": "successful",
    "found": "alive",
    "person_reached": "yes",
    "info_notice_given": "yes",
    "c_collect": "yes",
    "consent_ts": "2026-11-20T09:00:00.000+00:00",
    "consent_giver": "subject",
    "codes_only": "no",
    "found_minor": "no",
    "c_found_tell": "phone",
    "found_phone": "+963944000111",
    "found_address": "House behind the mill",
}
STEP = {
    "branch_code": "101",
    "case_code": "10100047116",
    "action_date": "2026-11-20",
    "action_type": "list_check",
    "outcome": "pending",
    "action_adm1": "LB91",
    "action_notes": "Asked again.",
    "codes_only": "yes",
}


def _record(answers: dict[str, str] = FOUND, **changed: str) -> TracingAction:
    given = {name: value for name, value in {**answers, **changed}.items() if value}
    record = to_record(Submission("kobo", "tracing_action", "r", "i", 1, None, NOW, given))
    assert isinstance(record, TracingAction)
    return record


def _clear(record: TracingAction, to: Recipient, who: str | None = None) -> object:
    users = Approvals(users=frozenset({"one", "two"}))
    return clear(
        record, policy("tracing_action"), Audience("t", to, who), Stamp("r", 1, "IR-RCS", "k", NOW), users, NOW
    )


def test_what_was_allowed_may_be_told_and_no_more() -> None:
    """A yes to the number opens the number, not the address that stands beside it."""
    assert Answer("phone", "+963944000111", None) == may_be_told(_record(), TODAY)
    assert Answer("alive", None, None) == may_be_told(_record(c_found_tell="alive"), TODAY)
    assert Answer("address", None, "House behind the mill") == may_be_told(_record(c_found_tell="address"), TODAY)


@pytest.mark.parametrize(
    "changed",
    [
        {"c_found_tell": ""},
        {"c_found_tell": "nothing"},
        {"c_collect": "no"},
        {"c_collect": ""},
        {"info_notice_given": ""},
        {"consent_giver": ""},
        {"found": "deceased"},
        {"found": ""},
        {"person_reached": "no"},
        {"found_minor": "yes"},
        {"found_minor": ""},
        {"consent_ts": "2026-11-22T09:00:00.000+00:00"},
        {"consent_ts": "2025-11-01T09:00:00.000+00:00"},
    ],
)
def test_without_a_clear_yes_nothing_is_told(changed: dict[str, str]) -> None:
    """Blank is nothing, not even that the person lives; so is every doubt about who agreed, to what and when."""
    assert Answer("nothing", None, None) == may_be_told(_record(**changed), TODAY)


def test_a_blank_answer_is_nothing_in_the_record() -> None:
    """The record itself says `nothing`, whatever else it holds."""
    assert ("nothing", "nothing") == (_record(STEP).found_tell, _record(c_found_tell="").found_tell)


def test_a_mother_may_decide_with_her_child() -> None:
    """Who may be under age needs a parent, guardian or caregiver as the one who agrees."""
    record = _record(found_minor="unknown", consent_giver="parent", c_found_tell="message")
    assert Answer("message", None, None) == may_be_told(record, TODAY)


def test_a_step_that_asked_nobody_goes_home() -> None:
    """Codes of our own work need no consent; the place and the notes of a step stay at home."""
    release = _clear(_record(STEP), Recipient.OWN_SOCIETY)
    assert isinstance(release, Release)
    assert "Asked again." == release.fields["notes"]
    assert isinstance(_clear(_record(STEP), Recipient.ICRC), Withheld)


def test_a_person_found_who_said_no_leaves_nothing_behind() -> None:
    """After a no to being written down the record goes to nobody, the own society included."""
    record = _record(c_collect="no", c_found_tell="", found_phone="", found_address="")
    assert isinstance(_clear(record, Recipient.OWN_SOCIETY), Withheld)


@pytest.mark.parametrize("to", [one for one in Recipient if one not in (Recipient.OWN_SOCIETY, Recipient.STATISTICS)])
def test_the_person_found_is_known_to_the_own_society_alone(to: Recipient) -> None:
    """The form asks for no sharing, so nobody else receives anything, whatever was allowed for the enquirer."""
    assert isinstance(_clear(_record(), to, "unhcr"), Withheld)


def test_no_name_is_asked_of_the_person_found() -> None:
    """The search has a case code; the form has no question of a name."""
    assert [name for name in load("tracing_action").questions if "name" in name] == []
