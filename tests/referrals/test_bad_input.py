"""What must not be: each is refused clearly, the state stays on both sides, and both sides can see why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from connector.errors import Refused
from connector.ledger.directory import OWN
from connector.referrals.directory import Service
from connector.referrals.envelope import seal, signed_headers
from connector.referrals.machine import Deed
from tests.referrals.nodes import CANARIES, Clock, Machine, Pair, Sent, draft

HOUSING = Service(code="psychosocial_service", name="Somebody to talk to", places=1)


def _unsent(machine: Machine, referral_id: str) -> list[str | None]:
    return [one.error for one in machine.show(referral_id).unsent]


def _counted(machine: Machine) -> Mapping[str, float]:
    """What the metrics of the one who refused count."""
    return machine.flow.ledger.counts()


def _forged(pair: Pair, **changes: object) -> Sent:
    """A message of the receiver that its own machine would not make."""
    keys, to = pair.receiver.exchange.keys, pair.sender.exchange.export()
    told = {
        "id": str(uuid4()), "sender": keys.fingerprint, "recipient": to.fingerprint, "referral": str(uuid4()), "number": 2,
        "seen": 1, "deed": "accept", "at": pair.receiver.now().isoformat(), **changes,
    }  # fmt: skip
    body = seal(json.dumps(told).encode(), to.encryption_key)
    headers = signed_headers(keys, str(told["id"]), pair.receiver.now(), body)
    return Sent(f"/webhooks/partners/{keys.fingerprint}", headers, body)


def test_an_unknown_partner(pair: Pair, tmp_path: Path) -> None:
    """Here: no such partner, nothing kept. There: 401 under a code; what the stranger wrote waits and says why."""
    with pytest.raises(Refused, match=r"partner\.unknown"):
        pair.sender.exchange.new(json.loads("{}"), "nobody", "test")
    assert [] == pair.sender.exchange.referrals.rows()

    stranger = Machine(tmp_path / "stranger", Clock())
    known = stranger.pair(pair.receiver)
    id_ = stranger.exchange.new(draft("shelter", stranger.now()), "shelter", "test").row.id
    [due] = stranger.exchange.referrals.outgoing(known, 5, ())
    assert "due" == stranger.exchange.attempt(known, pair.to_receiver, due)  # type: ignore[arg-type]
    assert ("requested", ["partner.unknown"]) == (stranger.state(id_), _unsent(stranger, id_))
    assert ([], 1.0) == (pair.receiver.exchange.referrals.rows(), _counted(pair.receiver)["webhook.partner.unknown"])
    stranger.close()


def test_a_stale_signature(pair: Pair) -> None:
    """Clocks too far apart: nothing is taken, the message waits under the partner's code, and goes once they are right."""
    id_ = pair.new()
    pair.receiver.skew = timedelta(minutes=6)
    assert ["due"] == pair.send()
    assert ("requested", ["partner.stale"]) == (pair.sender.state(id_), _unsent(pair.sender, id_))
    assert ([], 1.0) == (pair.receiver.exchange.referrals.rows(), _counted(pair.receiver)["webhook.partner.stale"])

    pair.receiver.skew = timedelta(0)
    pair.clock.forward(minutes=6)
    pair.settle()
    assert ("received", "received") == pair.states(id_)


def test_a_replayed_message(pair: Pair) -> None:
    """Byte for byte once more: 200 within five minutes and stale after, and one event on both sides."""
    id_ = pair.delivered()
    first = pair.to_receiver.log[0]
    assert 200 == pair.to_receiver.post(first).status
    pair.clock.forward(minutes=10)
    assert 401 == pair.to_receiver.post(first).status
    assert ("received", "received") == pair.states(id_)
    assert {2} == {len(one.show(id_).events) for one in (pair.sender, pair.receiver)}


@pytest.mark.parametrize(
    ("deed", "by"), [("complete", "receiver"), ("start", "receiver"), ("accept", "sender"), ("cancel", "receiver")]
)
def test_an_illegal_transition(pair: Pair, deed: str, by: str) -> None:
    """At the desk that tries: refused with a code. A forged message of it: 422 with a code. Neither side moves."""
    id_ = pair.delivered()
    machine = pair.sender if by == "sender" else pair.receiver
    with pytest.raises(Refused, match=r"referral\.(not_allowed|not_yours)"):
        machine.do(id_, deed)
    if by == "receiver":
        answer = pair.to_sender.post(_forged(pair, referral=id_, deed=deed))
        assert (422, True) == (answer.status, json.loads(answer.body)["error"].startswith("referral."))
        assert (
            sum(number for name, number in _counted(pair.sender).items() if name.startswith("webhook.referral.")) == 1
        )
    assert ("received", "received") == pair.states(id_)


def test_an_acceptance_for_a_referral_never_sent(pair: Pair) -> None:
    """Of a number nobody knows, and of a referral whose request has not left: refused, counted, and nothing is told."""
    waiting = pair.new()
    for id_ in (str(uuid4()), waiting):
        answer = pair.to_sender.post(_forged(pair, referral=id_, seen=1 if id_ != waiting else 9))
        assert (422, b"referral." in answer.body) == (answer.status, True)
    assert 2 == sum(n for name, n in _counted(pair.sender).items() if name.startswith("webhook.referral."))
    assert ("requested", None) == (pair.sender.state(waiting), pair.sender.show(waiting).result)
    with pytest.raises(Refused, match=r"referral\.unknown"):
        pair.receiver.do(waiting, "accept")


def test_a_service_that_no_longer_exists(pair: Pair) -> None:
    """Before sending by the partner's directory; and when it went meanwhile, at the receiver, who says so to the sender."""
    partner = pair.sender.exchange.referrals.partner("shelter")
    gone = HOUSING.model_copy(update={"code": "legal_assistance_service"})
    pair.sender.exchange.directory.replace(partner.fingerprint, [gone], "test")
    with pytest.raises(Refused, match=r"directory\.no_such_service"):
        pair.new()
    pair.sender.exchange.directory.replace(partner.fingerprint, [HOUSING], "test")
    id_ = pair.delivered()
    pair.receiver.exchange.directory.replace(OWN, [gone], "test")
    with pytest.raises(Refused, match=r"directory\.no_such_service"):
        pair.receiver.do(id_, "accept")
    assert ("received", "received") == pair.states(id_)
    _rejected(pair, id_, "wrong_service")


def test_a_receiver_out_of_places(pair: Pair) -> None:
    """The last place is taken: the second acceptance is refused, the state stays, and the sender hears the reason."""
    pair.receiver.exchange.directory.replace(OWN, [HOUSING], "test")
    first, second = pair.delivered(), pair.delivered(case_code="10112345672")
    pair.receiver.do(first, "accept")
    with pytest.raises(Refused, match=r"directory\.no_places"):
        pair.receiver.do(second, "accept")
    pair.settle()
    assert ("received", "received") == pair.states(second)
    _rejected(pair, second, "no_capacity")


def _rejected(pair: Pair, id_: str, reason: str) -> None:
    pair.receiver.do(id_, "reject", reason=reason)
    pair.settle()
    for machine in (pair.sender, pair.receiver):
        assert ("rejected", reason) == (machine.state(id_), machine.show(id_).events[-1].event.reason)
    told = [text for text in map(pair.receiver.opened, pair.to_receiver.log) if id_ in text]
    assert [] == [word for word in CANARIES.values() for text in told if word in text]


def test_a_consent_that_expired_in_between(pair: Pair) -> None:
    """Good when it was asked, past when it was accepted: the name stays, the work may go on, and both sides see why."""
    now = pair.sender.now()
    consent = {"recipient": "shelter", "given": now.isoformat(), "expires": (now + timedelta(hours=1)).isoformat()}
    other = pair.delivered(consent=consent)
    pair.clock.forward(hours=2)
    pair.receiver.do(other, "accept")
    pair.settle()
    assert ("accepted", "accepted") == pair.states(other)
    for machine in (pair.sender, pair.receiver):
        assert "consent_expired" in [
            one.event.reason or machine.show(other).result for one in machine.show(other).events
        ]
    assert [] == [
        word for word in CANARIES.values() for one in pair.to_receiver.log if word in pair.receiver.opened(one)
    ]


def test_two_people_answering_at_once(pair: Pair) -> None:
    """At one desk the second is refused. From both sides at once the work that was done stands, and both end alike."""
    id_ = pair.delivered()
    pair.receiver.do(id_, "accept")
    with pytest.raises(Refused, match=r"referral\.not_allowed"):
        pair.receiver.do(id_, "reject", reason="no_capacity")
    pair.sender.do(id_, Deed.CANCEL)
    pair.settle()
    assert ("cancelled", "cancelled") == pair.states(id_)
    histories = [
        [(one.event.deed, one.changed) for one in machine.show(id_).events] for machine in (pair.sender, pair.receiver)
    ]
    assert histories[0] == histories[1]
    assert None is not pair.sender.show(id_).result or pair.receiver.exchange.referrals.disclosed(id_, "test") is None
