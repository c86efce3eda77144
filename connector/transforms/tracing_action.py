"""One step of a search, what it brought, and what the enquirer may be told.

Whatever the step brought, the enquirer hears only what the person found allowed: `may_be_told` is the one place that
says so, and without a clear yes it says nothing (R7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Literal

from connector.transforms.people import Agreement, Interview, Place
from connector.transforms.record import Part, Q, Record, Within

FoundTell = Literal["nothing", "alive", "message", "phone", "address"]
_VALID_FOR = timedelta(days=365)


class Outcome(Part):
    """What the step brought; *state* is alive, deceased or not_found."""

    outcome: Annotated[str | None, Q("outcome")] = None
    state: Annotated[str | None, Q("found")] = None
    death_source: Annotated[str | None, Q("death_source")] = None
    death_confirmed: Annotated[str | None, Q("death_confirmed")] = None
    person_reached: Annotated[str | None, Q("person_reached")] = None


class Told(Part):
    """What the enquirer was told, when, how and by whom (a code)."""

    on: Annotated[str | None, Q("told_to_enquirer_on")] = None
    what: Annotated[FoundTell | None, Q("told_what")] = None
    how: Annotated[str | None, Q("told_how")] = None
    by: Annotated[str | None, Q("told_by")] = None


class TracingAction(Record):
    """One step. *found_tell* is what the person found allowed us to say: nothing unless it was asked and answered."""

    kind: Literal["tracing_action"] = "tracing_action"
    case_code: Annotated[str | None, Q("case_code")] = None
    trace_no: Annotated[int | None, Q("trace_no")] = None
    interview: Annotated[Interview | None, Within("")] = None
    date: Annotated[str | None, Q("action_date")] = None
    type: Annotated[str | None, Q("action_type")] = None
    place: Annotated[Place | None, Within("action_")] = None
    notes: Annotated[str | None, Q("action_notes")] = None
    result: Annotated[Outcome | None, Within("")] = None
    found_minor: Annotated[str | None, Q("found_minor")] = None
    found_tell: Annotated[FoundTell, Q("c_found_tell")] = "nothing"
    found_phone: Annotated[str | None, Q("found_phone")] = None
    found_address: Annotated[str | None, Q("found_address")] = None
    message_enclosed: Annotated[str | None, Q("rcm_enclosed")] = None
    message_no: Annotated[str | None, Q("rcm_no")] = None
    restriction: Annotated[str | None, Q("restrict_text")] = None
    told: Annotated[Told | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The most that the enquirer may be told. A number or an address is there only where exactly that was allowed."""

    tell: FoundTell = "nothing"
    phone: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)


def may_be_told(step: TracingAction, today: date) -> Answer:
    """What the person found allows the enquirer to hear on *today*.

    Nothing unless that person was reached, had the notice, agreed to be written down, is named as who agrees and is no
    child alone, and the agreement neither lies ahead nor has run out (a year, unless the form says until when).
    """
    if step.result is None or step.result.state != "alive" or step.result.person_reached != "yes":
        return Answer()
    if not _is_valid(step, today) or _is_a_childs_own_word(step):
        return Answer()
    return Answer(
        step.found_tell,
        step.found_phone if step.found_tell == "phone" else None,
        step.found_address if step.found_tell == "address" else None,
    )


def _is_valid(step: TracingAction, today: date) -> bool:
    given = step.consent
    if not (given.collected and given.notice_given and given.giver_named) or given.given_on is None:
        return False
    return given.given_on <= today <= (given.review_on or given.given_on + _VALID_FOR)


def _is_a_childs_own_word(step: TracingAction) -> bool:
    """Who is not surely of age does not decide alone: a parent, guardian or caregiver agrees."""
    return step.found_minor != "no" and (step.agreement is None or step.agreement.giver in {None, "subject"})
