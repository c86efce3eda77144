"""The answer to a referral by who received it on paper or by telephone: acknowledgement first, feedback later. Codes alone."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Interview
from connector.transforms.record import Part, Q, Record, Within


class Acknowledgement(Part):
    """Received, accepted or rejected; a rejection has its reason. *appointment_on* in ISO 8601."""

    decision: Annotated[str | None, Q("decision")] = None
    reject_reason: Annotated[str | None, Q("reject_reason")] = None
    appointment_on: Annotated[str | None, Q("appointment_on")] = None


class Feedback(Part):
    """Where the help stands. Without *consent* yes the rest stays empty: the person did not want it told."""

    status: Annotated[str | None, Q("status")] = None
    consent: Annotated[str | None, Q("feedback_consent")] = None
    outcome: Annotated[str | None, Q("outcome")] = None
    services_given: Annotated[tuple[str, ...], Q("service_given")] = ()
    last_given_on: Annotated[str | None, Q("service_on")] = None
    satisfaction: Annotated[str | None, Q("client_satisfaction")] = None
    further_referral: Annotated[str | None, Q("further_referral")] = None


class ReferralResponse(Record):
    """One answer; *step* is `ack` or `feedback`. The referral is found by its case code, or its own number."""

    kind: Literal["referral_response"] = "referral_response"
    case_code: Annotated[str | None, Q("case_code")] = None
    referral: Annotated[str | None, Q("referral_uid")] = None
    step: Annotated[str | None, Q("response_step")] = None
    receiver_role: Annotated[str | None, Q("receiver_focal_role")] = None
    interview: Annotated[Interview | None, Within("")] = None
    acknowledgement: Annotated[Acknowledgement | None, Within("")] = None
    feedback: Annotated[Feedback | None, Within("")] = None
