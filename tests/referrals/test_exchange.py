"""Messages between two nodes: authentic, once, in order, through outages; and what a stranger can do."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from connector.errors import Refused
from connector.outbound import Answer
from connector.referrals.envelope import MEDIA_TYPE, seal, signed_headers
from connector.referrals.messages import Message
from tests.referrals.nodes import Line, Machine, Pair, Sent


def forged(pair: Pair, by: Machine, to: Machine, **changes: Any) -> Sent:
    """A well-signed, well-encrypted message that a partner's node would never have made."""
    keys = by.exchange.keys
    values = {
        "id": uuid4(), "sender": keys.fingerprint, "recipient": to.exchange.keys.fingerprint, "referral": uuid4(),
        "number": 1, "seen": 0, "deed": "accept", "at": by.now(),
    } | changes  # fmt: skip
    body = seal(Message.model_validate(values).as_bytes(), to.exchange.keys.public_encryption)
    headers = signed_headers(keys, str(values["id"]), by.now(), body) | {"Content-Type": MEDIA_TYPE}
    return Sent(f"/webhooks/partners/{keys.fingerprint}", headers, body)


def answered(line: Line, sent: Sent) -> tuple[int, str]:
    """Status and code of one request."""
    answer = line.post(sent)
    return answer.status, json.loads(answer.body).get("error", "")


def snapshot(machine: Machine) -> tuple[object, ...]:
    """All that a message could change."""
    ledger = machine.exchange.referrals
    return tuple((row, ledger.show(row.id)) for row in ledger.rows())


def test_a_delivered_referral_is_received_on_both_sides(pair: Pair) -> None:
    """Requested until the partner signed for it; then received here and there, due at the same moment."""
    referral_id = pair.new()
    before = pair.sender.state(referral_id)
    pair.settle()

    assert "requested" == before
    assert ("received", "received") == pair.states(referral_id)
    assert pair.sender.show(referral_id).row.due_at == pair.receiver.show(referral_id).row.due_at


def test_the_whole_loop_ends_with_an_outcome_the_sender_sees(pair: Pair) -> None:
    """Accepted, begun, held, begun again, completed: both lists of events are the same."""
    referral_id = pair.delivered()
    for deed in ("accept", "start", "hold", "start"):
        pair.receiver.do(referral_id, deed)
        pair.settle()
    pair.receiver.do(referral_id, "complete", outcome="completed_partly")
    pair.settle()
    asked, done = pair.sender.show(referral_id), pair.receiver.show(referral_id)

    assert [one.event for one in asked.events] == [one.event for one in done.events]
    assert "completed_partly" == asked.events[-1].event.outcome
    assert asked.standing == done.standing


def test_a_repeated_id_answers_200_and_changes_nothing(pair: Pair) -> None:
    """Every message of a referral, sent again byte for byte, at once and after the end."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    here, there = snapshot(pair.sender), snapshot(pair.receiver)
    again = [pair.to_receiver.post(sent).status for sent in pair.to_receiver.log]
    again += [pair.to_sender.post(sent).status for sent in pair.to_sender.log]

    assert [200, 200, 200] == again
    assert (here, there) == (snapshot(pair.sender), snapshot(pair.receiver))


def test_a_signature_has_to_be_the_senders(pair: Pair) -> None:
    """A changed body, a changed id, another scheme, no signature, another node's: 401, nothing is kept."""
    pair.new()
    pair.to_receiver.cut_before = True
    pair.send()
    sent = pair.to_receiver.log[0]
    wrong = [
        replace(sent, body=sent.body[:-2] + b"AA"),
        replace(sent, headers=sent.headers | {"webhook-id": str(uuid4())}),
        replace(
            sent, headers=sent.headers | {"webhook-signature": sent.headers["webhook-signature"].replace("v1a", "v1")}
        ),
        replace(sent, headers=sent.headers | {"webhook-signature": "v1a,!!!"}),
        replace(sent, headers={"Content-Type": MEDIA_TYPE}),
        replace(
            sent,
            headers=signed_headers(
                pair.receiver.exchange.keys, sent.headers["webhook-id"], pair.sender.now(), sent.body
            ),
        ),
    ]

    assert [(401, "partner.bad_signature")] * len(wrong) == [answered(pair.to_receiver, one) for one in wrong]
    assert () == snapshot(pair.receiver)


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 201), (4, 201), (6, 401)])
def test_clocks_may_differ_by_five_minutes(pair: Pair, minutes: int, status: int) -> None:
    """Within five minutes messages pass, beyond they are stale; once the clock is right they arrive."""
    pair.sender.skew = timedelta(minutes=minutes)
    referral_id = pair.new()
    pair.send()

    assert status == pair.to_receiver.log[0].status

    pair.sender.skew = timedelta(0)
    pair.clock.forward(hours=1)
    pair.settle()

    assert ("received", "received") == pair.states(referral_id)


def test_a_replay_after_five_minutes_is_stale(pair: Pair) -> None:
    """An eavesdropper's copy is worth nothing later."""
    pair.delivered()
    pair.clock.forward(minutes=6)

    assert (401, "partner.stale") == answered(pair.to_receiver, pair.to_receiver.log[0])


def test_a_stranger_is_refused(pair: Pair, tmp_path: Any) -> None:
    """A node that nobody paired with gets 401, whatever it signs, and under another's fingerprint too."""
    stranger = Machine(tmp_path / "stranger", pair.clock)
    sent = forged(pair, stranger, pair.receiver)
    disguised = replace(sent, path=f"/webhooks/partners/{pair.sender.exchange.keys.fingerprint}")
    outcomes = [answered(pair.to_receiver, one) for one in (sent, disguised)]
    stranger.close()

    assert [(401, "partner.unknown"), (401, "partner.bad_signature")] == outcomes


def test_a_message_for_another_node_is_refused(pair: Pair) -> None:
    """What a partner wrote to somebody else cannot be passed on to us."""
    sent = forged(pair, pair.sender, pair.receiver, recipient=pair.sender.exchange.keys.fingerprint)

    assert (422, "partner.not_for_us") == answered(pair.to_receiver, sent)


def test_what_cannot_be_opened_is_refused(pair: Pair) -> None:
    """Signed, but encrypted to another key, or not encrypted at all; nothing of it is told."""
    keys = pair.sender.exchange.keys
    bodies = [
        seal(b"{}", keys.public_encryption),
        b'{"deed": "request"}',
        b"",
        seal(b"{}", pair.receiver.exchange.keys.public_encryption),
    ]
    outcomes = []
    for body in bodies:
        headers = signed_headers(keys, str(uuid4()), pair.sender.now(), body)
        outcomes.append(answered(pair.to_receiver, Sent(f"/webhooks/partners/{keys.fingerprint}", headers, body)))

    assert [(422, "partner.does_not_open")] * 3 + [(422, "partner.not_a_message")] == outcomes


def test_too_large_a_body_is_413(pair: Pair) -> None:
    """More than 10 MB is not read."""
    sent = Sent(f"/webhooks/partners/{pair.sender.exchange.keys.fingerprint}", {}, b"x" * (10 * 1000 * 1000 + 1))

    assert (413, "too_large") == answered(pair.to_receiver, sent)


def test_an_acceptance_for_a_referral_never_sent_is_refused(pair: Pair) -> None:
    """A clear code; nothing is kept."""
    sent = forged(pair, pair.receiver, pair.sender, deed="accept")

    assert (422, "referral.unknown") == answered(pair.to_sender, sent)
    assert () == snapshot(pair.sender)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deed": "accept", "number": 2, "seen": 1}, "referral.not_yours"),
        ({"deed": "request", "number": 2, "seen": 1, "again": True}, "referral.not_allowed"),
        ({"deed": "disclose", "number": 2, "seen": 1, "reason": "no_identity"}, "referral.not_allowed"),
        ({"deed": "confirm", "number": 2, "seen": 1}, "referral.not_overdue"),
        ({"deed": "cancel", "number": 1, "seen": 1}, "referral.number_taken"),
        ({"deed": "cancel", "number": 2, "seen": 9}, "referral.never_sent"),
        ({"deed": "cancel", "number": 2, "seen": 1, "reason": "she_left_him"}, "referral.unknown_reason"),
    ],
)
def test_what_the_sender_may_not_do_is_refused(pair: Pair, changes: dict[str, Any], code: str) -> None:
    """The requester does not accept, nothing is done out of its state, no number is used twice: the state stays."""
    referral_id = pair.delivered()
    if changes.pop("again", False):
        changes["opening"] = pair.receiver.show(referral_id).opening
    before = snapshot(pair.receiver)
    sent = forged(pair, pair.sender, pair.receiver, referral=referral_id, **changes)

    assert (422, code) == answered(pair.to_receiver, sent)
    assert before == snapshot(pair.receiver)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deed": "cancel", "number": 2, "seen": 1}, "referral.not_yours"),
        ({"deed": "withdraw", "number": 2, "seen": 1}, "referral.not_yours"),
        ({"deed": "complete", "number": 2, "seen": 1}, "referral.not_allowed"),
        ({"deed": "reject", "number": 2, "seen": 1}, "referral.reason_needed"),
    ],
)
def test_what_the_owner_may_not_do_is_refused(pair: Pair, changes: dict[str, Any], code: str) -> None:
    """The owner neither cancels nor withdraws, and completes nothing that it did not accept."""
    referral_id = pair.delivered()
    before = snapshot(pair.sender)

    assert (422, code) == answered(
        pair.to_sender, forged(pair, pair.receiver, pair.sender, referral=referral_id, **changes)
    )
    assert before == snapshot(pair.sender)


def test_another_partner_cannot_touch_a_referral(pair: Pair, tmp_path: Any) -> None:
    """A paired third node that learnt an id gets the answer that a stranger to it gets."""
    third = Machine(tmp_path / "third", pair.clock)
    pair.sender.pair(third)
    referral_id = pair.delivered()
    outcome = answered(pair.to_sender, forged(pair, third, pair.sender, referral=referral_id, number=2, seen=1))
    third.close()

    assert (422, "referral.unknown") == outcome
    assert ("received", "received") == pair.states(referral_id)


def test_messages_of_a_referral_are_taken_in_order(pair: Pair) -> None:
    """The second before the first is put off with 503; in order both are taken, and the state is the same."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.receiver.do(referral_id, "start")
    pair.to_sender.cut_before = True
    first = pair.due()[1]
    pair.send_back()
    ours = {"referral": referral_id, "seen": 1}
    early = forged(pair, pair.receiver, pair.sender, deed="start", number=3, **ours)
    outcome = answered(pair.to_sender, early)
    pair.to_sender.cut_before = False
    pair.clock.forward(hours=1)
    pair.settle()

    assert [2] == [one.event.number for one in first]
    assert (503, "referral.out_of_order") == outcome
    assert ("in_progress", "in_progress") == pair.states(referral_id)


def test_the_sender_keeps_the_order_of_a_referral(pair: Pair) -> None:
    """While one message is not acknowledged, none after it goes out; another referral's does."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.receiver.do(referral_id, "start")
    pair.receiver.do(referral_id, "complete", outcome="completed_full")

    assert [[2], [3], [4]] == [_numbers_then_send(pair) for _ in range(3)]


def _numbers_then_send(pair: Pair) -> list[int]:
    numbers = [one.event.number for one in pair.due()[1]]
    pair.send_back()
    return numbers


def test_an_outage_of_the_receiver_loses_nothing(pair: Pair) -> None:
    """Down for hours: everything waits, and goes out in order once it is back."""
    pair.to_receiver.cut_before = True
    ids = [pair.new() for _ in range(5)]
    outcomes = set(pair.send())
    pair.clock.forward(hours=8)
    outcomes |= set(pair.send())
    pair.to_receiver.cut_before = False
    pair.clock.forward(minutes=10)
    pair.settle()

    assert {"due"} == outcomes
    assert [("received", "received")] * 5 == [pair.states(one) for one in ids]


def test_a_lost_answer_makes_no_second_referral(pair: Pair) -> None:
    """Kept there, not heard here: the next attempt is told 200 and both sides agree."""
    pair.to_receiver.cut_after = True
    referral_id = pair.new()
    pair.send()
    between = pair.states(referral_id)
    pair.to_receiver.cut_after = False
    pair.clock.forward(hours=1)
    pair.settle()

    assert ("requested", "received") == between
    assert ("received", "received") == pair.states(referral_id)
    assert 200 == pair.to_receiver.log[-1].status
    assert 1 == len(pair.receiver.exchange.referrals.rows())


def test_an_answer_proves_that_the_request_arrived(pair: Pair) -> None:
    """The acceptance overtakes the lost acknowledgement: it is taken, and the request is not asked for again."""
    pair.to_receiver.cut_after = True
    referral_id = pair.new()
    pair.send()
    pair.receiver.do(referral_id, "accept")
    pair.send_back()
    pair.to_receiver.cut_after = False
    pair.clock.forward(hours=1)
    pair.settle()

    assert ("accepted", "accepted") == pair.states(referral_id)


def test_an_acknowledgement_that_nobody_signed_is_none(pair: Pair) -> None:
    """Whoever stands between and says 201 does not make a referral received."""
    pair.to_receiver.answer = lambda _: Answer(201, {}, b'{"receipt": "made up"}')
    referral_id = pair.new()
    pair.send()

    assert "requested" == pair.sender.state(referral_id)
    assert "partner.not_acknowledged" == pair.sender.show(referral_id).unsent[0].error


def test_an_acknowledgement_of_another_message_is_none(pair: Pair) -> None:
    """A signed answer is good for the message whose id it signs and for no other."""
    pair.delivered()
    sent = pair.to_receiver.log[0]
    old = pair.to_receiver.post(sent)
    pair.to_receiver.answer = lambda _: old
    referral_id = pair.new()
    pair.send()

    assert "requested" == pair.sender.state(referral_id)


def test_a_refused_message_is_parked_and_says_why(pair: Pair) -> None:
    """422 is not tried again by itself: the partner's code stands with the message until a person retries."""
    referral_id = pair.new()
    pair.to_receiver.answer = lambda _: Answer(422, {}, b'{"error": "referral.unknown"}')
    outcomes = pair.send()
    stuck = pair.sender.show(referral_id).unsent
    pair.to_receiver.answer = lambda answer: answer
    nothing = pair.send()
    pair.sender.exchange.referrals.retry(referral_id, "test")
    pair.settle()

    assert ["parked"] == outcomes
    assert [("parked", "referral.unknown")] == [(one.state, one.error) for one in stuck]
    assert [] == nothing
    assert ("received", "received") == pair.states(referral_id)


def test_words_in_a_partners_answer_are_not_kept(pair: Pair) -> None:
    """What is no code of an error is forgotten, whatever it says."""
    referral_id = pair.new()
    pair.to_receiver.answer = lambda _: Answer(422, {}, json.dumps({"error": "Zahra is not here"}).encode())
    pair.send()

    assert "partner.http_422" == pair.sender.show(referral_id).unsent[0].error


@pytest.mark.parametrize(
    ("deeds", "final"),
    [
        (("accept",), "cancelled"),
        (("accept", "start"), "cancelled"),
        (("accept", "complete"), "completed"),
        (("reject",), "rejected"),
    ],
)
def test_two_people_acting_at_once_end_alike(pair: Pair, deeds: tuple[str, ...], final: str) -> None:
    """The sender cancels while the receiver answers: what was done stands, both sides show the same, and what came too late."""
    referral_id = pair.delivered()
    for deed in deeds:
        pair.receiver.do(referral_id, deed, **({"reason": "no_capacity"} if deed == "reject" else {}))
    pair.sender.do(referral_id, "cancel", reason="no_longer_needed")
    pair.settle()
    too_late = [
        [str(one.event.deed) for one in machine.show(referral_id).events if not one.changed]
        for machine in (pair.sender, pair.receiver)
    ]

    assert (final, final) == pair.states(referral_id)
    assert [[] if final == "cancelled" else ["cancel"]] * 2 == too_late


def test_two_answers_at_one_desk_are_one(pair: Pair) -> None:
    """Accepted by one, rejected by another a moment later: the second is refused and changes nothing."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")

    with pytest.raises(Refused) as error:
        pair.receiver.do(referral_id, "reject", reason="no_capacity")

    assert "referral.not_allowed" == error.value.code
    assert "accepted" == pair.receiver.state(referral_id)


def test_a_withdrawal_overtakes_what_is_stuck(pair: Pair) -> None:
    """The partner must hear of a withdrawal even when an earlier message never got through."""
    pair.to_receiver.cut_before = True
    referral_id = pair.new()
    pair.send()
    pair.to_receiver.cut_before = False
    pair.sender.do(referral_id, "withdraw")
    pair.settle()
    late = pair.to_receiver.log[0]

    assert ("withdrawn", "withdrawn") == pair.states(referral_id)
    assert (422, "referral.withdrawn") == answered(pair.to_receiver, late)
    assert pair.receiver.show(referral_id).opening is None


def test_a_late_referral_is_not_lost(pair: Pair) -> None:
    """It arrives overdue: an alarm on both sides, no acceptance; the sender confirms, a new time, acceptance."""
    pair.to_receiver.cut_before = True
    referral_id = pair.new(priority="emergency_24h")
    pair.send()
    pair.clock.forward(hours=25)
    pair.to_receiver.cut_before = False
    pair.settle()
    alarms = [
        [row.id for row in machine.exchange.referrals.newly_overdue()] for machine in (pair.sender, pair.receiver)
    ]
    flags = (pair.sender.show(referral_id).row.overdue, pair.receiver.show(referral_id).row.overdue)

    with pytest.raises(Refused) as error:
        pair.receiver.do(referral_id, "accept")

    assert ("received", "received") == pair.states(referral_id)
    assert [[referral_id], [referral_id]] == alarms
    assert (True, True) == flags
    assert "referral.overdue" == error.value.code

    pair.sender.do(referral_id, "confirm")
    pair.settle()
    pair.receiver.do(referral_id, "accept")
    pair.settle()

    assert ("accepted", "accepted") == pair.states(referral_id)
    assert pair.sender.show(referral_id).row.due_at == pair.receiver.show(referral_id).row.due_at


def test_an_alarm_is_raised_once_for_each_due_time(pair: Pair) -> None:
    """Audited without a name, once; again only when a confirmed referral is late again."""
    referral_id = pair.delivered()
    pair.clock.forward(hours=73)
    first, second = pair.sender.exchange.referrals.newly_overdue(), pair.sender.exchange.referrals.newly_overdue()
    pair.sender.do(referral_id, "confirm")
    pair.settle()
    pair.clock.forward(hours=73)
    third = pair.sender.exchange.referrals.newly_overdue()

    assert [1, 0, 1] == [len(first), len(second), len(third)]
    assert 2 == sum(row["event"] == "referral_overdue" for row in pair.sender.audit())


def test_every_step_is_audited_in_a_chain(pair: Pair) -> None:
    """Who did what to which referral and whom it was sent to, on both sides; the chains fit."""
    from connector.ledger.audit import verify

    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    told = [(row["event"], row["actor"]) for row in pair.receiver.audit() if row["record_id"] == referral_id]

    assert [
        ("referral_request", "partner:police"), ("referral_receive", "silah"), ("referral_accept", "test"),
        ("referral_sent", "silah"), ("referral_disclose", "partner:police"),
    ] == told  # fmt: skip
    for machine in (pair.sender, pair.receiver):
        with machine.flow.ledger.database.reading() as connection:
            assert verify(connection)[1] is None


def test_the_actors_name_stays_at_home(pair: Pair) -> None:
    """A partner learns which side acted, never who at its desk."""
    referral_id = pair.delivered()
    pair.receiver.exchange.act(
        referral_id, pair.receiver.show(referral_id).events[0].event.deed.ACCEPT, "cli:Canary-Officer"
    )
    pair.settle()

    assert "Canary" not in "".join(pair.sender.opened(sent) for sent in pair.to_sender.log)
    assert "Canary" not in repr(pair.sender.show(referral_id))


def test_the_signature_is_a_standard_webhooks_one(pair: Pair) -> None:
    """`v1a,` and base64 of an Ed25519 signature over id.timestamp.body, that any library verifies with the exported key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    pair.delivered()
    sent = pair.to_receiver.log[0]
    scheme, _, signature = sent.headers["webhook-signature"].partition(",")
    signed = f"{sent.headers['webhook-id']}.{sent.headers['webhook-timestamp']}.".encode() + sent.body
    exported = pair.sender.exchange.export().signing_key

    assert "v1a" == scheme
    Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(exported.x + "=")).verify(
        base64.b64decode(signature), signed
    )


def test_the_encryption_is_the_published_one(pair: Pair) -> None:
    """JWE compact: ECDH-ES+A256KW with A256GCM and an ephemeral X25519 key, another one each time."""
    pair.new()
    pair.to_receiver.cut_before = True
    pair.send()
    pair.clock.forward(hours=1)
    pair.send()
    heads = [json.loads(base64.urlsafe_b64decode(sent.body.split(b".")[0] + b"==")) for sent in pair.to_receiver.log]

    assert [("ECDH-ES+A256KW", "A256GCM", "X25519")] * 2 == [
        (one["alg"], one["enc"], one["epk"]["crv"]) for one in heads
    ]
    assert heads[0]["epk"]["x"] != heads[1]["epk"]["x"]


def test_answers_to_a_withdrawn_referral_are_not_left_stuck(pair: Pair) -> None:
    """The receiver acted before it heard of the withdrawal: its message is refused, then given up by itself."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.receiver.do(referral_id, "start")
    pair.sender.do(referral_id, "withdraw")
    pair.send_back()
    stuck = [one.error for one in pair.receiver.show(referral_id).unsent]
    pair.settle()

    assert ["referral.withdrawn", None] == stuck
    assert ("withdrawn", "withdrawn") == pair.states(referral_id)
    assert 0 == pair.receiver.exchange.referrals.unsent()
