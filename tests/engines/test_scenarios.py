"""Conversations: the people of tests/forms/scenarios walk through the built forms in JavaRosa, as an enumerator leads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast
from xml.etree.ElementTree import fromstring

import pytest

from connector.model import Answers, Submission
from connector.sandbox.records import kobo_answers
from connector.transforms.registry import from_json, to_record
from forms.tables import load
from tests.engines.conftest import FillForm
from tests.engines.javarosa import Filled
from tests.engines.scenarios import Scenario, scenarios

DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _values(done: Filled, name: str) -> list[str]:
    nodes = fromstring(done.record).iter()
    return [node.text or "" for node in nodes if node.tag.rpartition("}")[2] == name]


def _luhn_holds(code: str) -> bool:
    """The check of ISO/IEC 7812-1 annex B: from the right, every second digit doubled, the sum a multiple of 10."""
    digits = [int(digit) for digit in reversed(code)]
    return sum(DOUBLED[digit] if place % 2 else digit for place, digit in enumerate(digits)) % 10 == 0


@pytest.fixture(scope="module", params=scenarios(), ids=lambda scenario: scenario.id)
def walked(request: pytest.FixtureRequest, fill_form: FillForm) -> tuple[Scenario, Filled]:
    scenario: Scenario = request.param
    return scenario, fill_form(scenario.form_id, scenario.given(), scenario.language)


def test_the_conversation_goes_as_it_should(walked: tuple[Scenario, Filled]) -> None:
    """What is asked and what is not, what is refused, what is kept, and whether the form can be finished."""
    scenario, done = walked
    expected = scenario.expect
    assert (done.complete, done.stopped_at) == (expected["complete"], done.stopped_at)
    assert [name for name in expected["reached"] if name not in done.names] == []
    assert [name for name in expected["not_reached"] if name in done.names] == []
    assert expected.get("unreached", []) == list(done.unreached)
    refused = {visit.name: len(visit.tries) - 1 for visit in done.visits if len(visit.tries) > 1}
    assert expected.get("refused", {}) == refused
    for name, value in expected.get("values", {}).items():
        assert (name, value if isinstance(value, list) else [value][: bool(value)]) == (
            name,
            list(filter(None, _values(done, name))),
        )


def test_every_refusal_says_why_in_the_language(walked: tuple[Scenario, Filled]) -> None:
    """A constraint never fails without a message, and nothing shown lacks its text."""
    _, done = walked
    assert [
        visit.path for visit in done.visits for one in visit.tries if one.result == "constraint" and not one.message
    ] == []
    assert [visit.path for visit in done.visits if not visit.label] == []


def test_a_case_code_carries_its_branch_and_its_check_digit(walked: tuple[Scenario, Filled]) -> None:
    """11 digits, Luhn at the end; a form that makes one puts the branch first, and makes none before it may."""
    scenario, done = walked
    code = done.value("case_code")
    if "case_code_base" not in load(scenario.form_id).questions:
        assert code == "" or (11, True) == (len(code), _luhn_holds(code))
    elif done.value("may_record") == "yes":
        assert (11, True, done.value("branch_code")) == (len(code), _luhn_holds(code), code[:3])
    else:
        assert code == ""


def test_what_is_sent_becomes_a_record(walked: tuple[Scenario, Filled]) -> None:
    """The typed Record of the form reads every answer that the engine kept, and is the same after the ledger."""
    scenario, done = walked
    form_id = scenario.form_id
    answers = cast("Answers", kobo_answers(done.record, load(form_id).repeats))
    record = to_record(Submission("kobo", form_id, "r", "i", 1, None, datetime.now(UTC), _questions_alone(answers)))
    assert form_id == record.kind
    assert record == from_json(form_id, record.model_dump_json().encode())


def _questions_alone(answers: Answers) -> Answers:
    return {path: answer for path, answer in answers.items() if not path.startswith("meta/")}
