"""Which people a Record tells of, and what is known of each, for matching only. Pure.

People of a `referral` and of a `service_delivery` are never told of here: matching must not find somebody in a
shelter. Nor is anybody of a record whose consent to be written down is missing, or of a child who does not want to be
searched for. A form that names nobody (a tracing action holds a case code and a number of a trace) tells of nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import takewhile
from typing import cast

from connector.matching.names import score_names
from connector.matching.people import A_CHILD, Interval, PersonFacts
from connector.matching.people import Place as Codes
from connector.matching.structure import named_parts
from connector.matching.words import weight_of_parts
from connector.transforms.child_registration import ChildRegistration, Parent
from connector.transforms.family_message import FamilyMessage
from connector.transforms.people import Name, Place
from connector.transforms.record import Record, SaidDate
from connector.transforms.reunification import Reunification
from connector.transforms.tracing_request import Enquirer, Sought, TracingRequest

__all__ = ["Person", "Role", "is_unwanted", "people_of"]

_SEXES = frozenset({"male", "female"})
_WILLING = frozenset({"yes", "too_young", None})  # anything else protects the child
_WIDEST_DAYS = 366 * 40  # "nothing is known" is an interval too; one that is wider than this says nothing
_CHILDREN = frozenset({"son", "daughter"})
_SIBLINGS = frozenset({"brother", "sister"})
_SURELY_ONE_WORD = 3.0
_PERHAPS_ONE_NAME = 0.3


class Role(StrEnum):
    """What a person is in the record that tells of them."""

    ENQUIRER = "enquirer"
    SOUGHT = "sought"
    CHILD = "child"
    MOTHER = "mother"
    FATHER = "father"
    SENDER = "sender"
    ADDRESSEE = "addressee"
    TRAVELLER = "traveller"
    RELATIVE = "relative"


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a record.

    Args:
        role, number: their place in the record; *number* counts from 1 where a role has many (the people looked for).
        facts: what is compared.
        called: the name as it was said, for the one who looks at a candidate.
        restricted: only their own case worker sees them.
        unwanted: whom this person does not want contact with, as it was said.
        names_beside: names of those on whose behalf the record is, whom such a wish may mean.
    """

    role: Role
    number: int
    facts: PersonFacts = field(repr=False)
    called: str = field(repr=False)
    restricted: bool = False
    unwanted: str | None = field(default=None, repr=False)
    names_beside: tuple[str, ...] = field(default=(), repr=False)


def people_of(record: Record) -> tuple[Person, ...]:
    """Everybody in *record* who may be compared; nobody who has no name."""
    tell = _TELLERS.get(record.kind)
    if tell is None or not _may_be_compared(record):
        return ()
    restricted = record.cautions.restricted
    return tuple(replace(one, restricted=restricted) for one in tell(record) if one.facts.names)


def is_unwanted(one: Person, other: Person) -> bool:
    """Whether either does not want contact with the other, or with whoever looks on the other's behalf.

    A wish is free text. It means somebody when a word of it is the first part of their name or the whole is like it:
    rather one candidate too few than one that leads to a person who is feared.
    """
    return _means(one.unwanted, other) or _means(other.unwanted, one)


def _means(wish: str | None, other: Person) -> bool:
    if not wish:
        return False
    words = named_parts(wish)
    for name in (*other.facts.names, *other.names_beside):
        first = named_parts(name)[:1]
        if any(weight_of_parts(part, word).alike > _SURELY_ONE_WORD for part in first for word in words):
            return True
        if score_names(name, wish) > _PERHAPS_ONE_NAME:
            return True
    return False


def _may_be_compared(record: Record) -> bool:
    """Written down with consent, or on another basis that is complete."""
    consent = record.consent
    if consent.basis != "consent":
        return consent.basis_complete
    return consent.collected and consent.notice_given and consent.giver_named


def _tracing_request(record: Record) -> Iterator[Person]:
    request = cast("TracingRequest", record)
    seeker = request.enquirer
    beside: tuple[str, ...] = ()
    if seeker is not None and seeker.name is not None:
        beside = _names(seeker.name)
        facts = _facts(seeker.name, seeker.sex, seeker.birth, seeker.place)
        yield Person(Role.ENQUIRER, 1, facts, _called(seeker.name))
    for number, sought in enumerate(request.sought, 1):
        if sought.name is not None:
            facts = _with_parents(_sought(sought, sought.name), seeker)
            yield Person(Role.SOUGHT, number, facts, _called(sought.name), names_beside=beside)


def _sought(sought: Sought, name: Name) -> PersonFacts:
    last, separated = sought.last_contact, sought.separation
    places = (last.place if last else None, separated.place if separated else None)
    facts = _facts(name, sought.sex, sought.birth, *places)
    return replace(facts, relation=sought.relation, separation=_interval(last.date if last else None))


def _with_parents(facts: PersonFacts, seeker: Enquirer | None) -> PersonFacts:
    """Who looks for a son or a daughter is the mother or the father; brothers and sisters mostly share theirs."""
    if seeker is None or seeker.name is None:
        return facts
    if facts.relation in _CHILDREN and seeker.sex == "female":
        return replace(facts, mother=_called(seeker.name) or facts.mother)
    if facts.relation in _CHILDREN and seeker.sex == "male":
        return replace(facts, father=_called(seeker.name) or facts.father)
    if facts.relation in _SIBLINGS:
        theirs = _facts(seeker.name, None, None)
        return replace(facts, father=facts.father or theirs.father, mother=facts.mother or theirs.mother)
    return facts


def _child_registration(record: Record) -> Iterator[Person]:
    form = cast("ChildRegistration", record)
    wishes = form.wishes
    if wishes is not None and not {wishes.tracing, wishes.assent} <= _WILLING:
        return
    unwanted = wishes.no_contact_with if wishes else None
    if form.child is not None and form.child.name is not None:
        yield Person(Role.CHILD, 1, _child(form, form.child.name), _called(form.child.name), unwanted=unwanted)
    for role, parent, sex in ((Role.MOTHER, form.mother, "female"), (Role.FATHER, form.father, "male")):
        if parent is not None and parent.name is not None and parent.alive != "no":
            facts = _facts(parent.name, sex, None)
            yield Person(role, 1, facts, _called(parent.name), unwanted=unwanted)


def _child(form: ChildRegistration, name: Name) -> PersonFacts:
    child, separated = form.child, form.separation
    assert child is not None  # noqa: S101 (the caller looked)
    places = (form.found.place if form.found else None, separated.place if separated else None)
    facts = _facts(name, child.sex, child.birth, *places)
    return replace(
        facts,
        names=_unique((*facts.names, child.known_as)),
        relation=A_CHILD,
        father=_parent_name(form.father) or facts.father,
        mother=_parent_name(form.mother) or facts.mother,
        separation=_interval(separated.date if separated else None),
    )


def _parent_name(parent: Parent | None) -> str | None:
    return _called(parent.name) or None if parent is not None and parent.name is not None else None


def _family_message(record: Record) -> Iterator[Person]:
    message = cast("FamilyMessage", record)
    sender, addressee = message.sender, message.addressee
    beside: tuple[str, ...] = ()
    if sender is not None and sender.name is not None:
        beside = _names(sender.name)
        yield Person(Role.SENDER, 1, _facts(sender.name, None, None, sender.place), _called(sender.name))
    if addressee is not None and addressee.name is not None:
        facts = replace(_facts(addressee.name, None, None, addressee.place), relation=addressee.relation)
        yield Person(Role.ADDRESSEE, 1, facts, _called(addressee.name), names_beside=beside)


def _reunification(record: Record) -> Iterator[Person]:
    plan = cast("Reunification", record)
    for number, one in enumerate(plan.travellers, 1):
        if one.name is not None:
            yield Person(Role.TRAVELLER, number, _facts(one.name, one.sex, one.birth), _called(one.name))
    if plan.relative is not None and plan.relative.name is not None:
        name = plan.relative.name
        yield Person(Role.RELATIVE, 1, _facts(name, None, None, plan.relative.place), _called(name))


_TELLERS: Mapping[str, Callable[[Record], Iterator[Person]]] = {
    "tracing_request": _tracing_request,
    "child_registration": _child_registration,
    "family_message": _family_message,
    "reunification": _reunification,
}


def _facts(name: Name, sex: str | None, birth: SaidDate | None, *places: Place | None) -> PersonFacts:
    return PersonFacts(
        names=_names(name),
        birth=_interval(birth),
        sex=sex if sex in _SEXES else None,
        places=tuple(codes for place in places if place is not None and (codes := _codes(place))),
        father=name.father,
        mother=name.mother_full or name.mother_given,
    )


def _names(name: Name) -> tuple[str, ...]:
    """The name as it was said, in Latin letters, and every other name; put together from its roles if it was not said."""
    roles = " ".join(part for part in (name.given, name.father, name.grandfather, name.family) if part)
    aliases = (alias.text for alias in name.aliases)
    return _unique((name.full or roles, name.latin, name.before_marriage, name.kunya, name.nick, *aliases))


def _unique(names: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name and name.strip()))


def _called(name: Name) -> str:
    return next(iter(_names(name)), "")


def _codes(place: Place) -> Codes:
    """From the country down, as far as the codes go without a gap."""
    return tuple(takewhile(bool, (code or "" for code in (place.country, place.adm1, place.adm2, place.adm3))))


def _interval(said: SaidDate | None) -> Interval | None:
    if said is None or said.earliest is None or said.latest is None:
        return None
    interval = Interval(said.earliest, said.latest)
    return interval if interval.days <= _WIDEST_DAYS else None
