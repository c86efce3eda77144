"""The pull: the server's whole list is the truth; what vanished sends nothing by itself."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import ServerError
from tests.conftest import OWN_ACCOUNT, TIERS, FillIn, Node, edited
from tests.people import request

pytestmark = pytest.mark.parametrize("tier", TIERS)


def take_in_many(node: Node, fill_in: FillIn, number: int) -> list[dict[str, Any]]:
    """*number* different requests, delivered."""
    submissions = [node.submit(fill_in(request({"paper_form_no": None}))) for _ in range(number)]
    node.pull()
    node.dispatch()
    assert number == len(node.received())
    return submissions


def account(node: Node) -> dict[str, int]:
    one = node.flow.ledger.account("kobo", "tracing_request")
    return {
        name: getattr(one, name)
        for name in ("on_server", "here", "delivered", "withheld", "waiting", "parked", "missing")
    }


def test_the_first_run_back_fills_an_old_project(node: Node, fill_in: FillIn) -> None:
    """No hook was ever registered: the pull finds every submission, once."""
    take_in_many(node, fill_in, 3)
    node.pull()
    node.dispatch()

    assert 3 == len(node.received())
    assert {
        "on_server": 3,
        "here": 3,
        "delivered": 3,
        "withheld": 0,
        "waiting": 0,
        "parked": 0,
        "missing": 0,
    } == account(node)


def test_missing_is_what_the_server_has_and_we_do_not(node: Node, fill_in: FillIn) -> None:
    """Before anything was read the account says how many are not here; a failed read-back loses no receipt."""
    submission = node.submit(fill_in(request()))
    node.ring(submission)
    node.kobo.faults.next(".*/data/.*", status=500, times=1)
    node.flow.read_back()
    assert [] == node.dispatch()

    node.clock.forward(seconds=30)
    node.flow.read_back()
    node.dispatch()
    assert 1 == len(node.received())


def test_a_light_sweep_reads_only_what_changed(node: Node, fill_in: FillIn) -> None:
    """A pull with nothing new costs one light page and reads no submission; one edit costs one reading more."""
    submissions = take_in_many(node, fill_in, 3)
    del node.kobo.requests[:]
    node.pull()
    quiet = [one for one in node.kobo.requests if "/data/" in one.path]
    xml = fill_in(request())
    node.submit(xml)
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    del node.kobo.requests[:]
    node.pull()
    busy = [one for one in node.kobo.requests if "/data/" in one.path]

    assert len(submissions) == 3
    assert all("fields" in one.query for one in quiet)
    assert len(quiet) <= 2
    assert len(busy) == len(quiet) + 1


def test_a_deletion_is_gone_and_sends_nothing(node: Node, fill_in: FillIn) -> None:
    """on_delete = ask: a deleted submission is `gone`, its queue is held, nothing is withdrawn until a person says so."""
    first, *_ = take_in_many(node, fill_in, 3)
    node.kobo.delete(node.asset, str(first["_id"]))
    swept = node.pull()
    node.dispatch()

    assert (1, None) == (swept.gone, swept.stopped)
    assert ["upsert"] * 3 == [body["action"] for body in node.received()]
    assert 2 == account(node)["here"]

    case = node.flow.ledger.case(first["meta/rootUuid"].removeprefix("uuid:"))
    assert case is not None
    node.flow.withdraw(case, None, "deleted", "test")
    node.dispatch()
    assert ["upsert"] * 3 + ["withdraw"] == [body["action"] for body in node.received()]


def test_what_waits_is_held_when_its_submission_is_gone(node: Node, fill_in: FillIn) -> None:
    """A delivery that waits for its target does not leave after the submission vanished; it goes on when it is back."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    xml = fill_in(request())
    submission = node.take_in(xml)
    other = node.take_in(fill_in(request()))
    node.kobo.delete(node.asset, str(submission["_id"]))
    node.pull()
    node.clock.forward(hours=3)
    node.dispatch()
    roots = {row.root_id: row.state for row in node.rows()}
    assert "held" == roots[submission["meta/rootUuid"].removeprefix("uuid:")]
    assert "delivered" == roots[other["meta/rootUuid"].removeprefix("uuid:")]

    node.submit(xml)
    node.pull()
    node.dispatch()
    assert 2 == len(node.received())


@pytest.mark.parametrize("on_delete", ["withdraw", "keep"])
def test_on_delete_as_the_admin_decided(node: Node, fill_in: FillIn, on_delete: str) -> None:
    """withdraw: holders are told; keep: a deletion means nothing."""
    node.server = {"on_delete": on_delete}
    first, *_ = take_in_many(node, fill_in, 2)
    node.kobo.delete(node.asset, str(first["_id"]))
    node.pull()
    node.dispatch()

    expected = ["upsert", "upsert", "withdraw"] if on_delete == "withdraw" else ["upsert", "upsert"]
    assert expected == [body["action"] for body in node.received()]


def test_many_gone_at_once_stop_the_sweep(node: Node, fill_in: FillIn) -> None:
    """The vanish guard: more than vanish_limit gone needs a person, also with on_delete = withdraw; it counts as parked."""
    node.server = {"on_delete": "withdraw", "vanish_limit": 2}
    submissions = take_in_many(node, fill_in, 4)
    node.kobo.delete(node.asset, *(str(one["_id"]) for one in submissions[:3]))
    swept = node.pull()
    node.dispatch()
    assert "vanish_guard" == swept.stopped
    assert 3 == account(node)["parked"]
    assert ["upsert"] * 4 == [body["action"] for body in node.received()]

    swept = node.pull(accept_gone=True)
    node.dispatch()
    assert (None, 3) == (swept.stopped, swept.gone)
    assert ["upsert"] * 4 + ["withdraw"] * 3 == [body["action"] for body in node.received()]


def test_a_lost_right_withdraws_nothing_and_goes_on_by_itself(node: Node, fill_in: FillIn) -> None:
    """A 404 for the whole project is a right that was taken, not a deletion: the sweep stops and resumes with the right."""
    node.server = {"on_delete": "withdraw"}
    take_in_many(node, fill_in, 2)
    node.kobo.revoke(node.asset, OWN_ACCOUNT)
    assert "rights" == node.pull().stopped
    assert 2 == account(node)["parked"]

    node.kobo.grant(node.asset, OWN_ACCOUNT, "view_submissions", "validate_submissions")
    assert None is node.pull().stopped
    node.dispatch()
    assert ["upsert"] * 2 == [body["action"] for body in node.received()]
    assert {"here": 2, "parked": 0, "missing": 0}.items() <= account(node).items()


def test_a_partial_right_withdraws_nothing(node: Node, fill_in: FillIn) -> None:
    """An account that suddenly sees only some rows does not make the others gone."""
    node.server = {"on_delete": "withdraw"}
    take_in_many(node, fill_in, 3)
    node.kobo.revoke(node.asset, OWN_ACCOUNT)
    node.kobo.grant(node.asset, OWN_ACCOUNT, "view_submissions", rows={"_submitted_by": "nobody"})
    swept = node.pull()
    node.dispatch()

    assert "rights" == swept.stopped
    assert ["upsert"] * 3 == [body["action"] for body in node.received()]


def test_an_emptied_project_withdraws_nothing(node: Node, fill_in: FillIn) -> None:
    """Emptying the form server is good practice: above the limit the sweep stops, below it they are gone; nothing is sent."""
    submissions = take_in_many(node, fill_in, 6)
    node.kobo.delete(node.asset, *(str(one["_id"]) for one in submissions))
    assert "vanish_guard" == node.pull().stopped
    node.dispatch()

    assert ["upsert"] * 6 == [body["action"] for body in node.received()]


def test_an_archived_project_is_read_as_before(node: Node, fill_in: FillIn) -> None:
    """Archiving stops new submissions, not the list: nothing is gone."""
    take_in_many(node, fill_in, 2)
    client = node.kobo.app.test_client()
    token = node.kobo.add_user("second_owner")
    node.kobo.grant(node.asset, "second_owner", "manage_asset")
    answer = client.patch(
        f"/api/v2/assets/{node.asset}/deployment/?format=json",
        json={"active": False},
        headers={"Authorization": f"Token {token}"},
    )
    assert 200 == answer.status_code
    swept = node.pull()

    assert (2, 0, None) == (swept.listed, swept.gone, swept.stopped)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 401}, "kobo.unauthorized"),
        ({"status": 503}, "kobo.server_error"),
        ({"drop_connection": True}, "kobo.cut"),
    ],
)
def test_a_server_that_fails_is_reported_and_nothing_is_gone(
    node: Node, fill_in: FillIn, fault: dict[str, Any], code: str
) -> None:
    """A sweep that cannot read the list says so with a code and marks nothing."""
    take_in_many(node, fill_in, 2)
    node.kobo.faults.next(".*/data/.*", times=3, **fault)
    with pytest.raises(ServerError) as raised:
        node.pull()

    assert code == raised.value.code
    assert 2 == account(node)["delivered"]


def test_a_submission_sent_again_under_a_new_number_is_the_same(node: Node, fill_in: FillIn) -> None:
    """Deleted and sent again from the phone: a new `_id`, the same record, no second delivery."""
    xml = fill_in(request())
    submission = node.take_in(xml)
    node.kobo.delete(node.asset, str(submission["_id"]))
    again = node.submit(xml)
    node.pull()
    node.dispatch()

    assert again["_id"] != submission["_id"]
    assert 1 == len(node.received())
    assert {"here": 1, "delivered": 1}.items() <= account(node).items()
