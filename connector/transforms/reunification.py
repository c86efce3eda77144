"""Family reunification: who goes, who waits, whether all of them want it, and how they came together."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Interview, Name, Place
from connector.transforms.record import Born, Each, Part, Q, Record, SaidDate, Within


class Traveller(Part):
    """One person who goes to the family; *agrees* is an adult's own word, *assent* a child's; *under_18* where no age is known."""

    name: Annotated[Name | None, Within("tv_")] = None
    sex: Annotated[str | None, Q("tv_sex")] = None
    birth: Annotated[SaidDate | None, Born("tv_")] = None
    minor: Annotated[str | None, Q("tv_minor")] = None
    under_18: Annotated[str | None, Q("tv_under_18")] = None
    relation: Annotated[str | None, Q("tv_relation")] = None
    agrees: Annotated[str | None, Q("tv_agrees")] = None
    assent: Annotated[str | None, Q("child_assent")] = None
    best_interests_ref: Annotated[str | None, Q("tv_bia_ref")] = None
    document_type: Annotated[str | None, Q("tv_doc_type")] = None
    document_no: Annotated[str | None, Q("tv_doc_no")] = None
    needs: Annotated[str | None, Q("tv_needs")] = None


class Relative(Part):
    """The relative who waits, and what was agreed with them apart from the others."""

    name: Annotated[Name | None, Within("rel_")] = None
    relation: Annotated[str | None, Q("rel_relation")] = None
    agrees: Annotated[str | None, Q("rel_agrees")] = None
    agreed_on: Annotated[str | None, Q("rel_agreed_on")] = None
    place: Annotated[Place | None, Within("rel_")] = None
    reach: Annotated[str | None, Q("rel_reach")] = None
    status_kind: Annotated[str | None, Q("rel_status_kind")] = None
    visa_ref: Annotated[str | None, Q("visa_ref")] = None
    embassy: Annotated[str | None, Q("embassy")] = None


class Leg(Part):
    """One part of the journey; places in words, the day as far as it is known."""

    origin: Annotated[str | None, Q("leg_from")] = None
    destination: Annotated[str | None, Q("leg_to")] = None
    on: Annotated[str | None, Q("leg_date")] = None
    escort: Annotated[str | None, Q("leg_escort")] = None
    document: Annotated[str | None, Q("leg_document")] = None
    border_permit: Annotated[str | None, Q("leg_border_permit")] = None


class Handover(Part):
    """How they came together: when, where, and who received them (the relative above when *received_by_relative* is yes)."""

    on: Annotated[str | None, Q("handover_date")] = None
    place: Annotated[Place | None, Within("handover_")] = None
    received_by_relative: Annotated[str | None, Q("rcv_same")] = None
    received_by: Annotated[str | None, Q("rcv_name")] = None
    receiver_relation: Annotated[str | None, Q("rcv_relation")] = None
    identity_seen: Annotated[str | None, Q("rcv_id_seen")] = None
    signed_on_paper: Annotated[str | None, Q("signed_on_paper")] = None
    kit: Annotated[tuple[str, ...], Q("kit")] = ()
    contact_after: Annotated[str | None, Q("contact_after")] = None


class Costs(Part):
    """What the journey cost for all of them; *currency* is an ISO 4217 code."""

    paid_by: Annotated[str | None, Q("cost_paid_by")] = None
    amount: Annotated[float | None, Q("cost_amount")] = None
    currency: Annotated[str | None, Q("cost_currency")] = None


class Reunification(Record):
    """One family's reunification, from the plan to the day on which they came together."""

    kind: Literal["reunification"] = "reunification"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    verification: Annotated[str | None, Q("verify_decision")] = None
    verification_ref: Annotated[str | None, Q("verify_ref")] = None
    way: Annotated[str | None, Q("reunify_mode")] = None
    state: Annotated[str | None, Q("reunify_state")] = None
    travellers: Annotated[tuple[Traveller, ...], Each("traveller", "")] = ()
    relative: Annotated[Relative | None, Within("")] = None
    danger: Annotated[str | None, Q("reunion_danger")] = None
    restriction: Annotated[str | None, Q("restrict_text")] = None
    legs_known: Annotated[str | None, Q("legs_known")] = None
    legs: Annotated[tuple[Leg, ...], Each("leg", "")] = ()
    handover: Annotated[Handover | None, Within("")] = None
    costs: Annotated[Costs | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
