"""When the sandbox's REST services send, what they send, and how often."""

from __future__ import annotations

import json

import pytest
import requests

from connector.sandbox.hooks import subset
from tests.sandbox.conftest import Small, record

IDS = ["_id", "_uuid", "meta/rootUuid", "_xform_id_string"]


def _send(small: Small, *answers: int | Exception, hook: str) -> dict[str, object]:
    """One submission that meets these answers; returns its log."""
    small.target.answers = list(answers)
    small.kobo.submit(small.uid, record(), user="owner")
    assert small.kobo.drain_hooks(10)
    return small.logs(hook)[0]


def test_only_new_submissions_are_sent(small: Small) -> None:
    """Not edits, not validation, not deletion, not further files."""
    small.hook()
    small.kobo.submit(small.uid, record(uuid="one"), user="owner")
    small.kobo.drain_hooks(10)
    small.kobo.submit(small.uid, record(uuid="two", deprecatedID="uuid:one"), user="owner")
    status = {"validation_status.uid": "validation_status_approved"}
    small.call("PATCH", "/data/1/validation_status/", json=status)
    small.call("PATCH", "/data/bulk/", json={"payload": {"submission_ids": [1], "data": {"who": "x"}}})
    small.call("DELETE", "/data/1/")
    small.kobo.drain_hooks(10)
    assert len(small.target.posted) == 1


@pytest.mark.parametrize(
    ("answers", "tries", "status", "code"),
    [
        ([200], 1, "success", 200),
        ([204], 1, "success", 204),
        ([500], 1, "failed", 500),
        ([429], 1, "failed", 429),
        ([404], 1, "failed", 404),
        ([503, 502, 504, 200], 4, "success", 200),
        ([503] * 5, 5, "failed", 503),
        ([requests.exceptions.ReadTimeout("slow"), 200], 2, "success", 200),
        ([requests.exceptions.ConnectionError("refused")], 1, "failed", None),
        ([requests.exceptions.ConnectTimeout("nobody")], 1, "failed", None),
    ],
)
def test_what_is_sent_again(
    small: Small, answers: list[int | Exception], tries: int, status: str, code: int | None
) -> None:
    """Only 502, 503, 504 and read time-outs, five times in all."""
    hook = small.hook()
    log = _send(small, *answers, hook=hook)
    assert (log["tries"], log["status_str"], log["status_code"]) == (tries, status, code)


def test_answers_are_kept_without_tags(small: Small) -> None:
    """The log shows the target's answer as text."""
    hook = small.hook()
    assert _send(small, 200, hook=hook)["message"] == "answer"


def test_a_subset_of_ids_is_sent_and_nothing_else(small: Small) -> None:
    """The bell that a connector asks for: ids, whatever was answered."""
    small.hook(subset_fields=IDS, settings={"custom_headers": {"X-Secret": "s"}})
    sent = small.kobo.submit(small.uid, record("Hala"), user="owner")
    small.kobo.drain_hooks(10)
    ((_, headers, body),) = small.target.posted
    assert json.loads(body) == {key: sent[key] for key in IDS}
    assert headers["X-Secret"] == "s"


def test_a_name_selects_by_steps_and_a_path_selects_one_key() -> None:
    """A group's name takes the group; a question inside a repeat cannot be taken."""
    document = {"a/b": 1, "a/c": 2, "ab": 3, "r": [{"r/x": 4}]}
    assert subset(document, ["a"]) == {"a/b": 1, "a/c": 2}
    assert subset(document, ["a/c", "x"]) == {"a/c": 2}
    assert subset(document, ["r"]) == {"r": [{"r/x": 4}]}


def test_a_retry_sends_the_present_content(small: Small) -> None:
    """An edit in between is what the target gets; the log counts on."""
    hook = small.hook()
    small.target.answers = [500]
    small.kobo.submit(small.uid, record("before", "one"), user="owner")
    small.kobo.drain_hooks(10)
    small.kobo.submit(small.uid, record("after", "two", deprecatedID="uuid:one"), user="owner")
    assert small.call("PATCH", f"/hooks/{hook}/retry/").status_code == 200
    small.kobo.drain_hooks(10)
    assert [json.loads(body)["who"] for _, _, body in small.target.posted] == ["before", "after"]
    assert (small.logs(hook)[0]["tries"], small.logs(hook)[0]["status_str"]) == (2, "success")


def test_one_log_is_sent_again_after_two_minutes(small: Small) -> None:
    """Too early is 400; later it is sent at once and the outcome is the answer."""
    hook = small.hook()
    log = _send(small, 500, hook=hook)
    path = f"/hooks/{hook}/logs/{log['uid']}/retry/"
    early = small.call("PATCH", path)
    small.clock.forward(seconds=120)
    late = small.call("PATCH", path)
    assert (early.status_code, late.status_code) == (400, 200)
    assert late.json == {"detail": "answer", "status_code": 200}


def test_a_disabled_hook_neither_sends_nor_retries(small: Small) -> None:
    """Nothing is logged while it is off, and what failed before stays failed."""
    hook = small.hook()
    _send(small, 500, hook=hook)
    small.call("PATCH", f"/hooks/{hook}/", json={"active": False})
    small.kobo.submit(small.uid, record(), user="owner")
    small.kobo.drain_hooks(10)
    assert (len(small.logs(hook)), small.call("PATCH", f"/hooks/{hook}/retry/").status_code) == (1, 400)


def test_closing_gives_up_what_waits(small: Small) -> None:
    """`close` ends the sending thread even when a further try is hours away."""
    small.kobo._sender._delays = (3600.0,)
    hook = small.hook()
    small.target.answers = [503]
    small.kobo.submit(small.uid, record(), user="owner")
    assert not small.kobo.drain_hooks(0.05)
    small.kobo.close()
    assert small.kobo.drain_hooks(1)
    assert small.logs(hook)[0]["tries"] == 1


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1/x", "http://target.example/x"])
def test_settings_are_replaced_and_told_in_clear(small: Small, endpoint: str) -> None:
    """Every editor reads the secrets of a hook; a PATCH of `settings` keeps nothing of the old ones."""
    hook = small.hook(endpoint=endpoint, auth_level="basic_auth", settings={"username": "u", "password": "p"})
    assert small.call("GET", f"/hooks/{hook}/").json["settings"] == {"username": "u", "password": "p"}  # type: ignore[index]
    changed = small.call("PATCH", f"/hooks/{hook}/", json={"settings": {"username": "v"}})
    assert changed.json["settings"] == {"username": "v"}  # type: ignore[index]


def test_a_hook_on_xml_sends_only_what_it_selects(small: Small) -> None:
    """The XML export honours subset_fields too."""
    small.hook(export_type="xml", subset_fields=["instanceID"])
    small.kobo.submit(small.uid, record("Hala", "one"), user="owner")
    small.kobo.drain_hooks(10)
    body = small.target.posted[0][2].decode()
    assert ("Hala" in body, "uuid:one" in body) == (False, True)
