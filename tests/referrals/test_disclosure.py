"""Two steps: codes first, who it is only after acceptance and with a consent that is good at that moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import NotASubmission, Refused
from connector.purging import purge
from connector.referrals.gate import clear
from connector.referrals.machine import State
from connector.referrals.messages import Disclosed
from connector.referrals.referral import Identity, Opening, PartnerConsent
from tests.referrals.nodes import CANARIES, Machine, Pair, draft

CODES = {
    "kind", "priority", "case_code", "client_sex", "age_group", "services_requested", "reason_code", "safe_rule",
    "protocol_version",
}  # fmt: skip
IDENTITY = set(CANARIES.values())


def leaks(text: str) -> set[str]:
    """Which of the canaries stand in *text*, as they are or as JSON writes them."""
    return {word for word in IDENTITY if word in text or json.dumps(word)[1:-1] in text}


def at_rest(machine: Machine) -> str:
    """All that a machine's folder holds, as somebody who took the disk would read it."""
    return "".join(
        file.read_bytes().decode("utf-8", "ignore") for file in sorted(machine.folder.rglob("*")) if file.is_file()
    )


def identity_at(machine: Machine, referral_id: str) -> dict[str, str] | None:
    disclosed = machine.exchange.referrals.disclosed(referral_id, "test")
    return None if disclosed is None else disclosed.identity.model_dump()


def test_before_acceptance_nothing_of_the_identity_leaves(pair: Pair) -> None:
    """The decrypted first message holds codes alone; the receiver's ledger, opened with its keys, holds no identity."""
    referral_id = pair.delivered()
    opened = [pair.receiver.opened(sent) for sent in pair.to_receiver.log]

    assert 1 == len(opened)
    assert set() == leaks(opened[0])
    assert CODES == set(json.loads(opened[0])["opening"])
    assert identity_at(pair.receiver, referral_id) is None
    assert set() == leaks(repr(pair.receiver.show(referral_id)))
    assert set() == leaks(at_rest(pair.receiver))


def test_after_acceptance_the_receiver_knows_who_it_is(pair: Pair) -> None:
    """Acceptance brings the identity as a message of its own, whole, texts of 32 kB included."""
    long = "ص" * (16 * 1024)
    identity = {**CANARIES, "free_text": long}
    referral_id = pair.delivered(identity=identity)
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    opened = [json.loads(pair.receiver.opened(sent)) for sent in pair.to_receiver.log]

    assert ["request", "disclose"] == [one["deed"] for one in opened]
    assert identity == identity_at(pair.receiver, referral_id)
    assert "told" == pair.sender.show(referral_id).result


def test_everything_is_sealed_at_rest(pair: Pair) -> None:
    """Neither disk shows a name, not even after the identity was told; nor do audit and list."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.settle()

    for machine in (pair.sender, pair.receiver):
        assert set() == leaks(at_rest(machine))
        assert set() == leaks(json.dumps(machine.audit(), ensure_ascii=False))
        assert set() == leaks(repr(machine.show(referral_id)))


def test_every_look_at_an_identity_is_audited(pair: Pair) -> None:
    """Who looked, at which referral; a look that shows nothing is none."""
    referral_id = pair.delivered()
    identity_at(pair.receiver, referral_id)
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    identity_at(pair.receiver, referral_id)
    looks = [row for row in pair.receiver.audit() if row["event"] == "referral_identity_read"]

    assert [("test", referral_id)] == [(row["actor"], row["record_id"]) for row in looks]


def test_a_consent_that_expired_in_between_keeps_the_identity_here(pair: Pair) -> None:
    """Good when it was asked for, past when it was accepted: nothing leaves, both sides see why, the state stays."""
    now = pair.sender.now()
    consent = {"recipient": "shelter", "given": now.isoformat(), "expires": (now + timedelta(hours=1)).isoformat()}
    referral_id = pair.delivered(consent=consent)
    pair.clock.forward(hours=1)
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    told = [event.event.reason for event in pair.receiver.show(referral_id).events if event.event.deed == "disclose"]

    assert ("accepted", "accepted") == pair.states(referral_id)
    assert identity_at(pair.receiver, referral_id) is None
    assert set() == leaks("".join(pair.receiver.opened(sent) for sent in pair.to_receiver.log))
    assert ["consent_expired"] == told
    assert "consent_expired" == pair.sender.show(referral_id).result


def test_a_consent_that_expires_while_the_line_is_down_is_no_consent(pair: Pair) -> None:
    """The gate stands before every attempt, not only before the first."""
    now = pair.sender.now()
    consent = {"recipient": "shelter", "given": now.isoformat(), "expires": (now + timedelta(hours=1)).isoformat()}
    referral_id = pair.delivered(consent=consent)
    pair.receiver.do(referral_id, "accept")
    pair.send_back()
    pair.to_receiver.cut_before = True
    pair.send()
    pair.clock.forward(hours=2)
    pair.to_receiver.cut_before = False
    pair.settle()

    assert identity_at(pair.receiver, referral_id) is None
    assert "consent_expired" == pair.sender.show(referral_id).result


def test_an_identity_that_arrived_counts_as_told(pair: Pair) -> None:
    """The answer was lost and consent expired before the next attempt: both sides still know that it was told."""
    now = pair.sender.now()
    consent = {"recipient": "shelter", "given": now.isoformat(), "expires": (now + timedelta(hours=1)).isoformat()}
    referral_id = pair.delivered(consent=consent)
    pair.receiver.do(referral_id, "accept")
    pair.send_back()
    pair.to_receiver.cut_after = True
    pair.send()
    pair.to_receiver.cut_after = False
    pair.clock.forward(hours=2)
    pair.settle()

    assert CANARIES == identity_at(pair.receiver, referral_id)
    assert "told" == pair.sender.show(referral_id).result


@pytest.mark.parametrize(
    ("consent", "refused"),
    [
        ({"recipient": "other", "given": -1, "expires": 30}, "referral.consent_not_for_partner"),
        ({"recipient": "shelter", "given": -30, "expires": -1}, "referral.consent_expired"),
        ({"recipient": "shelter", "given": 1, "expires": 30}, "referral.consent_expired"),
    ],
)
def test_without_a_good_consent_there_is_no_referral(pair: Pair, consent: dict[str, object], refused: str) -> None:
    """Another partner's consent, a past one and one of the future are no consent: nothing is kept or sent."""
    now = pair.sender.now()
    days = {
        key: (now + timedelta(days=value)).isoformat() if isinstance(value, int) else value
        for key, value in consent.items()
    }

    with pytest.raises(Refused) as error:
        pair.new(consent=days)

    assert refused == error.value.code
    assert [] == pair.sender.exchange.referrals.rows()
    assert [] == pair.send()


@pytest.mark.parametrize("ending", ["cancel", "withdraw"])
def test_an_acceptance_that_comes_too_late_brings_no_identity(pair: Pair, ending: str) -> None:
    """The sender had ended it before it heard of the acceptance: the identity stays."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.sender.do(referral_id, ending)
    pair.settle()

    assert ({"cancel": "cancelled", "withdraw": "withdrawn"}[ending],) * 2 == pair.states(referral_id)
    assert set() == leaks("".join(pair.receiver.opened(sent) for sent in pair.to_receiver.log))


def test_a_withdrawal_stops_what_is_queued_and_destroys_what_is_held(pair: Pair) -> None:
    """Accepted, not told yet, withdrawn: the identity never leaves; both sides' copies cannot be opened again."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.send_back()
    pair.sender.do(referral_id, "withdraw")
    pair.settle()

    assert ("withdrawn", "withdrawn") == pair.states(referral_id)
    assert set() == leaks("".join(pair.receiver.opened(sent) for sent in pair.to_receiver.log))
    assert (None, None) == (pair.sender.show(referral_id).opening, pair.receiver.show(referral_id).opening)


def test_a_withdrawal_erases_what_was_told(pair: Pair) -> None:
    """Told, then withdrawn: the receiver has nothing to open any more."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    pair.sender.do(referral_id, "withdraw")
    pair.settle()

    assert ("withdrawn", "withdrawn") == pair.states(referral_id)
    assert identity_at(pair.receiver, referral_id) is None


def test_what_never_left_is_withdrawn_without_a_word(pair: Pair) -> None:
    """Withdrawn before the first attempt: the partner hears nothing at all."""
    referral_id = pair.new()
    pair.sender.do(referral_id, "withdraw")
    pair.settle()

    assert "withdrawn" == pair.sender.state(referral_id)
    assert [] == pair.to_receiver.log


def test_reasons_of_sensitive_services_wait(pair: Pair) -> None:
    """A shelter's reasons come with the identity, not with the codes."""
    referral_id = pair.delivered(services_requested=["shelter"], reason_code=["safety_planning"])

    assert "safety_planning" not in pair.receiver.opened(pair.to_receiver.log[0])

    pair.receiver.do(referral_id, "accept")
    pair.settle()
    disclosed = pair.receiver.exchange.referrals.disclosed(referral_id, "test")

    assert disclosed is not None
    assert ("safety_planning",) == disclosed.reason_code


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": "Zahra"}, "`name` of the referral"),
        ({"Zahra 079 000 0001": "yes"}, "`a key` of the referral"),
        ({"case_code": "10112345670"}, "`case_code` of the referral"),
        ({"case_code": "1011234567"}, "`case_code` of the referral"),
        ({"safe_rule": ["Call my sister"]}, "`safe_rule` of the referral"),
        ({"services_requested": []}, "`services_requested` of the referral"),
        ({"priority": "soon"}, "`priority` of the referral"),
        ({"identity": {"free_text": "x" * (32 * 1024 + 1)}}, "`identity.free_text` of the referral"),
        ({"identity": {"passport": "1"}}, "`identity.passport` of the referral"),
    ],
)
def test_a_referral_that_is_not_one_is_refused_by_its_key(pair: Pair, change: dict[str, object], where: str) -> None:
    """Unknown keys, words where codes belong, a wrong check digit: the key is named, what was written is not."""
    with pytest.raises(Refused) as error:
        pair.sender.exchange.new(draft("shelter", pair.sender.now(), **change), "shelter", "test")

    assert where == error.value.where
    assert [] == pair.sender.exchange.referrals.rows()


def test_only_the_partner_can_open_a_message(pair: Pair) -> None:
    """Encrypted to the receiver: not even the sender opens what it sent."""
    pair.delivered()

    with pytest.raises(NotASubmission):
        pair.sender.opened(pair.to_receiver.log[0])


def test_what_was_cancelled_before_it_was_told_is_not_told(pair: Pair) -> None:
    """Accepted, the identity waits for the line, the sender cancels: the second step says that it is closed, and no more."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.send_back()
    pair.sender.do(referral_id, "cancel")
    pair.settle()

    assert ("cancelled", "cancelled") == pair.states(referral_id)
    assert set() == leaks("".join(pair.receiver.opened(sent) for sent in pair.to_receiver.log))
    assert "referral_closed" == pair.sender.show(referral_id).result


@pytest.mark.parametrize("state", list(State))
def test_the_gate_opens_while_work_is_under_way(state: State) -> None:
    """Accepted, begun or on hold: told. In every other state, draft to withdrawn, it is not."""
    now = datetime.now(UTC)
    consent = PartnerConsent(recipient="shelter", given=now, expires=now + timedelta(days=1))
    opening = Opening.model_validate(
        {
            "kind": "referral",
            "priority": "normal_2w",
            "case_code": "10112345672",
            "services_requested": ["education_service"],
        }
    )
    decided = clear(state, opening, Identity(name="Zahra"), consent, frozenset({"shelter"}), now)

    assert isinstance(decided, Disclosed) == (state in {State.ACCEPTED, State.IN_PROGRESS, State.ON_HOLD})


def test_who_it_was_goes_some_time_after_the_end(pair: Pair) -> None:
    """Ninety days after a referral has ended `silah purge` forgets who it was about; codes and events stay. What is still
    open keeps it."""
    ended, going_on = pair.delivered(), pair.delivered(case_code="10112345672")
    for one in (ended, going_on):
        pair.receiver.do(one, "accept")
    pair.settle()
    pair.receiver.do(ended, "complete", outcome="completed_full")
    pair.settle()
    pair.clock.forward(days=91)
    assert 1 == purge(pair.receiver.flow, "test", dry_run=True).referrals
    assert 1 == purge(pair.receiver.flow, "test").referrals

    assert pair.receiver.exchange.referrals.disclosed(ended, "test") is None
    assert pair.receiver.exchange.referrals.disclosed(going_on, "test") is not None
    shown = pair.receiver.show(ended)
    assert ("completed", True, None) == (shown.row.state, shown.opening is not None, shown.result)
    assert 0 == purge(pair.receiver.flow, "test").referrals
