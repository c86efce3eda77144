"""Prevention of separation and training: what was held, and who came by audience and sex. Nobody is named."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Interview
from connector.transforms.record import Each, Part, Q, Record, Within


class Audience(Part):
    """One kind of audience. *female* + *male* + *not_recorded* = *total*; *children* are among them."""

    audience: Annotated[str | None, Q("at_audience")] = None
    total: Annotated[int | None, Q("at_n")] = None
    female: Annotated[int | None, Q("at_female")] = None
    male: Annotated[int | None, Q("at_male")] = None
    not_recorded: Annotated[int | None, Q("at_nr")] = None
    children: Annotated[int | None, Q("at_children")] = None


class Trainee(Part):
    """One line of a course's register, by code."""

    code: Annotated[str | None, Q("tr_code")] = None
    sex: Annotated[str | None, Q("tr_sex")] = None
    role: Annotated[str | None, Q("tr_role")] = None
    completed: Annotated[str | None, Q("tr_completed")] = None


class Course(Part):
    """What training adds: the number of the course, hours in all, trainers."""

    code: Annotated[str | None, Q("course_code")] = None
    hours: Annotated[int | None, Q("course_hours")] = None
    trainers: Annotated[int | None, Q("trainers_n")] = None


class Activity(Record):
    """One activity; *interview.date* is its first day, *last_day* its last when it took several (ISO 8601)."""

    kind: Literal["activity"] = "activity"
    interview: Annotated[Interview | None, Within("")] = None
    activity_kind: Annotated[str | None, Q("activity_kind")] = None
    last_day: Annotated[str | None, Q("activity_to")] = None
    adm1: Annotated[str | None, Q("activity_adm1")] = None
    needs_assessment_done: Annotated[str | None, Q("needs_assessment_done")] = None
    topics: Annotated[tuple[str, ...], Q("prevention_topic")] = ()
    materials: Annotated[tuple[str, ...], Q("material_type")] = ()
    languages: Annotated[tuple[str, ...], Q("activity_lang")] = ()
    joint_with: Annotated[tuple[str, ...], Q("joint_with")] = ()
    course: Annotated[Course | None, Within("")] = None
    audiences: Annotated[tuple[Audience, ...], Each("attendees", "")] = ()
    counting_rule: Annotated[str | None, Q("counting_rule")] = None
    n_people: Annotated[int | None, Q("n_people")] = None
    n_female: Annotated[int | None, Q("n_female")] = None
    n_male: Annotated[int | None, Q("n_male")] = None
    n_nr: Annotated[int | None, Q("n_nr")] = None
    trainees: Annotated[tuple[Trainee, ...], Each("trainee", "")] = ()
