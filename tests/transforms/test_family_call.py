"""What a family call promises: who took part is counted by sex with a place for what was not recorded, and detention stays."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from connector.model import Recipient, Submission
from connector.transforms.family_call import FamilyCall
from connector.transforms.registry import to_record
from forms.policy import policy
from forms.tables import load, walk

ANSWERS = {
    "interview/branch_code": "101",
    "interview/interview_date": "2026-11-20",
    "consent/consent_opening/info_notice_given": "yes",
    "consent/consent_opening/c_collect": "yes",
    "consent/consent_opening/consent_giver": "subject",
    "consent/consent_sharing/c_share_icrc": "yes",
    "call/session/call_kind": "video",
    "call/far_end/detainee_ref": "ICRC-004512",
    "call/how_it_went/outcome": "held",
    "call/how_it_went/n_participants": "3",
    "call/n_male": "1",
    "call/n_female": "1",
    "call/n_nr": "1",
    "call/participant": tuple({"call/participant/pt_item/pt_sex": sex} for sex in ("male", "nr", "female")),
}


def _record() -> FamilyCall:
    record = to_record(
        Submission("kobo", "family_call", "r", "i", 1, None, datetime(2026, 11, 20, tzinfo=UTC), ANSWERS)
    )
    assert isinstance(record, FamilyCall)
    return record


def test_participants_are_counted_by_sex_and_nobody_is_lost() -> None:
    """Men, women and those not recorded add up to the whole; none of them stands for another."""
    record = _record()
    assert Counter(male=1, female=1, nr=1) == Counter(one.sex for one in record.participants)
    assert (1, 1, 1, 3) == (record.n_male, record.n_female, record.n_nr, record.n_participants)


def test_a_call_is_always_about_detention() -> None:
    """Whatever was answered, the gate treats it as detention; the yes to the ICRC is the only sharing there is."""
    record = _record()
    assert record.cautions.detention
    assert {Recipient.ICRC: frozenset()} == dict(record.consent.shares)


def test_nobody_beyond_the_icrc_is_named_in_the_policy() -> None:
    """Own society, ICRC, and counts for the figures; no authority, no other organisation."""
    assert {"own_society", "icrc", "statistics"} == set().union(*policy("family_call").recipients_of.values())


def test_the_person_who_is_held_is_named_only_without_a_number() -> None:
    """Four screens stand before the number, five before a name, which is asked only where there is no number."""
    rows = [row for row, _ in walk(load("family_call").rows)]
    screens = [row.name for row in rows if row["appearance"] == "field-list"]
    assert ["interview", "consent_opening", "consent_sharing", "session", "far_end", "det_name"] == screens[:6]
    assert "${detainee_ref_known} = 'no'" == next(row["relevant"] for row in rows if row.name == "det_who")
