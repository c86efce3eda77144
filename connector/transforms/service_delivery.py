"""The service card: which help one person received, by situation, sex and age group. No name; people are told apart by case code."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Interview
from connector.transforms.record import Part, Q, Record, Within


class Beneficiary(Part):
    """Situation is prisoner, released, family or nr; sex female, male or nr; the age group as in the list `age_group`."""

    situation: Annotated[str | None, Q("beneficiary_kind")] = None
    sex: Annotated[str | None, Q("be_sex")] = None
    age_group: Annotated[str | None, Q("be_age_group")] = None


class ServiceDelivery(Record):
    """One card: every code of *services* counts as one service, times *times* (None: once)."""

    kind: Literal["service_delivery"] = "service_delivery"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    beneficiary: Annotated[Beneficiary | None, Within("")] = None
    tracks: Annotated[tuple[str, ...], Q("service_track")] = ()
    services: Annotated[tuple[str, ...], Q("service_code")] = ()
    times: Annotated[int | None, Q("n_times")] = None
    delivered_by: Annotated[str | None, Q("delivered_by")] = None
    partner: Annotated[str | None, Q("delivered_partner")] = None
    from_referral: Annotated[str | None, Q("from_referral")] = None
    referral_ref: Annotated[str | None, Q("referral_ref")] = None
    result: Annotated[str | None, Q("service_result")] = None
