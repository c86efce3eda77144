"""The tracing request: one enquirer, one or more people looked for."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Contact, Interview, Name, Place
from connector.transforms.record import Born, Dated, Each, Part, Photo, Q, Record, SaidDate, Within


class Enquirer(Part):
    """Who is looking, and how to reach them."""

    role: Annotated[str | None, Q("enq_role")] = None
    name: Annotated[Name | None, Within("enq_")] = None
    sex: Annotated[str | None, Q("enq_sex")] = None
    birth: Annotated[SaidDate | None, Born("enq_")] = None
    place: Annotated[Place | None, Within("enq_")] = None
    contact: Annotated[Contact | None, Within("enq_")] = None
    nationality: Annotated[tuple[str, ...], Q("enq_nationality")] = ()
    languages: Annotated[tuple[str, ...], Q("enq_languages")] = ()
    document_type: Annotated[str | None, Q("enq_doc_type")] = None
    document_no: Annotated[str | None, Q("enq_doc_no")] = None
    photo: Annotated[Photo | None, Q("enq_photo")] = None


class LastContact(Part):
    """When and how there was news for the last time, and from where."""

    date: Annotated[SaidDate | None, Dated("s_last_contact_")] = None
    mode: Annotated[str | None, Q("s_last_contact_mode")] = None
    place: Annotated[Place | None, Within("s_last_")] = None
    address: Annotated[str | None, Q("s_last_address")] = None
    phone: Annotated[str | None, Q("s_last_phone")] = None
    social: Annotated[str | None, Q("s_last_social")] = None


class Separation(Part):
    """How they lost each other."""

    cause: Annotated[str | None, Q("s_separation_cause")] = None
    cause_other: Annotated[str | None, Q("s_separation_cause_other")] = None
    place: Annotated[Place | None, Within("s_separation_")] = None
    circumstances: Annotated[str | None, Q("s_circumstances")] = None


class Detention(Part):
    """Where the person is believed to be held."""

    authority: Annotated[str | None, Q("s_detention_authority")] = None
    place: Annotated[str | None, Q("s_detention_place")] = None
    detainee_no: Annotated[str | None, Q("s_detention_detainee_no")] = None
    since: Annotated[SaidDate | None, Dated("s_detention_since_")] = None


class Companion(Part):
    """Somebody who travelled with the person looked for."""

    name: Annotated[str | None, Q("s_travelling_with_name")] = None
    relation: Annotated[str | None, Q("s_travelling_with_relation")] = None
    age: Annotated[int | None, Q("s_travelling_with_age")] = None


class Sought(Part):
    """One person looked for: one trace."""

    trace_no: Annotated[str | None, Q("s_trace_no")] = None
    name: Annotated[Name | None, Within("s_")] = None
    relation: Annotated[str | None, Q("s_relation")] = None
    relation_other: Annotated[str | None, Q("s_relation_other")] = None
    sex: Annotated[str | None, Q("s_sex")] = None
    birth: Annotated[SaidDate | None, Born("s_")] = None
    minor: Annotated[str | None, Q("s_minor")] = None
    birthplace: Annotated[str | None, Q("s_birthplace")] = None
    marital: Annotated[str | None, Q("s_marital")] = None
    occupation: Annotated[str | None, Q("s_occupation")] = None
    marks: Annotated[str | None, Q("s_marks")] = None
    photo: Annotated[Photo | None, Q("s_photo")] = None
    last_contact: Annotated[LastContact | None, Within("")] = None
    separation: Annotated[Separation | None, Within("")] = None
    believed_status: Annotated[str | None, Q("s_believed_status")] = None
    detention: Annotated[Detention | None, Within("")] = None
    travelling_with: Annotated[tuple[Companion, ...], Each("s_travelling_with", "")] = ()
    search_not_there: Annotated[str | None, Q("s_search_not_there")] = None
    restriction: Annotated[str | None, Q("s_restrict_text")] = None
    icrc_ref: Annotated[str | None, Q("s_icrc_ref")] = None
    other_ref: Annotated[str | None, Q("s_other_ref")] = None


class Wishes(Part):
    """What must be respected while searching and when there is news."""

    search_danger: Annotated[str | None, Q("search_danger")] = None
    search_not_there: Annotated[str | None, Q("search_not_there")] = None
    never_tell: Annotated[tuple[str, ...], Q("restrict_recipients")] = ()
    never_send: Annotated[tuple[str, ...], Q("restrict_fields")] = ()
    restriction: Annotated[str | None, Q("restrict_text")] = None
    withhold_reason: Annotated[str | None, Q("withhold_reason")] = None
    tell_who_searches: Annotated[str | None, Q("tell_who_searches")] = None
    sad_news_how: Annotated[str | None, Q("sad_news_how")] = None


class TracingRequest(Record):
    """A tracing request as it was said. `fields` of what leaves have this shape, less what must stay."""

    kind: Literal["tracing_request"] = "tracing_request"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    context: Annotated[str | None, Q("context")] = None
    context_detail: Annotated[str | None, Q("context_detail")] = None
    urgency: Annotated[str | None, Q("urgency")] = None
    enquirer: Annotated[Enquirer | None, Within("")] = None
    sought: Annotated[tuple[Sought, ...], Each("sought", "")] = ()
    prior_steps: Annotated[tuple[str, ...], Q("prior_steps")] = ()
    already_open_elsewhere: Annotated[str | None, Q("already_open_elsewhere")] = None
    already_open_ref: Annotated[str | None, Q("already_open_ref")] = None
    wishes: Annotated[Wishes | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
