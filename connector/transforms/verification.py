"""The verification of a family link: both sides asked apart, the risks, and a decision of two colleagues. No names."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Interview
from connector.transforms.record import Each, Part, Q, Record, Within


class QuestionAsked(Part):
    """One question to both sides. *match* is yes, partly, no or not_asked; it is absent where one side alone was heard."""

    topic: Annotated[str | None, Q("question_topic")] = None
    answer_child: Annotated[str | None, Q("answer_child")] = None
    answer_adult: Annotated[str | None, Q("answer_adult")] = None
    match: Annotated[str | None, Q("match")] = None


class Risks(Part):
    """What staff know and saw; nobody was asked."""

    past_violence: Annotated[str | None, Q("risk_past_violence")] = None
    custody_dispute: Annotated[str | None, Q("risk_custody_dispute")] = None
    recruitment: Annotated[str | None, Q("risk_recruitment")] = None
    formal_decision_needed: Annotated[str | None, Q("bid_needed")] = None
    assessment_ref: Annotated[str | None, Q("bia_ref")] = None


class Decision(Part):
    """What two different colleagues decided: approve, more_checks or refuse."""

    relationship_confirmed: Annotated[str | None, Q("relationship_confirmed")] = None
    decision: Annotated[str | None, Q("decision")] = None
    first: Annotated[str | None, Q("decided_by")] = None
    second: Annotated[str | None, Q("decided_by_second")] = None


class Verification(Record):
    """One side of a verification, or both with the decision; *ref* is the same for both sides."""

    kind: Literal["verification"] = "verification"
    case_code: Annotated[str | None, Q("case_code")] = None
    ref: Annotated[str | None, Q("verify_ref")] = None
    side: Annotated[str | None, Q("verify_side")] = None
    interview: Annotated[Interview | None, Within("")] = None
    relation: Annotated[str | None, Q("relation")] = None
    adult_willing: Annotated[str | None, Q("adult_willing")] = None
    child_willing: Annotated[str | None, Q("child_willing")] = None
    no_contact_with: Annotated[str | None, Q("does_not_want_contact_with")] = None
    documents_seen: Annotated[tuple[str, ...], Q("documents_seen")] = ()
    community_check: Annotated[str | None, Q("community_check")] = None
    questions: Annotated[tuple[QuestionAsked, ...], Each("question_asked", "")] = ()
    n_match: Annotated[int | None, Q("n_match")] = None
    risks: Annotated[Risks | None, Within("")] = None
    decided: Annotated[Decision | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
