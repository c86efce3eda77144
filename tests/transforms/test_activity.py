"""What an activity promises: who came is counted by audience and sex, with a place for what was not recorded."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.model import Submission
from connector.transforms.activity import Activity
from connector.transforms.registry import to_record
from forms.policy import IDENTIFYING, policy

ANSWERS = {
    "interview/branch_code": "101",
    "interview/interview_date": "2026-11-20",
    "codes_only": "yes",
    "what/activity_kind": "awareness_campaign",
    "attendees": (
        {
            "attendees/at_item/at_audience": "general_public",
            "attendees/at_item/at_n": "7177",
            "attendees/at_item/at_female": "2260",
            "attendees/at_item/at_male": "4678",
            "attendees/at_item/at_nr": "239",
        },
    ),
    "n_people": "7177",
}


def test_parts_and_whole_are_read_as_they_were_counted() -> None:
    """Those not recorded are a number of their own, never guessed into one sex."""
    sent = datetime(2026, 11, 20, tzinfo=UTC)
    record = to_record(Submission("kobo", "activity", "r", "i", 1, None, sent, ANSWERS))
    assert isinstance(record, Activity)
    (audience,) = record.audiences
    assert (2260, 4678, 239) == (audience.female, audience.male, audience.not_recorded)
    assert record.n_people == audience.total


def test_an_activity_names_nobody_and_needs_nobody() -> None:
    """Trainees stand in the register by code, for the own society alone."""
    assert set() == IDENTIFYING & set(policy("activity").class_of.values())
    assert policy("activity").class_of["tr_code"] == "internal"
