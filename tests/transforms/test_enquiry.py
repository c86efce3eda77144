"""What an enquiry promises: alone on a web link, hardly anything is asked, and nobody but the own society receives it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.disclosure import Approvals, Release, Stamp, Withheld, clear
from connector.model import Audience, Recipient, Submission
from connector.transforms.enquiry import Enquiry
from connector.transforms.registry import to_record
from forms.policy import policy
from forms.tables import load, walk

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANSWERS = {
    "branch_code": "101",
    "interview_date": "2026-11-20",
    "info_notice_given": "yes",
    "c_collect": "yes",
    "consent_giver": "subject",
    "case_code": "10100047116",
    "enq_name_full_native": "Umm Khaled",
    "enq_phone": "+963944000111",
    "enq_phone_safe": "yes",
    "enq_channel_pref": "call",
    "s_relation": "son",
    "s_last_country": "LB",
}


def _record(**changed: str) -> Enquiry:
    answers = {name: value for name, value in {**ANSWERS, **changed}.items() if value}
    record = to_record(Submission("kobo", "enquiry", "r", "i", 1, None, NOW, answers))
    assert isinstance(record, Enquiry)
    return record


def _clear(record: Enquiry, to: Recipient, who: str | None = None) -> object:
    users = Approvals(users=frozenset({"one", "two"}))
    return clear(record, policy("enquiry"), Audience("t", to, who), Stamp("r", 1, "IR-RCS", "k", NOW), users, NOW)


def test_the_own_society_can_call_back_safely() -> None:
    """By which name, on which number, in which way; and whom the person misses, by relation and country alone."""
    release = _clear(_record(), Recipient.OWN_SOCIETY)
    assert isinstance(release, Release)
    assert ("Umm Khaled", {"relation": "son", "country": "LB"}) == (release.fields["name"], release.fields["missed"])
    assert {"phone": "+963944000111", "phone_safe": "yes", "channel": "call"} == release.fields["contact"]


@pytest.mark.parametrize("to", [one for one in Recipient if one not in (Recipient.OWN_SOCIETY, Recipient.STATISTICS)])
def test_nobody_else_receives_an_enquiry(to: Recipient) -> None:
    """The form asks for no sharing; a yes that somebody writes into the record by hand changes nothing in the policy."""
    assert isinstance(_clear(_record(), to, "TR-RC"), Withheld)
    assert [] == [name for name in load("enquiry").questions if policy("enquiry").may_receive(name, str(to))]


def test_a_no_leaves_nothing_to_send() -> None:
    """Without a yes to being written down not even the own society receives anything."""
    assert isinstance(_clear(_record(c_collect="no"), Recipient.OWN_SOCIETY), Withheld)


def test_nothing_of_the_person_missed_but_relation_and_region() -> None:
    """No name, no birth, no story: somebody may be watching."""
    asked = {name for name in load("enquiry").questions if name.startswith("s_")}
    assert {"s_relation", "s_last_country", "s_last_adm1"} == asked


def test_the_name_is_asked_after_two_screens() -> None:
    """The warning, the notice, and then by what name to ask."""
    rows = list(walk(load("enquiry").rows))
    place = next(n for n, (row, _) in enumerate(rows) if row.name == "enq_name_full_native")
    screens = [row.name for row, _ in rows[:place] if row["appearance"] == "field-list"]
    assert ["welcome", "consent_opening", "enquirer"] == screens
