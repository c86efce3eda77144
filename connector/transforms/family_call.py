"""A call between a family and a relative who is held: the session, who took part, and how it went. Never what was said."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Interview, Name
from connector.transforms.record import Each, Part, Q, Record, Within


class CallPlan(Part):
    """When the call was to be, as it was said: *start* for Gregorian dates, else year, month, day and time of *calendar*."""

    calendar: Annotated[str | None, Q("planned_cal")] = None
    start: Annotated[str | None, Q("planned_start")] = None
    year: Annotated[int | None, Q("planned_year")] = None
    month: Annotated[str | None, Q("planned_month_name")] = None
    day: Annotated[int | None, Q("planned_day")] = None
    time: Annotated[str | None, Q("planned_time")] = None


class CallSession(Part):
    """One slot on the list of a branch: its numbers, its kind, its plan, and what became of it. Durations in minutes.

    *over* no: the call is planned and *outcome* is empty.
    """

    no: Annotated[str | None, Q("session_no")] = None
    phase: Annotated[int | None, Q("phase_no")] = None
    slot: Annotated[int | None, Q("slot_no")] = None
    call_kind: Annotated[str | None, Q("call_kind")] = None
    host_branch: Annotated[str | None, Q("host_branch")] = None
    planned: Annotated[CallPlan | None, Within("")] = None
    over: Annotated[str | None, Q("call_over")] = None
    ground_rules_explained: Annotated[str | None, Q("ground_rules_explained")] = None
    outcome: Annotated[str | None, Q("outcome")] = None
    reason: Annotated[str | None, Q("reason")] = None
    actual_start: Annotated[str | None, Q("actual_start")] = None
    duration_min: Annotated[int | None, Q("duration_min")] = None
    authority_monitored: Annotated[str | None, Q("authority_monitored")] = None
    icrc_delegate_present: Annotated[str | None, Q("icrc_delegate_present")] = None
    staff_present: Annotated[int | None, Q("ns_staff_n")] = None


class Called(Part):
    """The person who is held: by number; by name only where there is no number."""

    ref: Annotated[str | None, Q("detainee_ref")] = None
    name: Annotated[Name | None, Within("det_")] = None
    place_code: Annotated[str | None, Q("far_place_of_detention")] = None
    country: Annotated[str | None, Q("far_country")] = None


class Participant(Part):
    """A relative who took part. *sex* `nr` is not recorded; *relation* is that of this relative to the person who is held."""

    relation: Annotated[str | None, Q("pt_relation")] = None
    sex: Annotated[str | None, Q("pt_sex")] = None
    age_group: Annotated[str | None, Q("pt_age_group")] = None
    accompanied_by: Annotated[str | None, Q("pt_is_minor_accompanied_by")] = None
    person_key: Annotated[str | None, Q("pt_person_key")] = None
    travelled_from: Annotated[str | None, Q("pt_travelled_from")] = None
    costs_covered: Annotated[str | None, Q("pt_costs_covered")] = None


class FamilyCall(Record):
    """A phone call, video call or recorded greeting. The participants counted are those of the entries."""

    kind: Literal["family_call"] = "family_call"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    session: Annotated[CallSession | None, Within("")] = None
    called: Annotated[Called | None, Within("")] = None
    participants: Annotated[tuple[Participant, ...], Each("participant", "")] = ()
    n_participants: Annotated[int | None, Q("n_participants")] = None
    n_male: Annotated[int | None, Q("n_male")] = None
    n_female: Annotated[int | None, Q("n_female")] = None
    n_nr: Annotated[int | None, Q("n_nr")] = None
    distress_support_given: Annotated[str | None, Q("distress_support_given")] = None
    referral_ref: Annotated[str | None, Q("referral_ref")] = None
    next_request: Annotated[str | None, Q("next_request")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
