"""Which form becomes which Record. A new form is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pydantic.json_schema import models_json_schema

from connector.model import JSON, Submission
from connector.transforms.activity import Activity
from connector.transforms.child_registration import ChildRegistration
from connector.transforms.consent import read_cautions, read_consent
from connector.transforms.enquiry import Enquiry
from connector.transforms.family_call import FamilyCall
from connector.transforms.family_message import FamilyMessage
from connector.transforms.family_visit import FamilyVisit
from connector.transforms.record import Record, build
from connector.transforms.referral import Referral
from connector.transforms.referral_response import ReferralResponse
from connector.transforms.reunification import Reunification
from connector.transforms.reunification_followup import ReunificationFollowup
from connector.transforms.service_delivery import ServiceDelivery
from connector.transforms.tracing_action import TracingAction
from connector.transforms.tracing_request import TracingRequest
from connector.transforms.values import Entry, read_answers
from connector.transforms.verification import Verification
from forms.tables import load

RECORDS: Mapping[str, type[Record]] = {
    "tracing_request": TracingRequest,
    "activity": Activity,
    "service_delivery": ServiceDelivery,
    "tracing_action": TracingAction,
    "enquiry": Enquiry,
    "referral_response": ReferralResponse,
    "reunification_followup": ReunificationFollowup,
    "verification": Verification,
    "family_visit": FamilyVisit,
    "family_message": FamilyMessage,
    "family_call": FamilyCall,
    "child_registration": ChildRegistration,
    "referral": Referral,
    "reunification": Reunification,
}


def to_record(submission: Submission) -> Record:
    """The typed Record of *submission*; raises `TransformError` with the question's path, never an answer."""
    form = load(submission.form_id)
    entry = read_answers(submission)
    return build(
        RECORDS[submission.form_id],
        entry,
        _stated_on(submission, entry),
        form_version=submission.form_version,
        consent=read_consent(form, submission, entry),
        cautions=read_cautions(form, submission, entry),
        branch=entry.text("branch_code"),
    )


def from_json(kind: str, stored: bytes) -> Record:
    """A Record as the ledger keeps it."""
    return RECORDS[kind].model_validate_json(stored)


def schemas() -> dict[str, JSON]:
    """The JSON Schema of every kind of Record (`silah schema`)."""
    _, schema = models_json_schema([(model, "serialization") for model in RECORDS.values()], title="Silah records")
    return schema


def _stated_on(submission: Submission, entry: Entry) -> date:
    """The day on which ages were said: that of the interview, else of arrival."""
    return entry.day("interview_date") or submission.submitted_at.date()
