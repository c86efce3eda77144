"""What a follow-up promises: it stays in the own society, and a visit where nobody was reached needs nobody's consent."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.model import Answers, Submission
from connector.transforms.needs import ReferralDraft
from connector.transforms.registry import to_record
from connector.transforms.reunification_followup import ReunificationFollowup
from forms.policy import policy

NOT_REACHED: Answers = {
    "interview/interview_date": "2026-11-20",
    "which_case/case_code": "10148273054",
    "which_case/visit_no": "2",
    "which_case/followup_mode": "not_reached",
    "codes_only": "yes",
}
SEEN: Answers = {
    **NOT_REACHED,
    "which_case/followup_mode": "home",
    "codes_only": "no",
    "consent/consent_opening/info_notice_given": "yes",
    "consent/consent_opening/c_collect": "yes",
    "consent/consent_opening/consent_giver": "parent",
    "followup/people_seen/child_assent": "no",
    "followup/safety/support_needed": "school health",
    "followup/safety/referral_wanted": "yes",
}


def _record(answers: Answers) -> ReunificationFollowup:
    sent = datetime(2026, 11, 20, tzinfo=UTC)
    record = to_record(Submission("kobo", "reunification_followup", "r", "i", 1, None, sent, answers))
    assert isinstance(record, ReunificationFollowup)
    return record


def test_a_visit_where_nobody_was_reached_reaches_the_own_society() -> None:
    """It holds a code, a number and a day."""
    record = _record(NOT_REACHED)
    assert (True, 2) == (record.consent.collected, record.no)


def test_needs_become_a_draft_with_the_case_code() -> None:
    """Both needs, in the referral's codes, for the case that is followed."""
    expected = ReferralDraft("10148273054", ("education_service", "health_medical_service"), ("education", "health"))
    assert expected == _record(SEEN).referral_draft()


def test_a_child_who_would_rather_not_is_seen_by_a_supervisor() -> None:
    """The child's no is a caution of the record."""
    assert _record(SEEN).cautions.supervisor


def test_nothing_leaves_the_own_society() -> None:
    """How a family lives is for those who look after it."""
    assert {"own_society", "statistics"} == set().union(*policy("reunification_followup").recipients_of.values())
