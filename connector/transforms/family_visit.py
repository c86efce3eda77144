"""A family visit to a person who is held: permit, visitors, outcome, and the draft of a referral for what the family needs."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.needs import ReferralDraft, referral_draft
from connector.transforms.people import Agreement, Interview
from connector.transforms.record import Each, Part, Q, Record, Within


class Permit(Part):
    """What the place of detention asks for, and how far that is. Days in ISO 8601."""

    status: Annotated[str | None, Q("permit_status")] = None
    no: Annotated[str | None, Q("authority_permit_no")] = None
    valid_to: Annotated[str | None, Q("permit_valid_to")] = None
    place_code: Annotated[str | None, Q("place_code")] = None
    needs_names: Annotated[str | None, Q("permit_needs_names")] = None


class VisitorForPermit(Part):
    """Name and document of a visitor who agreed that the place of detention gets them, for this permit."""

    name: Annotated[str | None, Q("v_name_full_native")] = None
    father: Annotated[str | None, Q("v_father")] = None
    document_type: Annotated[str | None, Q("v_doc_type")] = None
    document_no: Annotated[str | None, Q("v_doc_no")] = None
    relation: Annotated[str | None, Q("v_permit_relation")] = None


class Visitor(Part):
    """One relative on the list. *for_permit* is there only for who said yes."""

    relation: Annotated[str | None, Q("v_relation")] = None
    first_degree: Annotated[str | None, Q("v_first_degree")] = None
    sex: Annotated[str | None, Q("v_sex")] = None
    age_group: Annotated[str | None, Q("v_age_group")] = None
    minor_with: Annotated[str | None, Q("v_minor_with")] = None
    took_part: Annotated[str | None, Q("v_took_part")] = None
    share_permit: Annotated[str | None, Q("v_share_permit")] = None
    for_permit: Annotated[VisitorForPermit | None, Within("")] = None


class Visit(Part):
    """What became of the day. *duration_min* in minutes."""

    outcome: Annotated[str | None, Q("outcome")] = None
    date: Annotated[str | None, Q("visit_date")] = None
    contact_kind: Annotated[str | None, Q("contact_kind")] = None
    duration_min: Annotated[int | None, Q("duration_min")] = None
    parcel_delivered: Annotated[str | None, Q("parcel_delivered")] = None
    parcel_kind: Annotated[tuple[str, ...], Q("parcel_kind")] = ()


class Journey(Part):
    """How the family travels: kilometres one way, and what was paid in *currency* (ISO 4217)."""

    mode: Annotated[str | None, Q("travel_mode")] = None
    distance_km: Annotated[int | None, Q("distance_km")] = None
    cost_covered: Annotated[float | None, Q("cost_covered")] = None
    currency: Annotated[str | None, Q("currency")] = None
    escort: Annotated[str | None, Q("escort")] = None


class FamilyVisit(Record):
    """A visit that is prepared or over. *n_participants* and its parts count who was there, not who was listed."""

    kind: Literal["family_visit"] = "family_visit"
    case_code: Annotated[str | None, Q("case_code")] = None
    no: Annotated[str | None, Q("visit_no")] = None
    interview: Annotated[Interview | None, Within("")] = None
    detainee_ref: Annotated[str | None, Q("detainee_ref")] = None
    permit: Annotated[Permit | None, Within("")] = None
    visit: Annotated[Visit | None, Within("")] = None
    visitors: Annotated[tuple[Visitor, ...], Each("visitor", "")] = ()
    n_visitors: Annotated[int | None, Q("n_visitors")] = None
    n_participants: Annotated[int | None, Q("n_participants")] = None
    n_male: Annotated[int | None, Q("n_male")] = None
    n_female: Annotated[int | None, Q("n_female")] = None
    n_nr: Annotated[int | None, Q("n_nr")] = None
    journey: Annotated[Journey | None, Within("")] = None
    follow_up_needs: Annotated[tuple[str, ...], Q("family_follow_up_needs")] = ()
    referral_wanted: Annotated[str | None, Q("referral_wanted")] = None
    agreement: Annotated[Agreement | None, Within("")] = None

    def referral_draft(self) -> ReferralDraft | None:
        """The draft of a referral for what the family needs, when it wants that help."""
        return referral_draft(self.case_code, self.follow_up_needs, self.referral_wanted)
