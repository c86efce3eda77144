"""What an answer to a referral promises: codes alone, the codes of the exchange, and no outcome against the person's word."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.model import Submission
from connector.referrals.machine import OUTCOMES, REJECT_REASONS
from connector.transforms.referral_response import ReferralResponse
from connector.transforms.registry import to_record
from forms.policy import IDENTIFYING, policy
from forms.tables import load

ANSWERS = {
    "interview/interview_date": "2026-11-20",
    "codes_only": "yes",
    "answer/case_code": "10148273054",
    "answer/response_step": "feedback",
    "feedback/status": "completed",
    "feedback/feedback_consent": "no",
}


def test_an_answer_needs_nobody_and_names_nobody() -> None:
    """No question identifies, so the record reaches the own society without consent."""
    sent = datetime(2026, 11, 20, tzinfo=UTC)
    record = to_record(Submission("kobo", "referral_response", "r", "i", 1, None, sent, ANSWERS))
    assert isinstance(record, ReferralResponse)
    assert record.consent.collected
    assert set() == IDENTIFYING & set(policy("referral_response").class_of.values())


def test_reasons_and_outcomes_are_those_of_the_exchange() -> None:
    """What is chosen here can be told to a partner's node as it is."""
    choices = load("referral_response").choices
    assert set(choices["reject_reason"].names) == REJECT_REASONS
    assert set(choices["response_outcome"].names) == OUTCOMES


def test_without_a_yes_no_outcome_is_asked() -> None:
    """Everything but the state hangs on the person's agreement."""
    rows = {row.name: row for row in load("referral_response").rows}
    told = ("outcome", "service_given", "service_on", "client_satisfaction", "further_referral")
    assert [] == [name for name in told if "${feedback_consent} = 'yes'" not in rows[name]["relevant"]]
