"""The way back: what happens to a case at a target reaches the phones of its branch, as one of four words and no more."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests

from connector import config as configuration
from connector.app import assemble
from connector.dispatch.embedded import Dispatcher
from connector.errors import Misconfigured, ServerError
from connector.pipeline import Pipeline
from connector.sandbox.central import CentralSandbox, serve
from connector.sandbox.web import RunningServer
from connector.servers.central_devices import CentralDevices
from connector.servers.central_publishing import CentralForms
from connector.servers.hosting import Prepared
from connector.setup import new_key
from forms.compiler import build, sheets
from forms.engines import convert
from forms.tables import LANGUAGES, load
from tests.conftest import KOBO_TOKEN, OWN_ACCOUNT, Clock, FillIn, Node, edited, eventually
from tests.engines.javarosa import fill, media_of
from tests.people import MARKS, request
from tests.targets import stub_espocrm, stub_primero
from tests.targets.stub_espocrm import EspoStub
from tests.targets.stub_primero import PrimeroStub
from webhooks.edge import create_app

FORM, FOLLOW_UP = "tracing_request", "tracing_action"
KEY = "key-of-primeros-webhook"


@dataclass
class Loop:
    """ODK Central, Silah with its doors open, and Primero."""

    flow: Pipeline
    clock: Clock
    central: CentralSandbox
    central_url: str
    project: int
    devices: dict[str, str]
    primero: PrimeroStub
    url: str
    record: bytes

    def submit(self, xml: bytes | None = None) -> str:
        """A volunteer sends a tracing request; the key of its record."""
        root = self.central.submit(self.project, xml or self.record).removeprefix("uuid:")
        self.flow.read_back()
        self.dispatch()
        case = self.flow.ledger.case(root)
        assert case is not None
        return case.record_id

    def dispatch(self) -> None:
        for due in self.flow.ledger.due("primero", 100):
            self.flow.attempt(due)

    def follow(self) -> int:
        """What the timers do: ask the target, bring the lists in line; how many lines were looked at."""
        self.flow.answers.work()
        return self.flow.case_lists.bring()

    def on_phone(self, branch: str) -> list[dict[str, str]]:
        """The rows that a phone of *branch* downloads with the follow-up form."""
        path = f"/v1/key/{self.devices[branch]}/projects/{self.project}/forms/{FOLLOW_UP}/attachments/cases.csv"
        answer = requests.get(self.central_url + path, timeout=10)
        answer.raise_for_status()
        return list(csv.DictReader(StringIO(answer.text)))

    def work(self, record: str, **changes: Any) -> None:
        """A case worker changes a record, a second later."""
        self.clock.forward(seconds=1)
        self.primero.work("tracing_requests", record, **changes)

    def states(self, branch: str = "101") -> list[str]:
        return [row["state"] for row in self.on_phone(branch)]


Filled = tuple[bytes, bytes, Prepared]


@pytest.fixture(scope="module", name="filled")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """The request's XForm, Salma's request as JavaRosa fills it in, and the follow-up form as it goes up."""
    path = build(FORM, "central", tmp_path_factory.mktemp("central"))
    xform = convert(path)
    done = fill(xform, media_of(path.parent / f"{FORM}-media"), request(), LANGUAGES["en"])
    assert done.complete, done.stopped_at
    server = configuration.Server.model_validate({"type": "central", "url": "http://127.0.0.1:1"})
    follow_up = CentralForms("central", server, "token").prepared(FOLLOW_UP, sheets(load(FOLLOW_UP), "central"))
    return xform.encode(), done.record, follow_up


@pytest.fixture(name="loop")
def _loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: Filled) -> Iterator[Loop]:
    for name, value in {
        "CENTRAL_PASSWORD": "practice", "CENTRAL_HOOK": "hook-secret", "PRIMERO_USER": stub_primero.USER,
        "PRIMERO_PASSWORD": stub_primero.PASSWORD, "PRIMERO_HOOK": KEY,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    clock = Clock()
    sandbox, primero = CentralSandbox(clock=clock), PrimeroStub(clock=clock)
    sandbox.add_user("admin@example.org", admin=True)
    project = sandbox.add_project("Family links")
    sandbox.grant(project, sandbox.add_user("connector@example.org"), "manager")
    sandbox.publish(project, filled[0])
    running = [serve(sandbox), primero.serve()]
    list(new_key(tmp_path / "keys" / "master.key"))
    central = {
        "type": "central", "url": running[0].url, "email": "connector@example.org", "password_env": "CENTRAL_PASSWORD",
        "webhook_secret_env": "CENTRAL_HOOK",
        "forms": {FORM: f"{project}/{FORM}", FOLLOW_UP: f"{project}/{FOLLOW_UP}"},
    }  # fmt: skip
    target = {
        "type": "primero", "url": running[1].url, "module": stub_primero.MODULE, "recipient": "own_society",
        "accepts": [FORM], "username_env": "PRIMERO_USER", "password_env": "PRIMERO_PASSWORD",
        "webhook_secret_env": "PRIMERO_HOOK",
    }  # fmt: skip
    data = {
        "society": "SY-RC", "database": "sqlite:///silah.db", "master_key_file": "keys/master.key",
        "servers": {"central": central}, "targets": {"primero": target},
    }  # fmt: skip
    config = configuration.parse(data, tmp_path / "silah.toml")
    _publish(config.servers["central"], filled[2])
    flow = assemble(config, clock)
    running.append(RunningServer(create_app(flow), "127.0.0.1", 0))
    sandbox.hook(f"{running[-1].url}/webhooks/central/central", "hook-secret")
    devices = {branch: sandbox.add_device(project, FOLLOW_UP, name=f"Tablet {branch}") for branch in ("101", "102")}
    for branch, token in devices.items():
        sandbox.say_of_device(token, branch=branch)
    yield Loop(flow, clock, sandbox, running[0].url, project, devices, primero, running[-1].url, filled[1])
    for one in running:
        one.close()
    flow.ledger.database.close()


def _publish(server: configuration.Server, prepared: Prepared) -> None:
    """The follow-up form as `silah forms publish` puts it up, its list included."""
    host = CentralForms("central", server)
    ref = host.put_form("Follow-up", prepared, None)
    for name in load(FOLLOW_UP).media:
        host.put_media(ref, name, (load(FOLLOW_UP).root / "media" / name).read_bytes(), None)
    project = host.project(ref)
    assert project is not None
    host.deploy(project)


def test_a_case_stands_on_the_phones_of_its_branch(loop: Loop) -> None:
    """Sent in and delivered, it is there for its branch and for no other: a code, the branch, a state."""
    loop.submit()
    loop.follow()
    [row] = loop.on_phone("101")

    assert ("101", "open") == (row["branch"], row["state"])
    assert row["label"] == row["case_code"]
    assert {"name", "label", "__version", "case_code", "branch", "state"} == set(row)
    assert [] == loop.on_phone("102")
    assert [] == [mark for mark in MARKS if mark in json.dumps(row, ensure_ascii=False)]


def test_a_targets_change_reaches_the_phones_by_its_webhook(loop: Loop) -> None:
    """A match in Primero rings; it is read back, and the phones of the branch say: call the office. No more than that."""
    record = loop.submit()
    loop.follow()
    loop.primero.hook = (f"{loop.url}/webhooks/targets/primero", KEY)
    [trace] = loop.primero.traces
    loop.primero.match(trace, "00000000-0000-4000-8000-00000000abcd")
    loop.follow()
    matched = loop.states()
    loop.primero.match(trace, None)
    loop.work(record, status="closed")
    loop.follow()

    assert (["call_office"], ["closed"]) == (matched, loop.states())
    assert [201, 201, 200] == loop.primero.told  # the second change of the last two was already to be asked about


def test_a_change_without_a_webhook_is_found_by_looking(loop: Loop) -> None:
    """Primero repeats no webhook: what was missed is found on the timer, and what did not change is not asked for."""
    record = loop.submit()
    loop.follow()
    loop.work(record, status="closed")
    loop.follow()
    before = loop.states()
    loop.clock.forward(seconds=61)
    loop.follow()
    asked = len(loop.primero.asked)
    loop.clock.forward(seconds=61)
    loop.follow()

    assert (["open"], ["closed"]) == (before, loop.states())
    assert ["/api/v2/tracing_requests"] == [one.path for one in loop.primero.asked[asked:]]


def test_a_hint_is_only_a_hint(loop: Loop) -> None:
    """A made-up body with the right key changes nothing: what Primero says when it is asked counts."""
    record = loop.submit()
    loop.follow()
    body = {"data": {"record_id": record, "record_type": "tracing_request", "status": "closed"}}
    answers = [
        requests.post(f"{loop.url}/webhooks/targets/primero", json=body, headers={"x-api-key": KEY}, timeout=5)
        for _ in range(2)
    ]
    loop.follow()

    assert [201, 200] == [one.status_code for one in answers]
    assert answers[0].json() == answers[1].json()
    assert ["open"] == loop.states()


def test_what_is_no_hint_is_refused(loop: Loop) -> None:
    """Without the secret, of no target, without a record, too long: refused with a code, and nothing is kept."""
    right = {"x-api-key": KEY}
    wanted = [
        ("primero", {}, b"{}", 401, "not_authentic"),
        ("primero", {"x-api-key": "wrong"}, b"{}", 401, "not_authentic"),
        ("nobody", right, b"{}", 401, "not_authentic"),
        ("primero", right, b"<html>", 422, "webhook.not_a_hint"),
        ("primero", right, b'{"data": {}}', 422, "webhook.not_a_hint"),
        ("primero", right, b" " * 10_000_001, 413, "too_large"),
    ]
    url = f"{loop.url}/webhooks/targets"
    answers = [
        requests.post(f"{url}/{one}", data=body, headers=headers, timeout=5) for one, headers, body, *_ in wanted
    ]

    assert [(status, {"error": code}) for *_, status, code in wanted] == [(a.status_code, a.json()) for a in answers]


def test_the_secret_may_come_as_basic_password_and_a_stranger_is_nobodys_record(loop: Loop) -> None:
    """Primero can also sign in with Basic; a record that is not ours is taken notice of and makes no question."""
    body = {"data": {"record_id": "00000000-0000-4000-8000-000000000000", "record_type": "case"}}
    answer = requests.post(f"{loop.url}/webhooks/targets/primero", json=body, auth=("primero", KEY), timeout=5)

    assert 200 == answer.status_code
    assert {"receipt"} == set(answer.json())


def test_while_the_target_is_down_the_question_waits(loop: Loop) -> None:
    """Asked in vain it is asked again; the phones keep what they had."""
    record = loop.submit()
    loop.follow()
    loop.primero.hook = (f"{loop.url}/webhooks/targets/primero", KEY)
    loop.work(record, status="closed")
    loop.primero.configuring = True
    loop.follow()
    before = loop.states()
    loop.primero.configuring = False
    loop.clock.forward(minutes=2)
    loop.follow()

    assert (["open"], ["closed"]) == (before, loop.states())


def test_what_is_stuck_here_asks_for_action(loop: Loop) -> None:
    """A parked delivery shows as something to be put right; once it went, the case is open."""
    loop.primero.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"] = "numeric_field"
    loop.submit()
    loop.follow()
    stuck = loop.states()
    loop.primero.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"] = "text_field"
    [row] = loop.flow.ledger.queue(target="primero")
    loop.flow.ledger.replay(row.id, "test")
    loop.dispatch()
    loop.follow()

    assert (["action_needed"], ["open"]) == (stuck, loop.states())


def test_what_is_taken_back_leaves_the_phones(loop: Loop) -> None:
    """A withdrawn case, and one closed three months ago, are no longer on any phone."""
    withdrawn, closed = loop.submit(), loop.submit(_another(loop.record))
    loop.follow()
    both = len(loop.states())
    case = loop.flow.ledger.case(withdrawn)
    assert case is not None
    loop.flow.withdraw(case, None, "asked", "test")
    loop.work(closed, status="closed")
    loop.clock.forward(minutes=2)
    loop.follow()
    first = loop.states()
    loop.clock.forward(days=91)
    loop.follow()

    assert (2, ["closed"], []) == (both, first, loop.states())


def test_a_line_that_somebody_deleted_comes_back_when_its_case_changes(loop: Loop) -> None:
    """Central keeps the number of a deleted row for ever: the row is restored, not made a second time."""
    record = loop.submit()
    loop.follow()
    [row] = loop.central.list_rows(loop.project, "cases")
    token = loop.central.log_in("admin@example.org")
    place = f"{loop.central_url}/v1/projects/{loop.project}/datasets/cases/entities/{row['uuid']}"
    requests.delete(place, headers={"Authorization": f"Bearer {token}"}, timeout=5).raise_for_status()
    gone = loop.states()
    loop.work(record, status="closed")
    loop.clock.forward(minutes=2)
    loop.follow()

    assert ([], ["closed"]) == (gone, loop.states())


def test_no_line_is_written_without_the_filter_by_branch(loop: Loop) -> None:
    """Somebody took the filter away: it is put back before a line is written, so that no other branch ever sees it."""
    token = loop.central.log_in("admin@example.org")
    place = f"{loop.central_url}/v1/projects/{loop.project}/datasets/cases"
    headers = {"Authorization": f"Bearer {token}"}
    requests.patch(place, json={"accessFilter": None}, headers=headers, timeout=5).raise_for_status()
    loop.submit()
    loop.follow()

    assert (["open"], []) == (loop.states("101"), loop.states("102"))


def test_what_stands_in_the_place_of_a_code_reaches_no_phone(loop: Loop) -> None:
    """Somebody wrote a name into the case code on the form server: the line goes, and no word of it is on a phone."""
    root = loop.central.submit(loop.project, loop.record)
    loop.flow.read_back()
    loop.follow()
    before = len(loop.states())
    loop.central.submit(loop.project, edited(loop.record, {"case_code": "Salma"}))
    loop.flow.reconcile("central", FORM)
    loop.follow()

    assert root
    assert (1, []) == (before, loop.states())


def test_brought_twice_writes_once(loop: Loop) -> None:
    """When nothing changed nothing is written, and after a restart neither."""
    loop.submit()
    first, asked = loop.follow(), len(loop.central.requests)
    again = loop.flow.case_lists.bring()

    assert (1, 0) == (first, again)
    assert asked == len(loop.central.requests)


def test_the_doctor_looks_at_the_list(loop: Loop) -> None:
    """An account that may only read cannot keep the list: `check` says so, and what to do."""
    loop.flow.case_lists.check("central")
    loop.central.grant(loop.project, 6, "viewer")
    with pytest.raises(ServerError) as failed:
        _without_list(loop)

    assert "central.may_not_list" == failed.value.code


def _without_list(loop: Loop) -> None:
    token = loop.central.log_in("admin@example.org")
    place = f"{loop.central_url}/v1/projects/{loop.project}/datasets/cases"
    headers = {"Authorization": f"Bearer {token}"}
    requests.patch(place, json={"accessFilter": None}, headers=headers, timeout=5).raise_for_status()
    loop.flow.case_lists.check("central")


def test_a_phone_is_made_with_its_branch(loop: Loop) -> None:
    """A new app user may open the forms of its project and sees the cases of its branch alone, also after it moved."""
    loop.submit()
    loop.follow()
    devices = CentralDevices("central", loop.flow.config.servers["central"])
    token = devices.make("Tablet 12", "101", str(loop.project))
    assert token
    loop.devices["new"] = token
    seen = loop.states("new")
    again = devices.make("Tablet 12", "102", str(loop.project))

    assert (["open"], None, []) == (seen, again, loop.states("new"))


def test_a_running_silah_closes_the_loop_by_itself(loop: Loop) -> None:
    """Submission, target, a change there, the phones: with the dispatcher running nobody has to do anything, and it takes
    seconds (two minutes are promised)."""
    loop.primero.hook = (f"{loop.url}/webhooks/targets/primero", KEY)
    dispatcher = Dispatcher(loop.flow)
    dispatcher.start()
    try:
        began = time.monotonic()
        loop.central.submit(loop.project, loop.record)
        eventually(lambda: loop.states() == ["open"], 60)
        shown = time.monotonic()
        [trace] = loop.primero.traces
        loop.clock.forward(seconds=1)
        loop.primero.match(trace, "00000000-0000-4000-8000-00000000abcd")
        eventually(lambda: loop.states() == ["call_office"], 60)
        done = time.monotonic()
    finally:
        dispatcher.stop()

    print(f"submission to phone {shown - began:.1f} s, change at the target to phone {done - shown:.1f} s")
    assert done - shown < 120


def test_the_phone_says_it_in_words(tmp_path: Path) -> None:
    """Collect's engine shows one sentence for the case that was scanned, and none for a code that is not in the list."""
    path = build(FOLLOW_UP, "central", tmp_path)
    media = dict(media_of(path.parent / f"{FOLLOW_UP}-media"))
    media["cases.csv"].write_text("name,label,case_code,branch,state\na,10100000016,10100000016,101,call_office\n")
    answers = {
        "branch_code": "101",
        "collector_code": "V-07",
        "case_code": "10100000016",
        "action_type": "field_visit",
        "outcome": "pending",
    }
    known = fill(convert(path), media, answers, LANGUAGES["en"])
    unknown = fill(convert(path), media, {**answers, "case_code": "10100000024"}, LANGUAGES["en"])

    assert ["case_state_call"] == [one for one in known.names if one.startswith("case_state_")]
    assert [] == [one for one in unknown.names if one.startswith("case_state_")]


def _another(xml: bytes) -> bytes:
    """A second request like the first, of its own."""
    import re
    import uuid

    return re.sub(rb"uuid:[0-9a-f-]{36}", f"uuid:{uuid.uuid4()}".encode(), xml)


# EspoCRM: many changes in one signed body


@pytest.fixture(name="crm")
def _crm(node: Node, monkeypatch: pytest.MonkeyPatch) -> Iterator[EspoStub]:
    monkeypatch.setenv("CRM_KEY", stub_espocrm.KEY)
    monkeypatch.setenv("CRM_HOOK", "one-secret another-secret")
    stub = EspoStub(clock=node.clock)
    with stub.serve() as running:
        node.targets = {"national": {
            "type": "espocrm", "url": running.url, "token_env": "CRM_KEY", "webhook_secret_env": "CRM_HOOK"}}  # fmt: skip
        yield stub


def test_espocrms_batch_is_read_back(node: Node, fill_in: FillIn, crm: EspoStub) -> None:
    """Two changed records in one signed list are each asked for; a wrong signature is refused."""
    for _ in range(2):
        node.take_in(_another(fill_in(request())))
    first, second = (one["id"] for one in crm.live("CTracingRequest"))
    with RunningServer(create_app(node.flow), "127.0.0.1", 0) as door:
        crm.hook = (f"{door.url}/webhooks/targets/national", "another-secret")
        crm.work("CTracingRequest", (first, {"caseState": "call_office"}), (second, {"caseState": "closed"}))
        crm.hook = (crm.hook[0], "forged")
        crm.work("CTracingRequest", (first, {"caseState": "open"}))
    from connector.ledger.case_lists import CaseBook

    questions = CaseBook(node.flow.ledger).questions("national")
    answered = node.flow.answers.ask("national")

    assert [201, 401] == crm.told
    assert {first, second} == {one.external_id for one in questions}
    assert 2 == answered


def test_espocrms_changes_are_found_by_looking(node: Node, fill_in: FillIn, crm: EspoStub) -> None:
    """Without a webhook the timer finds what changed since the last look."""
    node.take_in(fill_in(request()))
    [one] = crm.live("CTracingRequest")
    node.flow.answers.work()
    node.clock.forward(seconds=61)
    crm.work("CTracingRequest", (one["id"], {"caseState": "closed"}))

    assert 1 == node.flow.answers.work()


# KoboToolbox: a file beside the forms of one branch


@pytest.fixture(name="branch")
def _branch(node: Node) -> str:
    """A node whose Kobo entry is one branch's, with the list turned on; the follow-up form's project."""
    content = Path("forms/xlsx/kobo", f"{FOLLOW_UP}.xlsx").read_bytes()
    asset = node.kobo.publish("owner", FOLLOW_UP, content)
    node.kobo.grant(asset, OWN_ACCOUNT, "change_asset", "view_submissions")
    forms = {FORM: node.asset, FOLLOW_UP: asset}
    node.server = {"forms": forms, "case_list": "on", "case_list_branch": "101"}
    return asset


def _rows(node: Node, asset: str) -> list[tuple[str, str]]:
    """(branch, state) of the rows that phones of that project download with the form."""
    url = f"{node.kobo_url}/api/v2/assets/{asset}/files/"
    headers = {"Authorization": f"Token {KOBO_TOKEN}"}
    files = requests.get(url, params={"format": "json"}, headers=headers, timeout=5).json()["results"]
    [one] = [one for one in files if one["metadata"]["filename"] == "cases.csv"]
    text = requests.get(one["content"], headers=headers, timeout=5).text
    return [(row["branch"], row["state"]) for row in csv.DictReader(StringIO(text))]


def _deployments(node: Node) -> int:
    return len([one for one in node.kobo.requests if one.method == "PATCH" and one.path.endswith("/deployment/")])


def test_on_kobo_the_whole_list_is_written_at_most_once_an_hour(node: Node, fill_in: FillIn, branch: str) -> None:
    """The first case is written at once, the next ones together an hour later; without a change nothing is deployed."""
    node.take_in(fill_in(request()))
    node.flow.case_lists.bring()
    first, deployed = _rows(node, branch), _deployments(node)
    node.take_in(_another(fill_in(request())))
    node.take_in(_another(fill_in(request())))
    node.clock.forward(minutes=59)
    node.flow.case_lists.bring()
    before = _rows(node, branch), _deployments(node)
    node.clock.forward(minutes=1)
    node.flow.case_lists.bring()
    after = _rows(node, branch), _deployments(node)
    node.clock.forward(hours=2)
    node.flow.case_lists.bring()

    assert ([("101", "open")], 1) == (first, deployed)
    assert (first, 1) == before
    assert ([("101", "open")] * 3, 2) == after
    assert 2 == _deployments(node)


def test_on_kobo_the_loop_is_closed_too(node: Node, fill_in: FillIn, branch: str) -> None:
    """From a phone to the list beside the form, by the webhook and the timers of a running Silah."""
    xml = fill_in(request())
    dispatcher = Dispatcher(node.flow)
    dispatcher.start()
    try:
        began = time.monotonic()
        node.ring(node.submit(xml))
        eventually(lambda: _deployments(node) == 1, 60)
        shown = time.monotonic() - began
    finally:
        dispatcher.stop()

    print(f"submission to phone {shown:.1f} s")
    assert [("101", "open")] == _rows(node, branch)


def test_on_kobo_a_form_that_somebody_edits_is_not_deployed_by_us(node: Node, fill_in: FillIn, branch: str) -> None:
    """The list waits until the form there is deployed again; the cases of other branches are never in it."""
    node.server = {**node.server, "case_list_branch": "102"}
    node.take_in(fill_in(request()))
    asset = f"{node.kobo_url}/api/v2/assets/{branch}/"
    signed = {"headers": {"Authorization": f"Token {KOBO_TOKEN}"}, "timeout": 5}
    content = requests.get(asset, **signed).json()["content"]
    content["survey"].append({"type": "note", "name": "hello", "label": ["Hello"] * 4})
    requests.patch(asset, json={"content": content}, **signed).raise_for_status()
    node.flow.case_lists.bring()
    waiting = _deployments(node)
    deployed = {"active": True, "version_id": requests.get(asset, **signed).json()["version_id"]}
    requests.patch(f"{asset}deployment/", json=deployed, **signed).raise_for_status()
    by_the_editor = _deployments(node)
    node.clock.forward(minutes=2)
    node.flow.case_lists.bring()

    assert (0, 2) == (waiting, by_the_editor + 1)
    assert [] == _rows(node, branch)


def test_on_kobo_it_is_off_and_needs_one_branch(node: Node) -> None:
    """No list unless an admin turns it on for a project that is one branch's."""
    off = node.flow.case_lists.servers
    node.server = {"case_list": "on"}
    node.close()
    with pytest.raises(Misconfigured) as failed:
        _ = node.flow

    assert frozenset() == off
    assert "case_list_branch" in failed.value.next_step
