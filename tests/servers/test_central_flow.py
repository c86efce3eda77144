"""A tracing request through ODK Central: from the device over the webhook and the pull to a national society."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from connector import config as configuration
from connector.app import assemble
from connector.ledger.care import Care
from connector.lost_phone import report
from connector.pipeline import Pipeline, Swept
from connector.purging import purge
from connector.sandbox.central import CentralSandbox, serve
from connector.sandbox.receiver import ReceiverApp
from connector.sandbox.receiver import serve as serve_receiver
from connector.sandbox.web import RunningServer
from connector.setup import new_key
from forms.compiler import build
from forms.engines import convert
from forms.tables import LANGUAGES
from tests.conftest import Clock, edited
from tests.engines.javarosa import fill, media_of
from tests.people import request
from tests.servers.test_central import Field
from webhooks.edge import create_app

FORM = "tracing_request"


@dataclass
class Node:
    """Silah with a Central sandbox, an own system that receives at once and a national society after a review."""

    flow: Pipeline
    place: Field
    received: dict[str, ReceiverApp]
    record: bytes

    def submit(self, xml: bytes | None = None) -> str:
        """A volunteer sends a filled-in form; its root id."""
        return self.place.sandbox.submit(self.place.project, xml or self.record).removeprefix("uuid:")

    def go_on(self) -> None:
        """What workers do: bells are followed, deliveries go."""
        self.flow.read_back()
        for target in self.flow.targets:
            for due in self.flow.ledger.due(target, 100):
                self.flow.attempt(due)

    def pull(self) -> Swept:
        swept = self.flow.reconcile("central", FORM)
        self.go_on()
        return swept

    def approve(self, root: str, by: int) -> None:
        self.place.sandbox.review(self.place.project, FORM, f"uuid:{root}", "approved", by)

    def bodies(self, target: str) -> list[tuple[int, str]]:
        """(version, action) of all that reached *target*."""
        return [(one.body["version"], one.body["action"]) for one in self.received[target].received]


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """The form's Central build, and Salma's request as JavaRosa fills it in."""
    path = build(FORM, "central", tmp_path_factory.mktemp("central"))
    converted = convert(path)
    filled = fill(converted, media_of(path.parent / f"{FORM}-media"), request(), LANGUAGES["en"])
    assert filled.complete, filled.stopped_at
    return converted, filled.record


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="node")
def _node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: tuple[str, bytes], clock: Clock) -> Iterator[Node]:
    monkeypatch.setenv("CENTRAL_PASSWORD", "practice")
    monkeypatch.setenv("CENTRAL_HOOK", "hook-secret")
    xform, record = built
    sandbox = CentralSandbox(clock=clock)
    reviewer = sandbox.add_user("reviewer@example.org", admin=True)
    account = sandbox.add_user("connector@example.org")
    project = sandbox.add_project("Family links")
    sandbox.publish(project, xform.encode())
    sandbox.grant(project, account, "manager")
    received = {name: ReceiverApp() for name in ("own", "national")}
    running = [serve(sandbox), *(serve_receiver(one) for one in received.values())]
    list(new_key(tmp_path / "keys" / "master.key"))
    central = {
        "type": "central", "url": running[0].url, "email": "connector@example.org",
        "password_env": "CENTRAL_PASSWORD", "webhook_secret_env": "CENTRAL_HOOK", "empty_after": "14d",
        "forms": {FORM: f"{project}/{FORM}", "verification": f"{project}/verification"},
    }  # fmt: skip
    own, national = ({"type": "rest", "url": one.url + "/rfl", "accepts": [FORM]} for one in running[1:])
    targets = {
        "own": {**own, "recipient": "own_society"},
        "national": {**national, "recipient": "national_society", "society": "TR-RC"},
    }
    data = {
        "society": "SY-RC", "database": "sqlite:///silah.db", "master_key_file": "keys/master.key",
        "servers": {"central": central}, "targets": targets,
    }  # fmt: skip
    flow = assemble(configuration.parse(data, tmp_path / "silah.toml"), clock)
    running.append(RunningServer(create_app(flow), "127.0.0.1", 0))
    sandbox.hook(f"{running[-1].url}/webhooks/central/central", "hook-secret")
    place = Field(sandbox, running[0].url, project, account, reviewer)
    yield Node(flow, place, received, record)
    for one in running:
        one.close()
    flow.ledger.database.close()


def test_a_bell_brings_a_request(node: Node) -> None:
    """The webhook rings while the submission is still being kept; it is read back and delivered once it can be read."""
    node.submit()
    node.go_on()
    assert ([(1, "upsert")], []) == (node.bodies("own"), node.bodies("national"))
    [one] = node.received["own"].received
    assert "كريم يوسف الحمصي" == one.body["fields"]["sought"][0]["name"]["full"]


def test_a_reviews_bell_lets_it_go(node: Node) -> None:
    """A person's approval rings without the form's name; it is found among the forms, and the delivery goes."""
    root = node.submit()
    node.go_on()
    node.approve(root, node.place.reviewer)
    node.go_on()
    assert [(1, "upsert")] == node.bodies("national")


def test_the_pull_finds_an_approval(node: Node) -> None:
    """Without a webhook the list tells that something was reviewed, and the history by whom."""
    node.place.sandbox.hook(None)
    root = node.submit()
    node.pull()
    node.approve(root, node.place.reviewer)
    node.pull()
    assert [(1, "upsert")] == node.bodies("national")


@pytest.mark.parametrize("rings", [True, False])
def test_our_own_approval_releases_nothing(node: Node, rings: bool) -> None:
    """What the connector's own account approves is nobody's review, told by a bell or found by the pull."""
    root = node.submit()
    node.go_on()
    if not rings:
        node.place.sandbox.hook(None)
    node.approve(root, node.place.account)
    node.go_on()
    node.pull()
    assert [] == node.bodies("national")


def test_an_edit_needs_a_new_approval(node: Node) -> None:
    """The own society gets the next version at once, the other waits until somebody approves that version."""
    root = node.submit()
    node.approve(root, node.place.reviewer)
    node.go_on()
    node.submit(edited(node.record, {"s_circumstances": "اتصل من تركيا مرة واحدة."}))
    node.pull()
    assert ([(1, "upsert"), (2, "upsert")], [(1, "upsert")]) == (node.bodies("own"), node.bodies("national"))

    node.approve(root, node.place.reviewer)
    node.pull()
    assert [(1, "upsert"), (2, "upsert")] == node.bodies("national")


def test_deleted_is_gone_and_restored_is_back(node: Node) -> None:
    """A deletion stops the queue and withdraws nothing; a restored submission goes on."""
    root = node.submit()
    node.go_on()
    node.place.sandbox.delete(node.place.project, FORM, f"uuid:{root}")
    assert (0, 1, None) == _swept(node.pull())
    node.place.sandbox.restore(node.place.project, FORM, f"uuid:{root}")
    assert (1, 0, None) == _swept(node.pull())
    node.approve(root, node.place.reviewer)
    node.go_on()
    assert ([(1, "upsert")], [(1, "upsert")]) == (node.bodies("own"), node.bodies("national"))


def test_a_role_that_was_taken_looks_like_no_deletion(node: Node) -> None:
    """When our account may read nothing any more, the sweep stops for a person."""
    node.submit()
    node.go_on()
    node.place.sandbox.revoke(node.place.project, node.place.account)
    assert (0, 0, "rights") == _swept(node.pull())


def test_what_needs_a_person_is_said_on_central(node: Node) -> None:
    """A parked delivery becomes `hasIssues` with a comment, once; when it is mended that is taken back."""
    node.received["own"].faults.next(".*", status=400)
    root = node.submit()
    node.go_on()
    assert (1, 0) == (node.flow.report_back(), node.flow.report_back())
    assert [1, "on_hold"] == [len(_comments(node, root)), _review_state(node, root)]

    [parked] = [row for row in node.flow.ledger.queue(target="own") if row.state == "parked"]
    node.flow.ledger.replay(parked.id, "admin")
    node.go_on()
    assert (1, 0) == (node.flow.report_back(), node.flow.report_back())
    assert [2, None] == [len(_comments(node, root)), _review_state(node, root)]


def test_a_persons_word_stays(node: Node) -> None:
    """What somebody approved is not put on hold."""
    node.received["own"].faults.next(".*", status=400)
    root = node.submit()
    node.go_on()
    node.place.sandbox.hook(None)
    node.approve(root, node.place.reviewer)
    assert (0, "approved") == (node.flow.report_back(), _review_state(node, root))


def test_a_viewer_reports_nothing(node: Node) -> None:
    """An account that may only read keeps the flow going, and the other servers are told all the same."""
    node.place.sandbox.grant(node.place.project, node.place.account, "viewer")
    node.received["own"].faults.next(".*", status=400)
    root = node.submit()
    node.go_on()
    assert (0, None, []) == (node.flow.report_back(), _review_state(node, root), _comments(node, root))


def _comments(node: Node, root: str) -> list[str]:
    return node.place.sandbox.comments(node.place.project, FORM, f"uuid:{root}")


def _review_state(node: Node, root: str) -> str | None:
    found = node.flow.servers["central"].read_root(FORM, root)
    assert found is not None
    return found.review.state


def _swept(swept: Swept) -> tuple[int, int, str | None]:
    return swept.listed, swept.gone, swept.stopped


def _send_as(node: Node, token: str) -> int:
    """What Collect is answered when it sends the request with that app user's token."""
    path = f"{node.place.url}/v1/key/{token}/projects/{node.place.project}/submission"
    files = {"xml_submission_file": ("record.xml", node.record, "text/xml")}
    return requests.post(path, files=files, headers={"X-OpenRosa-Version": "1.0"}, timeout=10).status_code


def test_it_is_emptied_after_delivery_and_backup(node: Node, clock: Clock) -> None:
    """Part 9, as on KoboToolbox: what all receivers have and a backup holds is deleted there; as a viewer nothing is lost."""
    root = node.submit()
    node.pull()
    node.approve(root, node.place.reviewer)
    node.pull()
    clock.forward(days=15)
    Care(node.flow.ledger).backed_up(clock())
    node.place.sandbox.grant(node.place.project, node.place.account, "viewer")
    assert 0 == purge(node.flow, "test").on_server
    assert 1 == node.pull().listed
    clock.forward(days=15)
    Care(node.flow.ledger).backed_up(clock())
    node.place.sandbox.grant(node.place.project, node.place.account, "manager")
    assert 1 == purge(node.flow, "test").on_server
    swept = node.pull()
    assert (0, 0, None) == (swept.listed, swept.gone, swept.stopped)
    assert 0 == node.flow.ledger.account("central", FORM).missing


def test_a_lost_phone_is_locked_out(node: Node) -> None:
    """Issue part 11: the app user's token ends, its history stays; what it sent is listed; a web user's role is taken."""
    sandbox, project = node.place.sandbox, node.place.project
    token = sandbox.add_device(project, FORM, name="Tablet 3")
    assert 201 == _send_as(node, token)
    node.pull()
    web_user = sandbox.add_user("amal@example.org")
    sandbox.grant(project, web_user, "viewer")

    told = report(node.flow, "Tablet 3", None, "test")
    assert ((1, ()), 1) == ((told.servers[0].taken, told.servers[0].left), len(told.sent))
    assert 403 == _send_as(node, token)
    again = report(node.flow, "Tablet 3", None, "test")
    assert (0, 1) == (again.servers[0].taken, len(again.sent))
    assert 1 == report(node.flow, "Amal@example.org", None, "test").servers[0].taken
    assert 0 == report(node.flow, "Amal@example.org", None, "test").servers[0].taken


def test_a_viewer_is_told_that_it_may_not_see(node: Node) -> None:
    """Our account as a viewer: nothing is taken, and the report says what to do by hand."""
    node.place.sandbox.grant(node.place.project, node.place.account, "viewer")
    [one] = report(node.flow, "Tablet 3", None, "test").servers
    assert (0, ["phone.not_seen"]) == (one.taken, [left.code for left in one.left])
