"""Whom a record tells of, for matching: those who may be found, and never those who must not be."""

from __future__ import annotations

from datetime import date

import pytest

from connector.matching.facts import Person, Role, is_unwanted, people_of
from connector.matching.people import Interval
from connector.model import Answer
from connector.transforms.registry import RECORDS
from forms.tables import load
from tests.matching.records import CHILD, REQUEST, SOUGHT, record


def _one(people: tuple[Person, ...], role: Role) -> Person:
    return next(one for one in people if one.role is role)


def test_a_request_tells_of_who_looks_and_of_everybody_looked_for() -> None:
    """The enquirer and each person sought, in their places, with sex and birth as the days it can mean."""
    people = people_of(record("tracing_request", REQUEST, sought=(SOUGHT, {**SOUGHT, "sought/s_sex": "female"})))
    assert [(Role.ENQUIRER, 1), (Role.SOUGHT, 1), (Role.SOUGHT, 2)] == [(one.role, one.number) for one in people]
    facts = people[1].facts
    assert (("كريم يوسف الحمصي",), "male") == (facts.names, facts.sex)
    assert Interval(date(2014, 1, 1), date(2014, 12, 31)) == facts.birth


def test_a_registration_tells_of_the_child_and_its_parents() -> None:
    """The mother by herself too, so that she is found when she asks; a parent without a name is nobody."""
    people = people_of(record("child_registration", CHILD))
    assert [Role.CHILD, Role.MOTHER] == [one.role for one in people]
    assert "Salma Yousef Homsi" == _one(people, Role.CHILD).facts.mother
    assert "female" == _one(people, Role.MOTHER).facts.sex


@pytest.mark.parametrize(
    ("relation", "sex", "parent"),
    [("son", "female", "mother"), ("daughter", "male", "father"), ("husband", "female", "")],
)
def test_who_looks_for_a_child_is_its_parent(relation: str, sex: str, parent: str) -> None:
    """The enquirer's name stands for the mother's or father's, by sex; what the person is to them is kept."""
    sought = {**SOUGHT, "sought/s_relation": relation}
    facts = _one(people_of(record("tracing_request", REQUEST, sought=(sought,), enq_sex=sex)), Role.SOUGHT).facts
    assert (relation, {parent: "سلمى يوسف الحمصي"} if parent else {}) == (
        facts.relation, {name: told for name in ("mother", "father") if (told := getattr(facts, name))},
    )  # fmt: skip


def test_nobody_of_a_referral_or_a_service_is_ever_told_of() -> None:
    """Matching must not find the woman in the shelter: no such record tells of anybody, whatever is in it."""
    for form in ("referral", "service_delivery"):
        questions = load(form).questions
        named: dict[str, Answer] = {name: "Salma Yousef Homsi" for name in questions if name.endswith("full_native")}
        agreed = {name: answer for name, answer in REQUEST.items() if name in questions}
        told = record(form, {**agreed, **named})
        assert form == "service_delivery" or "Homsi" in told.model_dump_json()
        assert () == people_of(told)
    telling = {"tracing_request", "child_registration", "family_message", "reunification"}
    silent = {form for form in RECORDS if form not in telling}
    assert {"referral", "service_delivery", "referral_response", "tracing_action"} <= silent


@pytest.mark.parametrize("question", ["wants_tracing", "child_assent"])
def test_a_child_who_does_not_want_to_be_searched_for_is_nobody(question: str) -> None:
    """A no (or not yet) protects: neither the child nor its parents are compared."""
    assert () == people_of(record("child_registration", CHILD, **{question: "no"}))


@pytest.mark.parametrize("question", ["c_collect", "info_notice_given", "consent_giver"])
def test_without_consent_nobody_is_compared(question: str) -> None:
    """Who did not agree to be written down is not compared either."""
    assert () == people_of(record("tracing_request", REQUEST, **{question: ""}))


def test_restrictions_mark_everybody_of_the_record() -> None:
    """A place where nobody may search restricts the whole record."""
    assert {False} == {one.restricted for one in people_of(record("tracing_request", REQUEST))}
    told = record("tracing_request", REQUEST, search_not_there="HIDDEN-PLACE")
    assert {True} == {one.restricted for one in people_of(told)}


@pytest.mark.parametrize(
    ("wish", "name", "blocked"),
    [
        ("Uncle Omar", "عمر يوسف الحمصي", True),
        ("عمي عمر", "Omar Yousef Homsi", True),
        ("سلمى يوسف الحمصي", "Salma Homsi", True),
        ("Omar", "Salma Yousef Homsi", False),
        ("", "Omar Yousef", False),
    ],
)
def test_who_is_not_wanted_is_kept_away(wish: str, name: str, blocked: bool) -> None:
    """A wish in any script keeps whoever it may mean away, and everybody on whose behalf the search is."""
    answers: dict[str, Answer] = {"does_not_want_contact_with": wish}
    child = _one(people_of(record("child_registration", CHILD, **answers)), Role.CHILD)
    request = people_of(record("tracing_request", REQUEST, enq_name_full_native=name))
    assert blocked == is_unwanted(child, _one(request, Role.ENQUIRER))
    assert blocked == is_unwanted(_one(request, Role.SOUGHT), child)
