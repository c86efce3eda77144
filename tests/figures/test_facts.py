"""What a record counts as."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from connector.figures.facts import Fact, facts_of
from connector.model import Cautions, Consent
from connector.transforms.record import Record
from connector.transforms.registry import RECORDS

DAY = date(2026, 11, 20)


def record(kind: str, *, collected: bool = True, **fields: Any) -> Record:
    values = {"consent": Consent(collected=collected), "cautions": Cautions(), "branch": "101", **fields}
    return RECORDS[kind].model_validate(values)


def counted(kind: str, **fields: Any) -> Counter[tuple[str, str, str, str]]:
    found: Counter[tuple[str, str, str, str]] = Counter()
    for fact in facts_of(record(kind, **fields), DAY):
        found[fact.service, fact.unit, fact.sex, fact.age_group] += fact.count
    return found


PARTICIPANTS = [
    {"sex": "male", "age_group": "18-59"},
    {"sex": "male", "age_group": "18-59"},
    {"sex": "female", "age_group": "60+"},
    {"sex": "nr", "age_group": "nr"},
]


def test_a_call_that_took_place_counts_with_those_who_took_part() -> None:
    """One event by its kind, and every relative as a participation; `nr` is not recorded."""
    expected = {
        ("family_call.video", "events", "total", "total"): 1,
        ("contact.participants", "participations", "male", "18-59"): 2,
        ("contact.participants", "participations", "female", "60+"): 1,
        ("contact.participants", "participations", "not_recorded", "not_recorded"): 1,
    }
    for outcome in ("held", "held_partially"):
        session = {"call_kind": "video", "over": "yes", "outcome": outcome}
        assert counted("family_call", session=session, participants=PARTICIPANTS) == expected


def test_a_planned_or_failed_call_counts_as_nothing() -> None:
    """A plan has no outcome; a call that failed was none."""
    for session in ({"call_kind": "phone", "over": "no"}, {"call_kind": "phone", "outcome": "technical_failure"}):
        assert counted("family_call", session=session, participants=PARTICIPANTS) == {}


def test_a_visit_counts_who_was_there_and_not_who_was_listed() -> None:
    """Visitors without `took_part` yes are not counted."""
    visitors = [{"sex": "female", "age_group": "18-59", "took_part": part} for part in ("yes", "no", None)]
    assert counted("family_visit", visit={"outcome": "took_place"}, visitors=visitors) == {
        ("family_visit", "events", "total", "total"): 1,
        ("contact.participants", "participations", "female", "18-59"): 1,
    }


def test_services_and_people_are_counted_apart() -> None:
    """Two services, given three times each, to one person: six services, one person in each and one over all."""
    found = counted(
        "service_delivery", case_code="10112345672", services=("medical", "housing"), times=3,
        beneficiary={"sex": "female", "age_group": "18-59"},
    )  # fmt: skip
    assert found == {
        ("service_delivery.medical", "events", "total", "total"): 3,
        ("service_delivery.housing", "events", "total", "total"): 3,
        ("service_delivery.medical", "people", "female", "18-59"): 1,
        ("service_delivery.housing", "people", "female", "18-59"): 1,
        ("service_delivery", "people", "female", "18-59"): 1,
        ("beneficiary.not_recorded", "people", "female", "18-59"): 1,
    }


def test_an_activity_counts_its_audiences_as_participations() -> None:
    """By sex as far as it was written down; the rest of a total is not recorded."""
    audiences = [{"total": 30, "female": 20, "male": 5, "not_recorded": None}]
    assert counted("activity", activity_kind="prevention_session", audiences=audiences) == {
        ("activity.prevention_session", "events", "total", "total"): 1,
        ("activity.prevention_session", "participations", "female", "total"): 20,
        ("activity.prevention_session", "participations", "male", "total"): 5,
        ("activity.prevention_session", "participations", "not_recorded", "total"): 5,
    }


def test_a_refusal_is_no_request() -> None:
    """Who said no at the beginning asked for nothing."""
    assert counted("tracing_request") == {("tracing_request", "events", "total", "total"): 1}
    assert counted("tracing_request", collected=False) == {}


def test_a_message_counts_once() -> None:
    """When it is collected, not at each stage of its way."""
    assert counted("family_message", stage={"event": "collected"}) == {
        ("family_message", "events", "total", "total"): 1
    }
    assert counted("family_message", stage={"event": "delivered"}) == {}


def test_a_fact_has_the_day_and_branch_of_what_was_done() -> None:
    """The day on which it took place, not the one on which it was written down."""
    session = {"call_kind": "phone", "outcome": "held", "actual_start": "2026-03-02T10:00:00.000+03:00"}
    found = facts_of(record("family_call", session=session, interview={"date": "2026-03-05"}), DAY)
    assert found == (Fact(date(2026, 3, 2), "101", "family_call.phone", "events"),)
