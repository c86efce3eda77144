"""`silah phone lost` on KoboToolbox: the account's way in is taken, and what came from it is listed without names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from tests.care.desk import Office, office_of
from tests.conftest import OWN_ACCOUNT, FillIn, Node
from tests.people import MARKS, request


@pytest.fixture(name="office")
def _office(node: Node) -> Iterator[Office]:
    node.kobo.add_user("amal", token="amals-token")
    node.kobo.grant(node.asset, "amal", "add_submissions", "view_submissions")
    node.kobo.grant(node.asset, OWN_ACCOUNT, "manage_asset")
    with office_of(node) as office:
        yield office


def sees(node: Node) -> int:
    """What amal's telephone is answered when it asks for the form's data."""
    headers = {"Authorization": "Token amals-token"}
    return requests.get(f"{node.kobo_url}/api/v2/assets/{node.asset}/data/", headers=headers, timeout=10).status_code


def test_a_lost_phone_is_locked_out(office: Office, node: Node, fill_in: FillIn) -> None:
    """Part 11: the permissions are gone, what it sent is listed by ids and case codes, the audit knows, no name is told."""
    xml = fill_in(request())
    submission = node.kobo.submit(node.asset, xml, {}, "amal")
    node.ring(submission)
    node.flow.read_back()
    assert 200 == sees(node)

    status, told = office.silah("phone", "lost", "amal", "--json")
    report = json.loads(told)
    assert (0, 404) == (status, sees(node))
    [server] = report["servers"]
    assert ("kobo", True, []) == (server["server"], server["taken"] > 0, server["left"])
    [one] = report["sent"]
    assert submission["meta/rootUuid"].removeprefix("uuid:") == one["root_id"]
    assert 11 == len(one["case_code"])
    assert not [mark for mark in MARKS if mark in told]
    assert report["cannot"]
    [(_, _, detail)] = office.events("phone_lost")
    assert {"taken": server["taken"], "left": [], "submissions": 1} == detail

    status, told = office.silah("phone", "lost", "amal")
    assert (0, True) == (status, "nobody of that name has a way in" in told)


def test_what_stays_open_is_said(office: Office, node: Node) -> None:
    """A public form, the owner's account, rights that our account may not see or take: each is named with what to do."""
    node.kobo.grant(node.asset, "AnonymousUser", "view_asset", "add_submissions")
    assert ["phone.public_form"] == left(office, "amal")
    assert {"phone.public_form", "phone.owner"} == set(left(office, "owner"))
    node.kobo.revoke(node.asset, "AnonymousUser")
    node.kobo.grant(node.asset, "amal", "add_submissions")
    node.kobo.revoke(node.asset, OWN_ACCOUNT)
    node.kobo.grant(node.asset, OWN_ACCOUNT, "view_submissions")
    assert ["phone.not_seen"] == left(office, "amal")


def left(office: Office, name: str) -> list[str]:
    status, told = office.silah("phone", "lost", name, "--json")
    assert 0 == status
    return [one["code"] for server in json.loads(told)["servers"] for one in server["left"]]


def test_a_server_that_does_not_answer_keeps_nothing_from_the_list(office: Office, node: Node, fill_in: FillIn) -> None:
    """The list of what was sent comes from the ledger: it is told although the form server is away, and that is said."""
    node.ring(node.kobo.submit(node.asset, fill_in(request()), {}, "amal"))
    node.flow.read_back()
    node.kobo.faults.next(".*", status=503, times=5)
    status, told = office.silah("phone", "lost", "amal", "--json")
    report = json.loads(told)
    assert (0, 1, "phone.not_reached") == (status, len(report["sent"]), report["servers"][0]["left"][0]["code"])
    assert 1 == office.silah("phone", "lost", "amal", "--server", "nowhere")[0]
