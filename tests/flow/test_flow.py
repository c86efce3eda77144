"""The story: a filled-in tracing request reaches a national society's system, once, with consent."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image
from standardwebhooks.webhooks import Webhook

from connector.sandbox.kobo import KoboSandbox
from tests.conftest import OWN_ACCOUNT, SIGNING, TIERS, FillIn, Node, edited
from tests.people import request

pytestmark = pytest.mark.parametrize("tier", TIERS)


def picture(colour: str = "teal") -> bytes:
    """A photo with a place hidden in it."""
    image = Image.new("RGB", (64, 48), colour)
    exif = Image.Exif()
    exif[0x010E] = "HIDDEN-PLACE"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


WITH_PHOTO = {"s_photo_rights": "yes", "s_photo": "karim.jpg"}


def test_a_request_arrives_once(node: Node, fill_in: FillIn) -> None:
    """A filled-in form is told by a webhook, read back, cleared and delivered; a second bell changes nothing."""
    submission = node.take_in(fill_in(request()))
    node.ring(submission)
    node.flow.read_back()
    node.dispatch()

    [body] = node.received()
    assert ("tracing_request", 1, "upsert", "tracing", "SY-RC") == tuple(
        body[k] for k in ("kind", "version", "action", "purpose", "society")
    )
    assert "كريم يوسف الحمصي" == body["fields"]["sought"][0]["name"]["full"]
    assert {"id", "kind", "version", "action", "purpose", "society", "sent_at", "fields", "attachments"} == set(body)


def test_the_request_is_keyed_and_signed(node: Node, fill_in: FillIn) -> None:
    """The Idempotency-Key is the webhook-id, and an independent library accepts the signature."""
    node.targets = {"national": {"signing_secret_env": "SIGNING"}}
    node.take_in(fill_in(request()))

    [one] = node.receivers["national"].received
    headers = {key.lower(): value for key, value in one.headers.items()}
    assert headers["idempotency-key"] == headers["webhook-id"]
    assert Webhook(SIGNING).verify(one.raw, headers) == one.body


def test_key_and_body_are_the_same_over_all_attempts(node: Node, fill_in: FillIn) -> None:
    """A target that fails sees the same key and the same bytes again, and takes the record once."""
    receiver = node.receivers["national"]
    receiver.faults.next(".*", status=500, times=2)
    node.take_in(fill_in(request()))
    for _ in range(2):
        node.clock.forward(hours=2)
        node.dispatch()

    keys = {one.headers["Idempotency-Key"] for one in node.attempts()}
    bodies = {one.raw for one in node.attempts()}
    assert (3, 1, 1, 1) == (len(node.attempts()), len(keys), len(bodies), len(receiver.received))
    assert [("delivered", None)] == node.states()


def test_an_edit_is_the_next_version(node: Node, fill_in: FillIn) -> None:
    """KoboToolbox tells nobody of edits: the pull finds them, and the target gets version 2 of the same record."""
    xml = fill_in(request())
    node.take_in(xml)
    node.submit(edited(xml, {"s_circumstances": "اتصل من تركيا مرة واحدة."}))
    node.pull()
    node.dispatch()

    first, second = node.received()
    assert (first["id"], 1, 2) == (second["id"], first["version"], second["version"])
    assert "اتصل من تركيا مرة واحدة." == second["fields"]["sought"][0]["separation"]["circumstances"]


def test_a_newer_version_takes_the_place_of_a_waiting_older_one(node: Node, fill_in: FillIn) -> None:
    """While a target is down an edit comes: only the newest version is sent when it is back."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    xml = fill_in(request())
    node.take_in(xml)
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    node.pull()
    node.dispatch()

    assert [2] == [body["version"] for body in node.received()]


def test_consent_taken_back_by_an_edit_withdraws(node: Node, fill_in: FillIn) -> None:
    """An edit that says no: what the recipient holds is withdrawn, with no fields in the message."""
    node.targets = {"national": {}, "icrc": {"recipient": "icrc", "release": "auto"}}
    xml = fill_in(request())
    node.take_in(xml)
    node.submit(edited(xml, {"c_share_icrc": "no"}))
    node.pull()
    node.dispatch()

    first, second = node.received("icrc")
    assert ("upsert", "withdraw") == (first["action"], second["action"])
    assert ({}, [], 2, first["id"]) == (second["fields"], second["attachments"], second["version"], second["id"])
    assert ["upsert", "upsert"] == [body["action"] for body in node.received("national")]


def test_consent_taken_back_while_waiting_sends_nothing(node: Node, fill_in: FillIn) -> None:
    """A target that was down when consent was taken back receives nothing at all afterwards."""
    node.targets = {"icrc": {"recipient": "icrc", "release": "auto"}}
    node.receivers["icrc"].faults.next(".*", status=503, times=1)
    xml = fill_in(request())
    node.take_in(xml)
    node.submit(edited(xml, {"c_share_icrc": "no"}))
    node.pull()
    node.clock.forward(hours=3)
    node.dispatch()

    assert [] == node.received("icrc")


def test_withdraw_by_command(node: Node, fill_in: FillIn) -> None:
    """`silah withdraw` tells who holds the record, counts as a version, and stops later edits."""
    xml = fill_in(request())
    submission = node.take_in(xml)
    case = node.flow.ledger.case(submission["meta/rootUuid"].removeprefix("uuid:"))
    assert case is not None
    assert ["national"] == node.flow.withdraw(case, None, "asked by phone", "test")
    node.dispatch()
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    node.pull()
    node.dispatch()

    assert [("upsert", 1), ("withdraw", 2)] == [(body["action"], body["version"]) for body in node.received()]


def test_withdraw_for_one_recipient(node: Node, fill_in: FillIn) -> None:
    """Consent taken back for one class of recipients leaves the others alone, also after the next edit."""
    node.targets = {"national": {}, "icrc": {"recipient": "icrc", "release": "auto"}}
    xml = fill_in(request())
    submission = node.take_in(xml)
    case = node.flow.ledger.case(submission["meta/rootUuid"].removeprefix("uuid:"))
    assert case is not None
    node.flow.withdraw(case, "icrc", "asked", "test")
    node.dispatch()
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    node.pull()
    node.dispatch()

    assert ["upsert", "withdraw"] == [body["action"] for body in node.received("icrc")]
    assert ["upsert", "upsert"] == [body["action"] for body in node.received("national")]


def test_a_photo_travels_clean_and_is_not_kept(node: Node, fill_in: FillIn) -> None:
    """The photo is fetched at sending, re-encoded without what was hidden in it, named by its hash, and not kept."""
    node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})

    [body] = node.received()
    [attachment] = body["attachments"]
    assert attachment["name"] == body["fields"]["sought"][0]["photo"]
    assert "image/jpeg" == attachment["media_type"]
    import base64
    import hashlib

    data = base64.b64decode(attachment["data"])
    assert b"HIDDEN-PLACE" not in data
    assert attachment["name"] == hashlib.sha256(data).hexdigest() + ".jpg"
    assert [] == [path for path in (node.home / "var" / "spool").rglob("*") if path.is_file()]


def test_a_photo_that_comes_late_is_waited_for(node: Node, fill_in: FillIn) -> None:
    """A device sends the form first and the file afterwards: the record waits for it and then goes with it."""
    xml = fill_in(request(sought=WITH_PHOTO))
    submission = node.submit(xml)
    node.ring(submission)
    node.flow.read_back()
    node.dispatch()
    assert [] == node.received()

    node.submit(xml, {"karim.jpg": picture()})
    node.clock.forward(minutes=2)
    node.flow.read_back()
    node.dispatch()

    assert [(1, 1)] == [(body["version"], len(body["attachments"])) for body in node.received()]


def test_a_photo_that_never_comes_does_not_hold_the_request(node: Node, fill_in: FillIn) -> None:
    """After `attachments_wait` the request goes without its photo."""
    node.take_in(fill_in(request(sought=WITH_PHOTO)))
    node.clock.forward(minutes=11)
    node.flow.read_back()
    node.dispatch()

    [body] = node.received()
    assert ([], False) == (body["attachments"], "photo" in body["fields"]["sought"][0])


def test_a_file_that_is_no_picture_is_parked(node: Node, fill_in: FillIn) -> None:
    """What cannot be cleaned does not leave: the delivery needs a person."""
    node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": b"MZ not a picture"})

    [(state, error)] = node.states()
    assert ("parked", True) == (state, str(error).startswith("image."))
    assert [] == node.received()


def test_a_target_that_refuses_is_parked_with_its_status(node: Node, fill_in: FillIn) -> None:
    """A 4xx needs a person: parked at once with the status and nothing of the target's answer; replay sends the same key."""
    receiver = node.receivers["national"]
    receiver.faults.next(".*", status=422, times=1)
    node.take_in(fill_in(request()))
    [row] = node.rows()
    assert ("parked", "target.http_422", 422, 1) == (row.state, row.error, row.status, row.attempts)

    assert node.flow.ledger.replay(row.id, "test")
    node.dispatch()
    assert 1 == len({one.headers["Idempotency-Key"] for one in node.attempts()})
    assert [("delivered", None)] == node.states()


def test_a_target_that_asks_to_wait_is_given_the_time(node: Node, fill_in: FillIn) -> None:
    """Retry-After is honoured."""
    node.receivers["national"].faults.next(".*", status=429, times=1, headers={"Retry-After": "1800"})
    node.take_in(fill_in(request()))
    node.clock.forward(minutes=29)
    assert [] == node.dispatch()
    node.clock.forward(minutes=2)
    assert ["delivered"] == node.dispatch()


def test_tries_end_after_three_days(node: Node, fill_in: FillIn) -> None:
    """A target that never comes back: parked after `retry_for`, not tried for ever."""
    node.receivers["national"].faults.next(".*", status=503, times=1000)
    node.take_in(fill_in(request()))
    for _ in range(100):
        node.clock.forward(hours=1)
        node.dispatch()

    assert [("parked", "target.http_503")] == node.states()
    assert len(node.attempts()) < 100


def test_review_is_approval_by_a_person(node: Node, fill_in: FillIn) -> None:
    """release = review: waits until somebody who is not our account approves; an edit needs it again."""
    node.targets = {"partner": {"recipient": "national_society", "society": "TR-RC"}}
    xml = fill_in(request())
    submission = node.take_in(xml)
    assert [("waiting", "release.review")] == node.states("partner")

    approve(node.kobo, node.asset, submission["_id"], OWN_ACCOUNT)
    node.pull()
    node.dispatch()
    assert [("waiting", "release.review")] == node.states("partner")

    approve(node.kobo, node.asset, submission["_id"], "owner")
    node.pull()
    node.dispatch()
    assert [1] == [body["version"] for body in node.received("partner")]

    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    node.pull()
    node.dispatch()
    assert [1] == [body["version"] for body in node.received("partner")]


def test_our_own_approval_is_nobodys(node: Node, fill_in: FillIn) -> None:
    """An approval by the account that Silah uses does not count, also when it stood there before the first reading."""
    node.targets = {"partner": {"recipient": "national_society", "society": "TR-RC"}}
    submission = node.submit(fill_in(request()))
    approve(node.kobo, node.asset, submission["_id"], OWN_ACCOUNT)
    node.pull()
    node.dispatch()

    assert [("waiting", "release.review")] == node.states("partner")


def approve(kobo: KoboSandbox, asset: str, kobo_id: int, user: str) -> None:
    """Sets the validation status as the web page does."""
    client = kobo.app.test_client()
    token = client.get("/token/?format=json", headers=_basic(user)).get_json()["token"]
    answer = client.patch(
        f"/api/v2/assets/{asset}/data/{kobo_id}/validation_status/?format=json",
        json={"validation_status.uid": "validation_status_approved"},
        headers={"Authorization": f"Token {token}"},
    )
    assert 200 == answer.status_code, answer.get_data()


def _basic(user: str) -> dict[str, str]:
    import base64

    return {"Authorization": "Basic " + base64.b64encode(f"{user}:practice".encode()).decode()}


def test_what_may_go_changed_between_attempts(node: Node, fill_in: FillIn, monkeypatch: Any) -> None:
    """When policy takes a question away between two attempts it is another delivery with another key."""
    from dataclasses import replace
    from types import MappingProxyType

    from connector import pipeline
    from forms.policy import policy

    receiver = node.receivers["national"]
    receiver.faults.next(".*", status=500, times=1)
    node.take_in(fill_in(request()))
    rules = policy("tracing_request")
    fewer = {name: kind for name, kind in rules.line_of.items() if name != "s_circumstances"}
    monkeypatch.setattr(pipeline, "policy", lambda _: replace(rules, line_of=MappingProxyType(fewer)))
    node.clock.forward(hours=1)
    node.dispatch()

    first, second = node.attempts()
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert "عبور الحدود" not in json.dumps(second.body, ensure_ascii=False)


def test_an_answer_that_cannot_be_read_parks_the_submission(node: Node, fill_in: FillIn) -> None:
    """An unknown choice: parked with the question's path and a code, without the answer; nothing is sent, nothing lost."""
    xml = fill_in(request()).replace(b">brother<", b">cousin_of_SECRET<")
    node.take_in(xml)

    [row] = node.rows(target=None)
    assert ("parked", "answer.unknown_choice at request/sought/s_person/s_relation") == (row.state, row.error)
    assert [] == node.received()

    node.submit(edited(xml, {"s_relation": "brother"}))
    node.pull()
    node.dispatch()
    assert [2] == [body["version"] for body in node.received()]


def test_an_unreadable_edit_holds_what_was_waiting(node: Node, fill_in: FillIn) -> None:
    """The edit may have taken consent back: until it can be read the older version does not leave."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    xml = fill_in(request())
    node.take_in(xml)
    node.submit(edited(xml, {"s_relation": "no_such_choice"}))
    node.pull()
    node.clock.forward(hours=3)
    node.dispatch()

    assert [] == node.received()
    assert [("held", "parked")] == node.states()


def test_an_adapters_own_fault_waits_its_turn(node: Node, fill_in: FillIn, monkeypatch: Any) -> None:
    """A fault in the code of a target is tried again later with the same key, not at once and not for nothing."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    whole = node.flow.targets["national"].deliver
    monkeypatch.setattr(node.flow.targets["national"], "deliver", broken)
    node.take_in(fill_in(request()))
    assert [("due", "target.unexpected")] == node.states()
    assert [] == node.dispatch()
    monkeypatch.setattr(node.flow.targets["national"], "deliver", whole)
    node.clock.forward(minutes=1)
    assert ["delivered"] == node.dispatch()


def test_pause_and_resume(node: Node, fill_in: FillIn) -> None:
    """A paused target gets nothing; nothing is lost."""
    node.flow.ledger.pause("national", "maintenance", "test", paused=True)
    node.take_in(fill_in(request()))
    assert [] == node.received()
    node.flow.ledger.pause("national", "", "test", paused=False)
    node.dispatch()
    assert 1 == len(node.received())


def test_status_goes_back_to_the_form_server(node: Node, fill_in: FillIn) -> None:
    """A parked delivery puts the submission on hold there, its mending clears it, and no further delivery comes of it."""
    node.receivers["national"].faults.next(".*", status=422, times=1)
    submission = node.take_in(fill_in(request()))
    assert 1 == node.flow.report_back()
    assert "validation_status_on_hold" == status_of(node, submission)
    assert 0 == node.flow.report_back()

    [row] = node.rows()
    node.flow.ledger.replay(row.id, "test")
    node.dispatch()
    assert 1 == node.flow.report_back()
    assert None is status_of(node, submission)
    node.pull()
    assert 0 == len(node.dispatch())
    assert [1] == [body["version"] for body in node.received()]


def test_a_persons_word_on_the_form_server_is_never_written_over(node: Node, fill_in: FillIn) -> None:
    """Approved, not approved or on hold by a person stays as it is, also when it came after our last look."""
    node.receivers["national"].faults.next(".*", status=422, times=1)
    submission = node.take_in(fill_in(request()))
    approve(node.kobo, node.asset, submission["_id"], "owner")
    assert 0 == node.flow.report_back()
    assert "validation_status_approved" == status_of(node, submission)


def status_of(node: Node, submission: dict[str, Any]) -> str | None:
    [row] = [row for row in node.kobo.submissions(node.asset) if row["_id"] == submission["_id"]]
    status: Any = row["_validation_status"]
    return status.get("uid")
