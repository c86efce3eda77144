"""Faults on demand, for the form server and the sample target alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from connector.sandbox.receiver import ReceiverApp, serve
from connector.sandbox.web import RunningServer


@pytest.fixture
def target() -> ReceiverApp:
    """A sample target."""
    return ReceiverApp()


@pytest.fixture
def running(target: ReceiverApp) -> Iterator[RunningServer]:
    """The target on a port."""
    with serve(target) as server:
        yield server


def _post(running: RunningServer, key: str | None = None, **body: object) -> requests.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return requests.post(f"{running.url}/rfl", json={"kind": "x", "fields": {}, **body}, headers=headers, timeout=10)


def test_a_key_has_one_effect(target: ReceiverApp, running: RunningServer) -> None:
    """The same Idempotency-Key is answered 200 and kept once; without a key every delivery counts."""
    statuses = [_post(running, key).status_code for key in ("one", "one", "two", None, None)]
    assert (statuses, [one.key for one in target.received]) == ([201, 200, 201, 201, 201], ["one", "two", None, None])


def test_a_fault_meets_the_next_requests_that_fit(target: ReceiverApp, running: RunningServer) -> None:
    """Status and headers, as often as asked for, on that path only."""
    target.faults.next("/rfl", status=503, times=2, headers={"Retry-After": "7"})
    requests.get(running.url, timeout=10)
    answers = [_post(running) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 201]
    assert answers[0].headers["Retry-After"] == "7"
    assert (len(target.requests), len(target.received)) == (4, 1)


@pytest.mark.parametrize(("after", "effects"), [(False, 0), (True, 1)])
def test_a_dropped_connection(target: ReceiverApp, running: RunningServer, after: bool, effects: int) -> None:
    """The caller gets no answer; whether the request had its effect is the test's choice."""
    target.faults.next("/", drop_connection=True, after=after)
    with pytest.raises(requests.exceptions.ConnectionError):
        _post(running, "key")
    assert len(target.received) == effects
    assert _post(running, "key").status_code == (200 if after else 201)


def test_a_delay_comes_before_the_answer(target: ReceiverApp, running: RunningServer) -> None:
    """A slow target answers as usual afterwards."""
    waited: list[float] = []
    target.faults.wait = waited.append
    target.faults.next("/", delay_seconds=40.0, method="POST")
    assert (_post(running).status_code, waited) == (201, [40.0])


def test_faults_can_be_taken_back(target: ReceiverApp, running: RunningServer) -> None:
    """`clear` forgets what has not happened."""
    target.faults.next("/", status=500, times=9)
    target.faults.clear()
    assert _post(running).status_code == 201


def test_a_token_is_asked_for() -> None:
    """With a token, a delivery without it is refused and has no effect."""
    target = ReceiverApp(token="t")
    client = target.app.test_client()
    answers = [client.post("/", json={}, headers={"Authorization": f"Bearer {token}"}) for token in ("x", "t")]
    assert ([answer.status_code for answer in answers], len(target.received)) == ([401, 201], 1)


def test_what_is_no_object_is_refused(target: ReceiverApp) -> None:
    """A target of type `rest` takes JSON objects."""
    assert target.app.test_client().post("/", data="x").status_code == 400


@pytest.mark.parametrize(("language", "direction"), [("en", "ltr"), ("ar", "rtl"), ("fa", "rtl"), ("fr", "ltr")])
def test_the_table_counts_and_names_nobody(target: ReceiverApp, language: str, direction: str) -> None:
    """Kind, version, action and number of fields in four languages; never what a field says."""
    client = target.app.test_client()
    client.post(
        "/", json={"kind": "tracing_request", "version": 2, "action": "upsert", "fields": {"a": "Hala", "b": 1}}
    )
    page = client.get("/", headers={"Accept-Language": language}).text
    assert f'dir="{direction}"' in page
    assert "<td>tracing_request</td><td>2</td><td>upsert</td><td>2</td>" in page
    assert "Hala" not in page


def test_closing_twice_is_harmless(target: ReceiverApp) -> None:
    """A closed server no longer answers."""
    server = serve(target)
    server.close()
    server.close()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(server.url, timeout=2)
