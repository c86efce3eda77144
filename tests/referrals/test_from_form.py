"""A referral starts in a form on a phone and is answered on one: record, gate, partner, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from connector.ledger.care import Care
from connector.model import Answers, Submission
from tests.referrals.nodes import Machine, Pair
from tests.transforms.test_referral import ANSWERS as SAID
from tests.transforms.test_referral import SECRETS

ANSWERS = {**SAID, "case_code": "40100047113"}
TO_SHELTER = """
[targets.aman]
type = "partner"
partner = "shelter"
recipient = "ngo"
agency = "aman"
accepts = ["referral"]
release = "auto"
"""
DESK = """
[targets.desk]
type = "partner"
recipient = "own_society"
accepts = ["referral_response"]
"""
ANSWER = {
    "interview_date": "2026-11-20", "codes_only": "yes", "case_code": ANSWERS["case_code"],
    "receiver_focal_role": "intake",
}  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """The sender takes referrals from forms, the receiver answers on a form."""
    both = Pair(tmp_path, TO_SHELTER, DESK)
    yield both
    both.close()


class Phone:
    """Fills in forms of one machine; an edit keeps the root id."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last: dict[str, Submission] = {}

    def fill(self, form: str, answers: dict[str, str], *, edit: bool = False) -> list[str]:
        """Submits, reads back and dispatches; what became of the deliveries."""
        day = self._machine.now().date().isoformat()
        said: Answers = {name: value for name, value in {**answers, "interview_date": day}.items() if value}
        root = self._last[form].root_id if edit else str(uuid4())
        one = Submission("kobo", form, root, str(uuid4()), 1, None, self._machine.now(), said)
        self._last[form] = one
        self._machine.flow.keep_all("kobo", [one])
        return self.dispatch()

    def dispatch(self) -> list[str]:
        flow = self._machine.flow
        return [flow.attempt(due) for name in flow.targets for due in flow.ledger.due(name, 50)]

    def withdraw(self, form: str) -> None:
        flow = self._machine.flow
        case = flow.ledger.case(self._last[form].root_id)
        assert case is not None
        flow.withdraw(case, None, "asked", "test")
        self.dispatch()

    def errors(self) -> list[tuple[str, str | None]]:
        return [(row.state, row.error) for row in self._machine.flow.ledger.queue()]


def _one(machine: Machine) -> str:
    [row] = machine.exchange.referrals.rows()
    return row.id


def test_a_form_becomes_a_referral_and_the_name_follows_acceptance(pair: Pair) -> None:
    """The codes leave at once; not a byte of the person before the partner accepts; then name, contact and words."""
    assert ["delivered"] == Phone(pair.sender).fill("referral", ANSWERS)
    pair.settle()
    before = [pair.receiver.opened(one) for one in pair.to_receiver.log]
    asked = pair.receiver.show(_one(pair.receiver)).opening
    Phone(pair.receiver).fill("referral_response", {**ANSWER, "response_step": "ack", "decision": "accepted"})
    pair.settle()

    assert [] == [secret for secret in SECRETS for text in before if secret in text]
    assert asked is not None
    assert (("shelter", "psychosocial_service"), (), "2026-11") == (
        asked.services_requested, asked.reason_code, asked.protocol_version,
    )  # fmt: skip
    told = pair.receiver.exchange.referrals.disclosed(_one(pair.receiver), "test")
    assert told is not None
    assert ("Layla Kindi", "phone: +971500000111", "She needs two rooms.") == (
        told.identity.name, told.identity.contact, told.identity.free_text,
    )  # fmt: skip
    assert "caregiver_name: Salem" in told.identity.safe_contact
    assert ("safe_place",) == told.reason_code


def test_the_form_ends_the_loop(pair: Pair) -> None:
    """Accepted, under way, completed: three forms at the receiver, and the sender sees the outcome."""
    Phone(pair.sender).fill("referral", ANSWERS)
    pair.settle()
    desk, feedback = Phone(pair.receiver), {**ANSWER, "response_step": "feedback", "feedback_consent": "yes"}
    desk.fill("referral_response", {**ANSWER, "response_step": "ack", "decision": "accepted"})
    desk.fill("referral_response", {**feedback, "status": "in_progress"})
    desk.fill("referral_response", {**feedback, "status": "completed", "outcome": "completed_partly"})
    pair.settle()

    assert ("completed", "completed") == pair.states(_one(pair.sender))
    outcomes = [one.event.outcome for one in pair.sender.show(_one(pair.sender)).events]
    assert "completed_partly" in outcomes


def test_a_refusal_on_a_form_has_its_reason(pair: Pair) -> None:
    """No free places: rejected on both sides, and no name ever left."""
    Phone(pair.sender).fill("referral", ANSWERS)
    pair.settle()
    said = {**ANSWER, "response_step": "ack", "decision": "rejected", "reject_reason": "no_capacity"}
    Phone(pair.receiver).fill("referral_response", said)
    pair.settle()

    assert ("rejected", "rejected") == pair.states(_one(pair.sender))
    assert "no_capacity" == pair.sender.show(_one(pair.sender)).events[-1].event.reason
    assert [] == [s for s in SECRETS for one in pair.to_receiver.log if s in pair.receiver.opened(one)]


def test_a_name_that_is_not_given_stays(pair: Pair) -> None:
    """Who said no to giving the name is referred by the code alone, and both sides see why."""
    Phone(pair.sender).fill("referral", {**ANSWERS, "disclose_name": "no", "fields_disclosed": ""})
    pair.settle()
    pair.receiver.do(_one(pair.receiver), "accept")
    pair.settle()

    assert "no_identity" == pair.sender.show(_one(pair.sender)).result
    assert "no_identity" in [one.event.reason for one in pair.receiver.show(_one(pair.receiver)).events]
    assert [] == [s for s in SECRETS for one in pair.to_receiver.log if s in pair.receiver.opened(one)]


def test_only_what_was_chosen_is_told(pair: Pair) -> None:
    """The name without the telephone, the caregiver and the words when the person chose nothing more."""
    Phone(pair.sender).fill("referral", {**ANSWERS, "fields_disclosed": "none"})
    pair.settle()
    pair.receiver.do(_one(pair.receiver), "accept")
    pair.settle()

    told = pair.receiver.exchange.referrals.disclosed(_one(pair.receiver), "test")
    assert told is not None
    assert {"name": "Layla Kindi", "contact": "", "safe_contact": "", "free_text": ""} == told.identity.model_dump()


def test_consent_that_ends_between_asking_and_telling_holds(pair: Pair) -> None:
    """The gate is asked again at the second step: an expired consent keeps the name here."""
    until = pair.sender.now().date().replace(year=pair.sender.now().year + 1).isoformat()
    Phone(pair.sender).fill("referral", {**ANSWERS, "consent_review_on": until})
    pair.settle()
    pair.receiver.do(_one(pair.receiver), "accept")
    pair.clock.forward(days=400)
    pair.settle()

    assert "consent_expired" == pair.sender.show(_one(pair.sender)).result
    assert [] == [s for s in SECRETS for one in pair.to_receiver.log if s in pair.receiver.opened(one)]


def test_an_edit_before_telling_counts(pair: Pair) -> None:
    """A corrected name is the one that is told; the same codes do not make a second referral."""
    phone = Phone(pair.sender)
    phone.fill("referral", ANSWERS)
    pair.settle()
    phone.fill("referral", {**ANSWERS, "client_name_full_native": "Layla Salem Kindi"}, edit=True)
    pair.receiver.do(_one(pair.receiver), "accept")
    pair.settle()

    told = pair.receiver.exchange.referrals.disclosed(_one(pair.receiver), "test")
    assert told is not None
    assert "Layla Salem Kindi" == told.identity.name


def test_codes_that_left_are_not_changed_behind_the_partners_back(pair: Pair) -> None:
    """Before anything left an edit replaces what is asked; afterwards it is parked, and the partner's copy stays."""
    phone = Phone(pair.sender)
    phone.fill("referral", ANSWERS)
    phone.fill("referral", {**ANSWERS, "priority": "normal_2w"}, edit=True)
    pair.settle()
    assert "normal_2w" == pair.receiver.show(_one(pair.receiver)).row.priority

    assert ["parked"] == phone.fill("referral", {**ANSWERS, "priority": "emergency_24h"}, edit=True)
    pair.settle()
    assert "normal_2w" == pair.receiver.show(_one(pair.receiver)).row.priority
    assert ("parked", "referral.already_sent") in phone.errors()


def test_withdrawing_the_form_withdraws_the_referral(pair: Pair) -> None:
    """Consent taken back through the form: both sides are withdrawn, and what they held is destroyed."""
    phone = Phone(pair.sender)
    phone.fill("referral", ANSWERS)
    pair.settle()
    referral_id = _one(pair.sender)
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    phone.withdraw("referral")
    pair.settle()

    assert ("withdrawn", "withdrawn") == pair.states(referral_id)
    assert pair.receiver.exchange.referrals.disclosed(referral_id, "test") is None


def test_withdrawn_between_acceptance_and_telling(pair: Pair) -> None:
    """The record is withdrawn while the partner's acceptance is under way: the name does not leave any more."""
    phone = Phone(pair.sender)
    phone.fill("referral", ANSWERS)
    pair.settle()
    flow, referral_id = pair.sender.flow, _one(pair.sender)
    case = flow.ledger.case(phone._last["referral"].root_id)
    assert case is not None
    flow.withdraw(case, None, "asked", "test")  # not dispatched yet
    pair.receiver.do(referral_id, "accept")
    pair.settle()

    assert [] == [s for s in SECRETS for one in pair.to_receiver.log if s in pair.receiver.opened(one)]


def test_a_form_that_is_gone_tells_nothing_yet(pair: Pair) -> None:
    """While the submission has vanished from the form server the second step waits, and goes on when it is back."""
    phone = Phone(pair.sender)
    phone.fill("referral", ANSWERS)
    pair.settle()
    case = pair.sender.flow.ledger.case(phone._last["referral"].root_id)
    assert case is not None
    pair.sender.flow.ledger.set_presence([case.id], "gone")
    pair.receiver.do(_one(pair.receiver), "accept")
    for _ in range(3):
        pair.send()
        pair.send_back()
    assert "referral.form_held" == pair.sender.show(_one(pair.sender)).unsent[0].error

    pair.sender.flow.ledger.set_presence([case.id], "listed")
    pair.clock.forward(minutes=10)
    pair.settle()
    assert pair.receiver.exchange.referrals.disclosed(_one(pair.receiver), "test") is not None


def test_authorities_need_two_named_people(tmp_path: Path) -> None:
    """The restricted road: explained risk and an explicit yes, and still nothing leaves before two users released it."""
    police = TO_SHELTER.replace('"ngo"', '"authorities"').replace('agency = "aman"', 'agency = "police"')
    both = Pair(tmp_path, police)
    asked = {
        **ANSWERS, "to_kind": "authorities", "to_org": "police", "c_share_ngo": "", "c_share_authorities": "yes",
        "risk_explained": "yes", "services_requested": "police_other_service",
    }  # fmt: skip
    phone = Phone(both.sender)

    assert ["waiting"] == phone.fill("referral", asked)
    [waiting] = [row.id for row in both.sender.flow.ledger.queue() if row.state == "waiting"]
    both.sender.flow.ledger.release(waiting, "supervisor")
    phone.dispatch()
    assert [] == both.sender.exchange.referrals.rows()

    both.sender.flow.ledger.release(waiting, "director")
    phone.dispatch()
    assert ["requested"] == [row.state for row in both.sender.exchange.referrals.rows()]
    both.close()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"case_code": "401-0004711"}, "referral.not_complete"),
        ({"services_requested": ""}, "referral.not_complete"),
        ({"priority": ""}, "referral.not_complete"),
    ],
)
def test_an_incomplete_form_is_parked(pair: Pair, changed: dict[str, str], error: str) -> None:
    """What the exchange cannot carry is parked under a code; no referral is made and nothing is sent."""
    phone = Phone(pair.sender)
    assert ["parked"] == phone.fill("referral", {**ANSWERS, **changed})
    assert [("parked", error)] == phone.errors()
    assert [] == pair.sender.exchange.referrals.rows()


def test_an_answer_that_fits_nothing_is_parked(pair: Pair) -> None:
    """An answer for a case nobody referred, and one that is not allowed now, are parked and change nothing."""
    Phone(pair.sender).fill("referral", ANSWERS)
    pair.settle()
    desk = Phone(pair.receiver)
    ack = {**ANSWER, "response_step": "ack", "decision": "accepted"}
    assert ["parked"] == desk.fill("referral_response", {**ack, "case_code": "10112345672"})
    done = {**ANSWER, "response_step": "feedback", "status": "completed"}
    assert ["parked"] == desk.fill("referral_response", done)
    assert {"referral.unknown", "referral.not_allowed"} == {error for _, error in desk.errors()}
    assert "received" == pair.receiver.state(_one(pair.receiver))


def test_the_same_answer_twice_changes_nothing(pair: Pair) -> None:
    """A second form with the same answer, or a repeated delivery, leaves one acceptance."""
    Phone(pair.sender).fill("referral", ANSWERS)
    pair.settle()
    ack = {**ANSWER, "response_step": "ack", "decision": "accepted"}
    assert [["delivered"], ["delivered"]] == [Phone(pair.receiver).fill("referral_response", ack) for _ in range(2)]
    assert 1 == sum(one.event.deed == "accept" for one in pair.receiver.show(_one(pair.receiver)).events)


def test_kinds_that_the_exchange_does_not_know(pair: Pair) -> None:
    """Sending a case back moves it; asking for information keeps it; what is not carried is named as dropped."""
    phone = Phone(pair.sender)
    phone.fill("referral", {**ANSWERS, "kind": "counter_referral", "transport_needed": "yes"})
    [row] = pair.sender.exchange.referrals.rows()
    assert "transfer" == row.kind
    [delivery] = pair.sender.flow.ledger.queue()
    assert "delivered" == delivery.state


def test_the_persons_copy_says_what_was_told(pair: Pair) -> None:
    """Codes first and who it is later: both stand on the person's copy, by class of data and receiver, without an answer."""
    phone = Phone(pair.sender)
    phone.fill("referral", ANSWERS)
    pair.settle()
    flow = pair.sender.flow
    case = flow.ledger.case(phone._last["referral"].root_id)
    assert case is not None
    before = Care(flow.ledger).told_of(case)
    pair.receiver.do(_one(pair.receiver), "accept")
    pair.settle()
    after = Care(flow.ledger).told_of(case)

    assert [[("case", "count")]] == [[deed.classes for deed in one.deeds] for one in before.sent]
    [[_, second]] = [one.deeds for one in after.sent]
    assert (("circumstances", "contact", "identity"), "ngo", "aman") == (second.classes, second.recipient, second.who)
