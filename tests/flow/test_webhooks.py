"""The door: who may ring, what is kept, what is answered (contract §3)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from connector.ledger.schema import counters, receipts
from tests.conftest import HOOK_SECRET, FillIn, Node
from tests.people import MARKS, request
from webhooks.edge import create_app

SECRET = {"X-Silah-Token": HOOK_SECRET}


@pytest.fixture(name="door")
def _door(node: Node) -> FlaskClient:
    return create_app(node.flow).test_client()


@pytest.fixture(name="submission")
def _submission(node: Node, fill_in: FillIn) -> dict[str, Any]:
    return node.submit(fill_in(request()))


def kept(node: Node) -> int:
    with node.flow.ledger.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(receipts)).scalar_one())


def counted(node: Node) -> dict[str, float]:
    with node.flow.ledger.database.reading() as connection:
        return {row.name: row.value for row in connection.execute(select(counters))}


def ids(submission: dict[str, Any]) -> dict[str, Any]:
    return {key: submission[key] for key in ("_id", "_uuid", "meta/rootUuid", "_xform_id_string")}


def test_a_bell_is_kept_once(node: Node, door: FlaskClient, submission: dict[str, Any]) -> None:
    """201 with an opaque receipt, then 200 with the same one: this submission in this version was here already."""
    first = door.post("/webhooks/kobo/kobo", json=ids(submission), headers=SECRET)
    second = door.post("/webhooks/kobo/kobo", json=ids(submission), headers=SECRET)

    assert (201, 200) == (first.status_code, second.status_code)
    assert first.get_json() == second.get_json()
    assert {"receipt"} == set(first.get_json())
    assert 1 == kept(node)


def test_a_whole_submission_is_as_good_and_nothing_of_it_is_kept(
    node: Node, door: FlaskClient, submission: dict[str, Any]
) -> None:
    """A hook that sends every answer is taken, but what counts is read back: no answer is in the database or in our reply."""
    answer = door.post("/webhooks/kobo/kobo", json=submission, headers=SECRET)

    assert 201 == answer.status_code
    node.close()
    stored = b"".join(path.read_bytes() for path in (node.home / "var").rglob("*") if path.is_file())
    for mark in MARKS:
        assert mark.encode() not in stored
        assert mark.encode() not in answer.get_data()


@pytest.mark.parametrize("missing", ["_uuid", "meta/rootUuid", "_id"])
def test_two_of_three_ids_are_enough(node: Node, door: FlaskClient, submission: dict[str, Any], missing: str) -> None:
    """`_id` and one uuid, or either uuid: the record is read back all the same."""
    body = {key: value for key, value in ids(submission).items() if key != missing}
    assert 201 == door.post("/webhooks/kobo/kobo", json=body, headers=SECRET).status_code
    node.flow.read_back()
    node.dispatch()
    assert 1 == len(node.received())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Silah-Token": ""},
        {"X-Silah-Token": "wrong"},
        {"X-Silah-Token": HOOK_SECRET + "x"},
        {"Authorization": "Basic " + base64.b64encode(b"kobo:wrong").decode()},
        {"X-API-Key": HOOK_SECRET},
    ],
)
def test_without_the_secret_nothing_is_kept(
    node: Node, door: FlaskClient, submission: dict[str, Any], headers: dict[str, str]
) -> None:
    """A wrong or missing secret: 401, a counter, nothing else."""
    answer = door.post("/webhooks/kobo/kobo", json=ids(submission), headers=headers)

    assert (401, {"error": "not_authentic"}) == (answer.status_code, answer.get_json())
    assert 0 == kept(node)
    assert {"webhook.not_authentic": 1} == counted(node)


def test_the_secret_may_come_as_basic_password(door: FlaskClient, submission: dict[str, Any]) -> None:
    """KoboToolbox can send Basic credentials: the password is the secret, the user name does not matter."""
    basic = "Basic " + base64.b64encode(f"anybody:{HOOK_SECRET}".encode()).decode()
    assert 201 == door.post("/webhooks/kobo/kobo", json=ids(submission), headers={"Authorization": basic}).status_code


def test_two_secrets_are_live_while_one_is_changed(
    node: Node, submission: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotation without a gap: the next secret is taken beside the old one."""
    monkeypatch.setenv("NEXT_SECRET", "the-next-one")
    node.server = {"webhook_secret_next_env": "NEXT_SECRET"}
    door = create_app(node.flow).test_client()
    answers = [
        door.post("/webhooks/kobo/kobo", json=ids(submission), headers={"X-Silah-Token": s})
        for s in (HOOK_SECRET, "the-next-one")
    ]
    assert [201, 200] == [answer.status_code for answer in answers]


def test_an_unknown_server_is_not_told_apart(door: FlaskClient, submission: dict[str, Any]) -> None:
    """Nobody can find out which servers are configured."""
    assert 401 == door.post("/webhooks/kobo/other", json=ids(submission), headers=SECRET).status_code
    assert (
        401 == door.post("/webhooks/central/kobo", json=ids(submission), headers={"X-API-Key": HOOK_SECRET}).status_code
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[1]", 422),
        (b'"text"', 422),
        (b"{}", 422),
        (b'{"_id": 1, "_xform_id_string": "aUnknown"}', 422),
        (b'{"_id": "one", "_xform_id_string": "ASSET"}', 422),
        (b'{"_xform_id_string": "ASSET"}', 422),
        (b"\xff\xfe", 422),
        (b"[" * 100_000, 422),
        (b'{"a":"' + b"x" * 10_000_001 + b'"}', 413),
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "text",
        "no ids",
        "unknown form",
        "strange id",
        "no id",
        "not utf-8",
        "deep",
        "too large",
    ],
)
def test_what_is_no_submission_is_refused(node: Node, door: FlaskClient, body: bytes, status: int) -> None:
    """413 over 10 MB, 422 for what is not a submission of a configured form; nothing but a counter is kept."""
    answer = door.post("/webhooks/kobo/kobo", data=body.replace(b"ASSET", node.asset.encode()), headers=SECRET)

    assert status == answer.status_code
    assert {"error"} == set(answer.get_json())
    assert 0 == kept(node)
    assert 1 == sum(counted(node).values())


def test_anything_unexpected_is_503(
    node: Node, door: FlaskClient, submission: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """KoboToolbox tries again after a 503 and gives up after a 500: whatever goes wrong in us is a 503."""

    def broken(*_: object) -> None:
        raise RuntimeError(MARKS[0])

    monkeypatch.setattr(node.flow.ledger, "keep", broken)
    answer = door.post("/webhooks/kobo/kobo", json=ids(submission), headers=SECRET)

    assert (503, {"error": "webhook.unexpected"}) == (answer.status_code, answer.get_json())


@pytest.mark.parametrize("path", ["kobo/kobo", "partners/1", "targets/national"])
def test_every_door_says_when_to_try_again(node: Node, path: str) -> None:
    """A sender who rings too often hears 503 with `Retry-After`, whichever door it is."""
    node.extra = {"door": {"rate": 1, "burst": 1}}
    door = create_app(node.flow).test_client()
    answers = [door.post(f"/webhooks/{path}", json={}) for _ in range(3)]

    assert (503, "60", {"error": "webhook.too_many"}) == (
        answers[-1].status_code, answers[-1].headers.get("Retry-After"), answers[-1].get_json(),
    )  # fmt: skip


def test_no_outgoing_call_is_made(node: Node, door: FlaskClient, submission: dict[str, Any]) -> None:
    """Durable before answered, answered before processed: the form server hears nothing while we answer."""
    before = len(node.kobo.requests)
    door.post("/webhooks/kobo/kobo", json=ids(submission), headers=SECRET)
    assert before == len(node.kobo.requests)


def test_health(door: FlaskClient) -> None:
    """200 for a load balancer; ready means that a durable write works."""
    assert 200 == door.get("/healthz").status_code
    assert {"status": "ready"} == json.loads(door.get("/readyz").get_data())


def test_a_bell_that_nobody_can_follow_is_given_up(node: Node, door: FlaskClient) -> None:
    """A made-up id costs a few readings and is then left to the pull."""
    body = {"_id": 999, "_uuid": "11111111-2222-4333-8444-555555555555", "_xform_id_string": node.asset}
    assert 201 == door.post("/webhooks/kobo/kobo", json=body, headers=SECRET).status_code
    for _ in range(10):
        node.flow.read_back()
        node.clock.forward(hours=2)

    assert [] == node.flow.ledger.due_receipts()
    assert [] == node.received()


def test_metrics_hold_counts_and_ages_alone(node: Node, door: FlaskClient, fill_in: FillIn) -> None:
    """Prometheus sees deliveries by target and state, no id and no word of anybody; others need the token."""
    submission = node.take_in(fill_in(request()))
    door.post("/webhooks/kobo/kobo", json=ids(submission), headers={})
    node.pull()
    told = door.get("/metrics").get_data(as_text=True)

    assert 'silah_deliveries{state="delivered",target="national"} 1.0' in told
    assert 'silah_refused_requests_total{code="webhook.not_authentic"} 1.0' in told
    assert submission["_uuid"] not in told
    for mark in MARKS:
        assert mark not in told
    assert 401 == door.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.7"}).status_code
    assert 401 == door.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}).status_code


def test_metrics_from_elsewhere_need_the_token(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """`metrics_token_env`: a bearer token opens the door for a monitor on another machine."""
    monkeypatch.setenv("METRICS", "let-me-look")
    node.extra = {"metrics_token_env": "METRICS"}
    door = create_app(node.flow).test_client()
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert (
        200
        == door.get(
            "/metrics", headers={"Authorization": "Bearer let-me-look"}, environ_overrides=elsewhere
        ).status_code
    )
    assert (
        401 == door.get("/metrics", headers={"Authorization": "Bearer other"}, environ_overrides=elsewhere).status_code
    )
