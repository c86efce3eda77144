"""What a family reunification promises: nobody goes who does not want to, and a permit tells an authority the least."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connector.disclosure import Approvals, Release, Stamp, Waiting, clear
from connector.model import Answer, Audience, Recipient, Submission
from connector.transforms.registry import to_record
from connector.transforms.reunification import Reunification
from forms.policy import policy
from forms.tables import load, walk

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHILD = {"tv_name_full_native": "Layla Omar", "tv_dob_kind": "age", "tv_age": "9", "child_assent": "yes"}
ANSWERS: dict[str, Answer] = {
    "branch_code": "101",
    "interview_date": "2026-11-20",
    "legal_basis": "consent",
    "info_notice_given": "yes",
    "c_collect": "yes",
    "consent_giver": "parent",
    "consent_confirm": "yes",
    "c_share_icrc": "yes",
    "risk_explained": "yes",
    "c_share_authorities": "yes",
    "which_authorities": "immigration",
    "traveller": ({f"traveller/{name}": value for name, value in CHILD.items()},),
    "rel_name_full_native": "Huda Salem",
    "rel_agrees": "yes",
    "rel_status_kind": "refugee",
    "reunion_danger": "no",
    "leg": ({"leg/leg_from": "Amman", "leg/leg_to": "Ankara", "leg/leg_date": "2027-01-10"},),
    "cost_amount": "120.5",
    "cost_currency": "JOD",
}


def _record(**changed: Answer) -> Reunification:
    answers = {name: value for name, value in {**ANSWERS, **changed}.items() if value}
    record = to_record(Submission("kobo", "reunification", "r", "i", 1, None, NOW, answers))
    assert isinstance(record, Reunification)
    return record


def _clear(record: Reunification, recipient: Recipient, users: frozenset[str] = frozenset()) -> object:
    to = Audience("t", recipient, "immigration")
    return clear(record, policy("reunification"), to, Stamp("r", 1, "IR-RCS", "k", NOW), Approvals(users=users), NOW)


def test_a_family_is_read_as_it_was_said() -> None:
    """Travellers with their ages as intervals, the parts of the journey in order, the costs in their currency."""
    record = _record()
    (child,) = record.travellers
    assert child.birth is not None
    assert (date(2016, 11, 21), date(2017, 11, 20)) == (child.birth.earliest, child.birth.latest)
    assert ("yes", "Amman", "2027-01-10") == (child.assent, record.legs[0].origin, record.legs[0].on)
    assert record.costs is not None
    assert (120.5, "JOD") == (record.costs.amount, record.costs.currency)


@pytest.mark.parametrize(
    "changed",
    [
        {"traveller": ({"traveller/child_assent": "no"},)},
        {"traveller": ({"traveller/tv_agrees": "no"},)},
        {"rel_agrees": "unknown"},
        {"rel_agrees": "no"},
        {"reunion_danger": "unknown"},
        {"restrict_text": "Nobody in the village."},
    ],
)
def test_whoever_does_not_want_it_holds_it(changed: dict[str, Answer]) -> None:
    """A no of a child or an adult, a relative who has not said yes, danger or a restriction: a named user looks first."""
    assert isinstance(_clear(_record(), Recipient.ICRC), Release)
    assert isinstance(_clear(_record(**changed), Recipient.ICRC), Waiting)


def test_an_authority_learns_who_travels_and_no_more() -> None:
    """After two users released it: name, birth and journey; nothing of the relative who waits, of status or danger."""
    held = _clear(_record(), Recipient.AUTHORITIES)
    assert isinstance(held, Waiting)
    release = _clear(_record(), Recipient.AUTHORITIES, frozenset({"one", "two"}))
    assert isinstance(release, Release)
    assert {"travellers", "legs"} == set(release.fields)
    assert [word for word in ("Huda", "refugee", "120.5") if word in repr(dict(release.fields))] == []


def test_the_name_is_asked_after_five_screens() -> None:
    """Interview, case, consent, sharing and permits; then the first name."""
    rows = list(walk(load("reunification").rows))
    place = next(n for n, (row, _) in enumerate(rows) if row.name == "tv_name_full_native")
    screens = [row.name for row, _ in rows[:place] if row["appearance"] == "field-list"]
    assert ["interview", "which_case", "consent_opening", "consent_sharing", "permits", "tv_name"] == screens
