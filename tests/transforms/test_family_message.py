"""What a message promises: its stages are codes that need nobody's consent, its text is never kept, detention stays."""

from __future__ import annotations

from datetime import UTC, date, datetime

from connector.model import Answers, Recipient, Submission
from connector.transforms.family_message import FamilyMessage
from connector.transforms.registry import to_record
from forms.policy import policy
from forms.tables import load, walk

STAGE: Answers = {
    "interview/branch_code": "101",
    "interview/interview_date": "2026-11-20",
    "the_message/rcm_event": "delivered",
    "the_message/rcm_no": "RCM-7",
    "the_message/rcm_event_on": "2026-11-19",
    "codes_only": "yes",
    "may_record": "no",
}
TAKEN: Answers = {
    "interview/interview_date": "2026-11-20",
    "the_message/rcm_event": "collected",
    "the_message/rcm_no": "RCM-7",
    "codes_only": "no",
    "consent/consent_opening/info_notice_given": "yes",
    "consent/consent_opening/c_collect": "yes",
    "consent/consent_opening/consent_giver": "subject",
    "consent/consent_sharing/c_share_ns_destination": "yes",
    "consent/consent_sharing/ns_destination": "TR-RC SY-RC",
    "rcm/snd_name/snd_name_full_native": "Layla Khatib",
    "rcm/adr_name/adr_name_full_native": "Samer Khatib",
}


def _record(answers: Answers) -> FamilyMessage:
    sent = datetime(2026, 11, 20, tzinfo=UTC)
    record = to_record(Submission("kobo", "family_message", "r", "i", 1, None, sent, answers))
    assert isinstance(record, FamilyMessage)
    return record


def test_a_stage_reaches_the_own_society_without_consent_and_nobody_else() -> None:
    """Nobody was asked anything: what is there is a number, a day and a code."""
    consent = _record(STAGE).consent
    assert (True, True, True) == (consent.collected, consent.notice_given, consent.giver_named)
    assert ({}, date.max) == (dict(consent.shares), consent.review_on)


def test_a_stage_with_a_name_in_it_is_no_stage() -> None:
    """What the form says of itself is not believed when something identifying stands beside it."""
    assert not _record({**STAGE, "rcm/snd_name/snd_name_full_native": "Layla Khatib"}).consent.collected


def test_a_no_stays_a_no() -> None:
    """A refusal is never turned into codes of our own work."""
    assert not _record({**STAGE, "consent/consent_opening/c_collect": "no"}).consent.collected


def test_a_message_goes_to_the_societies_that_were_named() -> None:
    """Sender and addressee are read apart; only the named societies may carry it."""
    record = _record(TAKEN)
    assert {Recipient.NATIONAL_SOCIETY: frozenset({"TR-RC", "SY-RC"})} == dict(record.consent.shares)
    said = record.model_dump()
    names = [said[who]["name"]["full"] for who in ("sender", "addressee")]
    assert names == ["Layla Khatib", "Samer Khatib"]


def test_a_sender_who_is_held_is_a_matter_of_detention() -> None:
    """Then no national society may know of it, and the gate waits for a named user."""
    record = _record({**TAKEN, "rcm/snd_where/sender_status": "detainee"})
    assert record.cautions.detention
    assert not policy("family_message").may_receive("sender_status", "national_society")


def test_no_question_holds_the_text_of_a_message() -> None:
    """No photo, recording or long text: the sheet is carried, not copied. Four screens stand before the name."""
    rows = [row for row, _ in walk(load("family_message").rows)]
    assert [] == [row.name for row in rows if row.type in {"image", "audio", "video", "file"}]
    assert [] == [row.name for row in rows if row["appearance"] == "multiline"]
    screens = [row.name for row in rows if row["appearance"] == "field-list"]
    assert ["interview", "the_message", "consent_opening", "consent_sharing", "snd_name"] == screens[:5]
