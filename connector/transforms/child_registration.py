"""The registration of a child who has lost contact with the family: short, or full when there is time and calm."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Interview, Name, Place
from connector.transforms.record import Born, Dated, Each, Part, Photo, Q, Record, SaidDate, Within


class Child(Part):
    """Who the child is, and how relatives would recognise the child."""

    name: Annotated[Name | None, Within("ch_")] = None
    known_as: Annotated[str | None, Q("ch_known_as")] = None
    sex: Annotated[str | None, Q("ch_sex")] = None
    birth: Annotated[SaidDate | None, Born("ch_")] = None
    birth_source: Annotated[str | None, Q("dob_source")] = None
    status: Annotated[str | None, Q("child_status")] = None
    languages: Annotated[tuple[str, ...], Q("ch_languages")] = ()
    nationality: Annotated[tuple[str, ...], Q("ch_nationality")] = ()
    birthplace: Annotated[str | None, Q("ch_birthplace")] = None
    marks: Annotated[str | None, Q("distinguishing_marks")] = None
    clothing_and_belongings: Annotated[str | None, Q("clothing_belongings_when_found")] = None
    photo: Annotated[Photo | None, Q("ch_photo")] = None


class Found(Part):
    """Where and when the child was met, and by whom."""

    place: Annotated[Place | None, Within("found_")] = None
    date: Annotated[SaidDate | None, Dated("found_")] = None
    by: Annotated[str | None, Q("found_by")] = None


class Care(Part):
    """Who takes care of the child now."""

    type: Annotated[str | None, Q("care_type")] = None
    caregiver_name: Annotated[str | None, Q("caregiver_name")] = None
    caregiver_relation: Annotated[str | None, Q("caregiver_relation")] = None
    caregiver_age: Annotated[int | None, Q("caregiver_age")] = None
    caregiver_contact: Annotated[str | None, Q("caregiver_contact")] = None
    since: Annotated[str | None, Q("care_since")] = None
    ok_for_now: Annotated[str | None, Q("care_ok_for_now")] = None


class Protection(Part):
    """What is urgent, and what staff noticed; concerns and risk stay in the own society."""

    urgent: Annotated[str | None, Q("urgent_protection_concern")] = None
    health_urgent: Annotated[str | None, Q("health_urgent")] = None
    concerns: Annotated[tuple[str, ...], Q("protection_concerns")] = ()
    risk: Annotated[str | None, Q("risk_level")] = None
    support_needs: Annotated[str | None, Q("ch_support_needs")] = None
    best_interests: Annotated[str | None, Q("best_interests_view")] = None


class Parent(Part):
    """The mother or the father, as far as anybody knows."""

    name: Annotated[Name | None, Within("{p}")] = None
    alive: Annotated[str | None, Q("{p}alive")] = None
    last_place: Annotated[str | None, Q("{p}last_place")] = None
    last_contact: Annotated[str | None, Q("{p}last_contact")] = None
    phone: Annotated[str | None, Q("{p}phone")] = None


class Sibling(Part):
    """A brother or sister."""

    name: Annotated[str | None, Q("sib_name")] = None
    sex: Annotated[str | None, Q("sib_sex")] = None
    age: Annotated[int | None, Q("sib_age")] = None
    with_child: Annotated[str | None, Q("sib_with_child")] = None
    where: Annotated[str | None, Q("sib_where")] = None


class KnownPerson(Part):
    """Another relative or grown-up who could take care of the child."""

    name: Annotated[str | None, Q("rel_name")] = None
    relation: Annotated[str | None, Q("rel_relation")] = None
    alive: Annotated[str | None, Q("rel_alive")] = None
    address: Annotated[str | None, Q("rel_address")] = None
    phone: Annotated[str | None, Q("rel_phone")] = None


class Separation(Part):
    """How contact with the family was lost, in the child's words."""

    cause: Annotated[str | None, Q("separation_cause")] = None
    date: Annotated[SaidDate | None, Dated("separation_")] = None
    place: Annotated[Place | None, Within("separation_")] = None
    travelled_with: Annotated[str | None, Q("travelled_with")] = None
    story: Annotated[str | None, Q("separation_story")] = None


class Wish(Part):
    """Somebody the child wants us to look for; rank is first_choice, second_choice or third_choice."""

    name: Annotated[str | None, Q("wishes_name")] = None
    relation: Annotated[str | None, Q("wishes_relationship")] = None
    rank: Annotated[str | None, Q("wishes_preference")] = None


class Wishes(Part):
    """What the child wants. A no to the search means: protect, and do not search."""

    assent: Annotated[str | None, Q("child_assent")] = None
    tracing: Annotated[str | None, Q("wants_tracing")] = None
    persons: Annotated[tuple[Wish, ...], Each("wish", "")] = ()
    no_contact_with: Annotated[str | None, Q("does_not_want_contact_with")] = None
    living: Annotated[str | None, Q("wishes_living")] = None


class Limits(Part):
    """What whoever searches must respect."""

    search_danger: Annotated[str | None, Q("search_danger")] = None
    search_not_there: Annotated[str | None, Q("search_not_there")] = None
    never_tell: Annotated[tuple[str, ...], Q("restrict_recipients")] = ()
    never_send: Annotated[tuple[str, ...], Q("restrict_fields")] = ()


class ChildRegistration(Record):
    """One child. *level* is quick or full: after a quick one much is absent, which is not the same as unknown."""

    kind: Literal["child_registration"] = "child_registration"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    level: Annotated[str | None, Q("level")] = None
    child: Annotated[Child | None, Within("")] = None
    found: Annotated[Found | None, Within("")] = None
    care: Annotated[Care | None, Within("")] = None
    protection: Annotated[Protection | None, Within("")] = None
    mother: Annotated[Parent | None, Within("mo_")] = None
    father: Annotated[Parent | None, Within("fa_")] = None
    has_siblings: Annotated[str | None, Q("has_siblings")] = None
    siblings: Annotated[tuple[Sibling, ...], Each("siblings", "")] = ()
    has_relatives: Annotated[str | None, Q("has_relatives")] = None
    relatives: Annotated[tuple[KnownPerson, ...], Each("relatives", "")] = ()
    separation: Annotated[Separation | None, Within("")] = None
    wishes: Annotated[Wishes | None, Within("")] = None
    limits: Annotated[Limits | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
