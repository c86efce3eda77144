"""What one Record counts as: facts without identity, kept for good.

A fact is a number of events, of participations, or one person in a service, on one day in one branch. A person is
told apart by the case code alone; the ledger keeps a keyed hash in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from connector.transforms.activity import Activity
from connector.transforms.child_registration import ChildRegistration
from connector.transforms.family_call import FamilyCall
from connector.transforms.family_message import FamilyMessage
from connector.transforms.family_visit import FamilyVisit
from connector.transforms.people import Interview
from connector.transforms.record import Record, SaidDate
from connector.transforms.referral import Referral
from connector.transforms.reunification import Reunification
from connector.transforms.service_delivery import ServiceDelivery
from connector.transforms.tracing_request import TracingRequest

TOTAL = "total"
NOT_RECORDED = "not_recorded"
SEXES = ("female", "male", "other", NOT_RECORDED)
UNITS = ("events", "people", "participations")
PARTICIPANTS = "contact.participants"
SERVICES = "service_delivery"
BENEFICIARY = "beneficiary"  # people who were served, by situation: prisoner, released, family
_REFERRAL = "referral"
_COLLECTOR = "collector_code"
SENT, RECEIVED = f"{_REFERRAL}.sent", f"{_REFERRAL}.received"

_ASKED_FOR = frozenset({"tracing_request", "child_registration", "family_message", "referral"})
_CALL_HELD = frozenset({"held", "held_partially"})
_VISIT_HELD = frozenset({"took_place", "partly"})
_GROUPS = ((5, "0-4"), (12, "5-11"), (18, "12-17"), (60, "18-59"))
_OLDEST = "60+"


@dataclass(frozen=True, slots=True)
class Fact:
    """*count* of *unit* in *service*. *case_code* tells people apart; it is there for the unit `people` and for referrals."""

    day: date
    branch: str
    service: str
    unit: str
    sex: str = TOTAL
    age_group: str = TOTAL
    count: int = 1
    case_code: str | None = None


def facts_of(record: Record, read_on: date) -> tuple[Fact, ...]:
    """What *record* counts as. A plan, a refusal and a stage on the way count as nothing.

    Args:
        read_on: the day that counts where the record names none.
    """
    count = _COUNTED.get(record.kind)
    if count is None or _refused(record):
        return ()
    return tuple(fact for fact in count(record, read_on) if fact.count)


def collector_of(answers: Mapping[str, object]) -> str | None:
    """Who took a form down, as a code, wherever the form asks it; also of a form that cannot be read."""
    return next((str(code) for path, code in answers.items() if code and path.rpartition("/")[2] == _COLLECTOR), None)


def _refused(record: Record) -> bool:
    """Who said no at the beginning asked for nothing. What the society did itself counts by what became of it."""
    return record.kind in _ASKED_FOR and record.consent.basis == "consent" and not record.consent.collected


def _tracing(record: Record, read_on: date) -> Iterator[Fact]:
    if isinstance(record, TracingRequest):
        yield _event(record, _day(record.interview, read_on), "tracing_request")


def _message(record: Record, read_on: date) -> Iterator[Fact]:
    """A message counts once: when it is collected, not at each stage of its way."""
    if isinstance(record, FamilyMessage) and (record.stage is None or record.stage.event in {None, "collected"}):
        day = _iso(record.collected_on) or _day(record.interview, read_on)
        yield _event(record, day, "family_message")


def _call(record: Record, read_on: date) -> Iterator[Fact]:
    if not isinstance(record, FamilyCall) or record.session is None or record.session.outcome not in _CALL_HELD:
        return
    day = _iso(record.session.actual_start) or _day(record.interview, read_on)
    yield _event(record, day, f"family_call.{record.session.call_kind or NOT_RECORDED}")
    yield from _took_part(record, day, ((one.sex, one.age_group) for one in record.participants))


def _visit(record: Record, read_on: date) -> Iterator[Fact]:
    if not isinstance(record, FamilyVisit) or record.visit is None or record.visit.outcome not in _VISIT_HELD:
        return
    day = _iso(record.visit.date) or _day(record.interview, read_on)
    yield _event(record, day, "family_visit")
    there = (one for one in record.visitors if one.took_part == "yes")
    yield from _took_part(record, day, ((one.sex, one.age_group) for one in there))


def _child(record: Record, read_on: date) -> Iterator[Fact]:
    if not isinstance(record, ChildRegistration):
        return
    day = _day(record.interview, read_on)
    yield _event(record, day, "child_registration")
    sex = record.child.sex if record.child else None
    age = age_group(record.child.birth if record.child else None, day)
    if record.case_code:
        yield _person(record, day, "child_registration", sex, age, record.case_code)


def _reunified(record: Record, read_on: date) -> Iterator[Fact]:
    """One family is one event; those who travelled to it are its participations."""
    if not isinstance(record, Reunification) or record.state != "reunited":
        return
    day = (_iso(record.handover.on) if record.handover else None) or _day(record.interview, read_on)
    yield _event(record, day, "reunification")
    for one in record.travellers:
        sex, age = _known(one.sex), age_group(one.birth, day)
        yield Fact(day, _branch(record), "reunification", "participations", sex, age)


def _referral(record: Record, read_on: date) -> Iterator[Fact]:
    if isinstance(record, Referral):
        day = _day(record.interview, read_on)
        yield Fact(day, _branch(record), SENT, "events", case_code=record.case_code)


def _services(record: Record, read_on: date) -> Iterator[Fact]:
    """Every code of a card is a service, so often as it was given; the person is one in each, and one over all of them."""
    if not isinstance(record, ServiceDelivery):
        return
    day, times = _day(record.interview, read_on), 1 if record.times is None else record.times
    of = record.beneficiary
    for code in dict.fromkeys(record.services):
        yield Fact(day, _branch(record), f"{SERVICES}.{code}", "events", count=times)
    if record.case_code and record.services:
        situation = f"{BENEFICIARY}.{_known(of.situation if of else None)}"
        for service in (SERVICES, situation, *(f"{SERVICES}.{code}" for code in dict.fromkeys(record.services))):
            sex, age = (of.sex, of.age_group) if of else (None, None)
            yield _person(record, day, service, sex, age, record.case_code)


def _activity(record: Record, read_on: date) -> Iterator[Fact]:
    if not isinstance(record, Activity) or not record.activity_kind:
        return
    day, service = _day(record.interview, read_on), f"activity.{record.activity_kind}"
    yield _event(record, day, service)
    for one in record.audiences:
        known = (one.female or 0) + (one.male or 0)
        rest = one.not_recorded if one.not_recorded is not None else max(0, (one.total or 0) - known)
        for sex, number in (("female", one.female), ("male", one.male), (NOT_RECORDED, rest)):
            if number:
                yield Fact(day, _branch(record), service, "participations", sex, count=number)


_COUNTED: Mapping[str, Callable[[Record, date], Iterator[Fact]]] = {
    "tracing_request": _tracing,
    "family_message": _message,
    "family_call": _call,
    "family_visit": _visit,
    "child_registration": _child,
    "reunification": _reunified,
    "referral": _referral,
    "service_delivery": _services,
    "activity": _activity,
}


def _event(record: Record, day: date, service: str) -> Fact:
    return Fact(day, _branch(record), service, "events")


def _person(record: Record, day: date, service: str, sex: str | None, age: str | None, case_code: str) -> Fact:
    return Fact(day, _branch(record), service, "people", _known(sex), _known(age), case_code=case_code)


def _took_part(record: Record, day: date, people: Iterable[tuple[str | None, str | None]]) -> Iterator[Fact]:
    """Participations: nobody has proven that they are different people."""
    numbers: dict[tuple[str, str], int] = {}
    for sex, age in people:
        cell = (_known(sex), _known(age))
        numbers[cell] = numbers.get(cell, 0) + 1
    for (sex, age), number in numbers.items():
        yield Fact(day, _branch(record), PARTICIPANTS, "participations", sex, age, number)


def _known(code: str | None) -> str:
    """*code*, or that it was not recorded."""
    return NOT_RECORDED if code in {None, "nr", "pnts", "unknown"} else str(code)


def _branch(record: Record) -> str:
    return record.branch or NOT_RECORDED


def _day(interview: Interview | None, read_on: date) -> date:
    return (_iso(interview.date) if interview else None) or read_on


def _iso(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


def age_group(birth: SaidDate | None, on: date) -> str:
    """The group of the list `age_group` that a date of birth surely falls into on the day *on*; else not recorded."""
    if birth is None or birth.earliest is None or birth.latest is None:
        return NOT_RECORDED
    oldest, youngest = (_group(_years(day, on)) for day in (birth.earliest, birth.latest))
    return oldest if oldest == youngest else NOT_RECORDED


def _years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _group(years: int) -> str:
    return next((name for below, name in _GROUPS if years < below), _OLDEST)
