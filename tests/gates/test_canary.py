"""R18: marked answers go through every path, failures included; then every byte that was written is searched for them.

Searched are the data directory, the logs, standard output and standard error of every process, the temp directory, and
what the form server and senders of webhooks were told. Not searched is what a target received: that is where they belong.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from click.testing import CliRunner

from connector.cli import main
from connector.dispatch.embedded import Dispatcher
from connector.sandbox.receiver import ReceiverApp
from tests.conftest import HOOK_SECRET, FillIn, Node, edited, eventually
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.flow.test_process import SILAH, Served, config_of
from tests.people import MARKS, request
from tests.servers.test_encrypted_flow import sealed, write_key

CANARY = "Zarqāʾ Canarygivenname"
PLACE = "Canaryvillage behind the mill"
PHONE = "+9647700123987"
FILE = "canaryphoto.jpg"
EXIF = "HIDDEN-PLACE"
WORDS = (*MARKS, CANARY, "Canarygivenname", PLACE, PHONE, PHONE.removeprefix("+"), FILE, EXIF)


def person(**changes: Any) -> dict[str, Any]:
    """Salma's request, with more of what must not turn up."""
    return request({"enq_phone": PHONE, **changes}, sought={"s_circumstances": f"{CANARY}, {PLACE}"})


def forms_of(word: str) -> Iterator[bytes]:
    """A word as it may stand in a file: plain, escaped for JSON, for an address, in UTF-16, in base64 at any offset."""
    plain = word.encode()
    yield plain
    yield json.dumps(word)[1:-1].encode()
    yield quote(word).encode()
    yield ascii(word)[1:-1].encode()
    yield word.encode("utf-16-le")
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain).rstrip(b"=")
        yield encoded[(0, 2, 3)[before] : -1]


NEEDLES: Mapping[bytes, str] = {form: word for word in WORDS for form in forms_of(word) if len(form) > 5}


def hits(name: str, data: bytes) -> list[str]:
    return [f"{word} in {name}" for needle, word in NEEDLES.items() if needle in data]


class Heap:
    """Everything that was written, and what of it is searched."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bytes = 0
        self.found: list[str] = []

    def add(self, name: str, data: bytes) -> None:
        self.bytes += len(data)
        self.found += hits(name, data)

    def walk(self) -> None:
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                self.add(str(path.relative_to(self.home)), path.read_bytes())


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """The search itself is tried: a word in any of its forms, in a file or a text, is found."""
    for number, form in enumerate(forms_of(CANARY)):
        (tmp_path / f"{number}.bin").write_bytes(b"before" + form + b"after")
    heap = Heap(tmp_path)
    heap.walk()
    assert len(list(forms_of(CANARY))) == len({one.rpartition(" in ")[2] for one in heap.found})


@pytest.fixture(name="canary")
def _canary(node: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node whose processes have a temp directory of their own, and targets that fail in every way."""
    (node.home / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(node.home / "tmp"))
    accepts = {"recipient": "own_society"}
    node.targets = {
        "national": accepts,
        "icrc": {"recipient": "icrc", "release": "auto"},
        "partner": {"recipient": "national_society", "society": "TR-RC", "release": "auto"},
        "dead": {**accepts, "url": "http://127.0.0.1:9/rfl"},
    }
    for name in ("dead", "book"):
        node.urls[name] = "http://127.0.0.1:9/rfl"
    node.extra = {"dispatch": {"retry_first": "20ms", "retry_max": "50ms", "retry_for": "1s"}}
    return node


def echo(receiver: ReceiverApp, status: int) -> None:
    """A target that tells in its error whom it is about, in body and headers."""
    told = json.dumps({"error": f"cannot save {CANARY} of {PLACE}, {PHONE}"}, ensure_ascii=False).encode()
    receiver.faults.next(".*", status=status, body=told, headers={"X-About": PHONE, "Location": f"/{quote(CANARY)}"})


def run(heap: Heap, *arguments: str) -> str:
    """One command beside the running server, with all it printed searched."""
    done = CliRunner().invoke(main, ["-v", *arguments])
    heap.add(f"silah {arguments[0]} (output)", done.stdout_bytes)
    heap.add(f"silah {arguments[0]} (errors)", done.stderr_bytes)
    heap.add(f"silah {arguments[0]} (exception)", repr(done.exception).encode())
    return done.stdout


def process(node: Node, heap: Heap, *arguments: str) -> None:
    """The same as a process of its own."""
    done = subprocess.run([*SILAH, "-v", *arguments], cwd=node.home, capture_output=True, check=False, timeout=120)
    heap.add("silah as a process", done.stdout + done.stderr)


def hook(node: Node, heap: Heap, url: str, body: bytes, secret: str = HOOK_SECRET, path: str = "kobo/kobo") -> int:
    """A webhook; what the sender is told is searched too."""
    headers = {"X-Silah-Token": secret, "Content-Type": "application/json", "User-Agent": PHONE}
    answer = requests.post(f"{url}/webhooks/{path}?about={quote(CANARY)}", data=body, headers=headers, timeout=10)
    heap.add("answer to a webhook", answer.content + str(answer.headers).encode())
    return answer.status_code


def test_nothing_marked_is_written_anywhere(
    canary: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Through a served Silah with -v: good and bad records, photos, encrypted ones, targets that echo, refuse, redirect
    or are dead, webhooks with junk, edits, withdrawal, erasure, backup, every command: not one marked byte."""
    node, heap = canary, Heap(canary.home)
    caplog.set_level(logging.INFO)  # below that this test itself logs where it calls
    monkeypatch.chdir(node.home)
    node.server = {"private_key_file": write_key(node.home / "forms.pem"), "may_be_clear": ["tracing_request"]}
    config_of(node, monkeypatch)
    photo = {"s_photo_rights": "yes", "s_photo": FILE}
    xml = fill_in(person(sought=[{**person()["sought"][0], **photo}]))
    for status in (400, 500, 302, 409, 503):
        for receiver in node.receivers.values():
            echo(receiver, status)
    served = Served(node)
    cmdline = Path(f"/proc/{served.process.pid}/cmdline")
    try:
        good = node.submit(xml, {FILE: picture()})
        whole = json.dumps(good, ensure_ascii=False).encode()
        junk = (whole[:-9], b"[" * 5000, f'"{CANARY}"'.encode(), b"\xff" + CANARY.encode("utf-16"), b"")
        told = [hook(node, heap, served.url, body) for body in (whole, *junk)]
        told += [hook(node, heap, served.url, whole, secret=CANARY.encode("ascii", "replace").decode())]
        told += [hook(node, heap, served.url, whole, path=f"kobo/{quote(PLACE)}")]
        told += [hook(node, heap, served.url, json.dumps({**good, "_xform_id_string": CANARY}).encode())]
        assert [201, 422, 422, 422, 422, 422, 401, 401, 422] == told
        bad_photo = fill_in(person(sought=[{**person()["sought"][0], **photo}]))
        node.submit(bad_photo, {FILE: f"no picture of {CANARY}".encode()})
        bad = fill_in(person())
        node.submit(bad)
        node.submit(edited(bad, {"enq_sex": "Canarygivenname"}))
        envelope, files = sealed(fill_in(person()))
        node.submit(envelope, files)
        envelope, files = sealed(fill_in(person()))
        node.submit(envelope, {name: bytes([data[0] ^ 1]) + data[1:] for name, data in files.items()})
        process(node, heap, "pull", "--json")
        eventually(lambda: len([row for row in node.rows(None) if row.state == "parked"]) > 1, 30)
        heap.add("process list", cmdline.read_bytes() if cmdline.exists() else b"")
        heap.add("environment of the page", requests.get(f"{served.url}/metrics", timeout=10).content)
        every_command(heap, str(good["meta/rootUuid"]))
        eventually(lambda: len(node.received()) >= 1)
        heap.walk()
    finally:
        served.stop()
    broken_database(node, heap)
    heap.add("log of the commands", caplog.text.encode())
    for submission in node.kobo.submissions(node.asset):
        heap.add("status on the form server", json.dumps(submission["_validation_status"]).encode())
    heap.walk()
    print(f"canary: {heap.bytes} bytes searched for {len(NEEDLES)} forms of {len(WORDS)} words, {len(heap.found)} hits")
    assert [] == sorted(set(heap.found))
    assert any(CANARY in json.dumps(one, ensure_ascii=False) for one in node.received())


def every_command(heap: Heap, root: str) -> None:
    """Those that print no answer by their nature."""
    parked = [row["id"] for row in json.loads(run(heap, "queue", "list", "--json")) if row["state"] == "parked"]
    for arguments in (
        ["check"], ["queue", "list"], *(["queue", "show", one] for one in parked), *(["queue", "replay", one] for one in parked),
        ["queue", "show", "dl_none"], ["preview", root, "--target", "nobody"], ["preview", "no-such-root", "--target", "national"],
        ["pull"], ["receipt", root], ["audit", "verify"], ["audit", "export"], ["user", "list"], ["purge", "--dry-run"],
        ["backup", "silah.bak"], ["withdraw", root, "--reason", "asked", "--recipient", "icrc"], ["erase", root], ["pull", "--full"],
    ):  # fmt: skip
        run(heap, *arguments)


def broken_database(node: Node, heap: Heap) -> None:
    """A table is gone: the errors of the database carry statements and values; what is told of them does not."""
    with sqlite3.connect(node.home / "var" / "silah.db") as connection:
        connection.execute("ALTER TABLE versions RENAME TO gone")
    connection.close()
    process(node, heap, "pull", "--full")
    run(heap, "queue", "list")


def test_what_nobody_foresaw_is_told_without_values(
    canary: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors that carry a name, raised in an adapter, in reading and in a thread: the log has their type alone, also at
    its most talkative."""
    node, heap = canary, Heap(canary.home)
    caplog.set_level(logging.DEBUG)
    log = logging.FileHandler(node.home / "debug.log", encoding="utf-8")
    logging.getLogger().addHandler(log)

    def fail(*_: object) -> Any:
        raise ValueError(f"cannot save {CANARY} at {PLACE}")

    monkeypatch.setattr(node.flow.targets["national"], "deliver", fail)
    monkeypatch.setattr(node.flow.targets["icrc"], "deliver", fail)
    node.ring(node.submit(fill_in(person(sought=[{**person()["sought"][0], **WITH_PHOTO}])), {"karim.jpg": picture()}))
    dispatcher = Dispatcher(node.flow)
    dispatcher.start()
    eventually(lambda: "ValueError" in caplog.text, 20)
    monkeypatch.setattr("connector.pipeline.to_record", fail)
    node.ring(node.submit(fill_in(person())))
    dispatcher.ring()
    eventually(lambda: len(node.attempts("partner")) >= 1, 20)
    dispatcher.stop()
    logging.getLogger().removeHandler(log)
    log.close()
    heap.walk()
    heap.add("log", caplog.text.encode())
    assert ((node.home / "debug.log").stat().st_size > 0, []) == (True, sorted(set(heap.found)))
