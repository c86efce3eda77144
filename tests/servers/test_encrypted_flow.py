"""Forms that phones encrypt: opened here, verified, and then as any other submission; nothing of it is kept in clear."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from connector import config as configuration
from connector.errors import KeyUnavailable, Misconfigured
from connector.sandbox.central import CentralSandbox
from connector.sandbox.central import serve as serve_central
from connector.sandbox.receiver import ReceiverApp
from connector.servers.central import Central
from connector.servers.unsealing import Unsealing, form_keys
from forms.compiler import build
from forms.engines import convert
from forms.tables import load
from tests.conftest import Clock, FillIn, Node
from tests.flow.test_at_rest import everything_written
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.people import MARKS, request
from tests.servers.test_odk_encryption import KEY, OTHER_KEY, encrypted

PASSPHRASE = "a passphrase for the tests"


def write_key(file: Path, key: Any = KEY, passphrase: str | None = None) -> str:
    """The private key as an admin keeps it."""
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return str(file)


def sealed(xml: bytes, media: dict[str, bytes] | None = None) -> tuple[bytes, dict[str, bytes]]:
    """What a phone sends of a filled-in form with a public key."""
    found = re.search(rb"instanceID>(uuid:[^<]+)<", xml)
    assert found is not None
    return encrypted(xml, media or {}, instance_id=found[1].decode(), version=load("tracing_request").version)


@pytest.fixture(name="node")
def _node(node: Node) -> Node:
    node.server = {"private_key_file": write_key(node.home / "forms.pem")}
    return node


def stuck(node: Node) -> list[tuple[str, str | None]]:
    return [(row.state, row.error) for row in node.rows(None)]


def test_an_encrypted_request_arrives(node: Node, fill_in: FillIn) -> None:
    """R20: the form server holds no readable name; the recipient gets the answers and the clean photo all the same."""
    envelope, files = sealed(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    node.take_in(envelope, files)

    [body] = node.received()
    sought = body["fields"]["sought"][0]
    assert ("كريم يوسف الحمصي", body["attachments"][0]["name"]) == (sought["name"]["full"], sought["photo"])
    assert "tracing_request" == body["kind"]
    assert not any("الحمصي" in str(one) for one in node.kobo.submissions(node.asset))


def test_it_is_the_same_record_as_an_unencrypted_one(node: Node, fill_in: FillIn) -> None:
    """Encrypted or not, the fields are the same, and reading it again changes nothing."""
    xml = fill_in(request())
    node.server["may_be_clear"] = ["tracing_request"]
    node.take_in(xml)
    again = re.sub(rb"(instanceID>uuid:)[0-9a-f]{8}", rb"\g<1>00000000", xml)
    envelope, files = sealed(again)
    node.take_in(envelope, files)
    node.pull(full=True)
    node.dispatch()

    first, last = node.received()
    assert first["fields"] == last["fields"]
    assert [1, 1] == [body["version"] for body in node.received()]


def test_nothing_that_was_opened_is_in_clear_on_the_disk(node: Node, fill_in: FillIn) -> None:
    """While the target is down neither answers nor media stand anywhere in clear, nor the name of a file."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    envelope, files = sealed(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    node.take_in(envelope, files)

    written = everything_written(node)
    for mark in (*MARKS, "HIDDEN-PLACE", "karim.jpg"):
        assert mark.encode() not in written


def test_parts_that_have_not_arrived_are_waited_for(node: Node, fill_in: FillIn) -> None:
    """A phone sends the files after the envelope: until they are there nothing is read, then it goes as it is."""
    envelope, files = sealed(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    submission = node.submit(envelope, {"submission.xml.enc": files["submission.xml.enc"]})
    node.ring(submission)
    node.flow.read_back()
    assert [("due", "receipt.not_found")] == stuck(node)

    node.submit(envelope, files)
    node.clock.forward(minutes=2)
    node.flow.read_back()
    node.dispatch()
    assert [("delivered", None)] == stuck(node)


def test_what_stays_incomplete_is_shown_and_mends_itself(node: Node, fill_in: FillIn) -> None:
    """After `attachments_wait` a person sees it; a pull after the files have come goes on without anybody."""
    envelope, files = sealed(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    node.submit(envelope, {"submission.xml.enc": files["submission.xml.enc"]})
    node.clock.forward(minutes=11)
    node.pull()
    assert [("parked", "encryption.incomplete at tracing_request")] == stuck(node)

    node.submit(envelope, files)
    node.pull()
    node.dispatch()
    assert [("delivered", None)] == stuck(node)


@pytest.mark.parametrize("name", ["submission.xml.enc", "karim.jpg.enc"])
def test_a_changed_file_is_refused(node: Node, fill_in: FillIn, name: str) -> None:
    """One bit in any file: the submission is parked with a code, and nothing of it leaves."""
    envelope, files = sealed(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    files[name] = bytes([files[name][0] ^ 1]) + files[name][1:]
    node.take_in(envelope, files)

    assert [("parked", "encryption.changed at tracing_request")] == stuck(node)
    assert [] == node.received()


def test_an_envelope_that_was_changed_is_refused(node: Node, fill_in: FillIn) -> None:
    """Another version in the envelope is another signature."""
    envelope, files = sealed(fill_in(request()))
    version = load("tracing_request").version.encode()
    assert version in envelope
    node.take_in(envelope.replace(version, b"2026112199"), files)
    assert [("parked", "encryption.changed at tracing_request")] == stuck(node)


def test_another_submissions_envelope_is_refused(node: Node, fill_in: FillIn) -> None:
    """What is encrypted well but for another submission does not come in under this one's name."""
    envelope, files = encrypted(fill_in(request()), {}, instance_id="uuid:11111111-2222-4333-8444-555555555555")
    node.take_in(envelope, files)
    assert [("parked", "encryption.another_submission at tracing_request")] == stuck(node)


def test_another_key_does_not_open_it(node: Node, fill_in: FillIn) -> None:
    """The form's key was changed: it is parked, and the right key opens it at the next pull."""
    node.server = {"private_key_file": write_key(node.home / "other.pem", OTHER_KEY)}
    node.take_in(*sealed(fill_in(request())))
    assert [("parked", "encryption.key_does_not_open at tracing_request")] == stuck(node)

    node.server = {"private_key_file": write_key(node.home / "forms.pem")}
    node.restart()
    node.pull()
    node.dispatch()
    assert [("delivered", None)] == stuck(node)


def test_a_photo_swapped_after_it_was_read_stays(node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The photo is opened again at sending; one that is not what was verified does not leave."""
    envelope, files = sealed(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    node.ring(node.submit(envelope, files))
    node.flow.read_back()
    asset = node.kobo._store.assets[node.asset]
    [photo] = [one for row in asset.submissions for one in row.attachments if one.name == "karim.jpg.enc"]
    photo.content = encrypted(b"", {"karim.jpg": picture("red")})[1]["karim.jpg.enc"]
    node.dispatch()

    assert [("parked", "encryption.changed")] == node.states()
    assert [] == node.received()


def test_a_record_in_clear_of_an_encrypted_form_is_flagged(node: Node, fill_in: FillIn) -> None:
    """The form server takes them; here somebody has to hear of it. Where it was allowed it goes as any other."""
    node.take_in(fill_in(request()))
    assert [("parked", "encryption.in_clear at tracing_request")] == stuck(node)
    assert [] == node.received()

    node.server["may_be_clear"] = ["tracing_request"]
    node.restart()
    node.pull()
    node.dispatch()
    assert 1 == len(node.received())


def test_without_a_key_it_is_parked(node: Node, fill_in: FillIn) -> None:
    """An encrypted record and no key: a code, no answers, nothing lost."""
    node.server = {}
    node.take_in(*sealed(fill_in(request())))
    assert [("parked", "answer.encrypted at tracing_request")] == stuck(node)


def test_a_form_has_its_own_key_with_a_passphrase(node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of one form goes before that of its server; the passphrase comes from the environment."""
    monkeypatch.setenv("FORM_PASSPHRASE", PASSPHRASE)
    own = {
        "private_key_file": write_key(node.home / "own.pem", KEY, PASSPHRASE),
        "private_key_passphrase_env": "FORM_PASSPHRASE",
    }
    node.server = {
        "private_key_file": write_key(node.home / "other.pem", OTHER_KEY),
        "form_keys": {"tracing_request": own},
    }
    node.take_in(*sealed(fill_in(request())))
    assert 1 == len(node.received())


def test_a_key_that_cannot_be_used_stops_at_the_start(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong passphrase, a missing file, a form that is not there: told before anything is served."""
    monkeypatch.setenv("FORM_PASSPHRASE", "wrong")
    key = write_key(node.home / "own.pem", KEY, PASSPHRASE)
    node.server = {"private_key_file": key, "private_key_passphrase_env": "FORM_PASSPHRASE"}
    with pytest.raises(KeyUnavailable) as raised:
        _ = node.flow
    assert "encryption.passphrase" == raised.value.code

    for wrong in (
        {"private_key_file": "nowhere.pem"},
        {"form_keys": {"no_form": {"private_key_file": key}}},
        {"may_be_clear": ["no_form"]},
    ):
        node.server = wrong
        with pytest.raises(Misconfigured):
            _ = node.flow


def test_received_bodies_hold_no_trace_of_the_envelope(node: Node, fill_in: FillIn) -> None:
    """What leaves is the record alone."""
    node.take_in(*sealed(fill_in(request())))
    receiver: ReceiverApp = node.receivers["national"]
    assert b"base64Encrypted" not in receiver.received[0].raw


def test_on_central_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill_in: FillIn) -> None:
    """An envelope that ODK Central holds opens the same way: the answers, and the photo when it is sent."""
    monkeypatch.setenv("CENTRAL_PASSWORD", "practice")
    sandbox = CentralSandbox(clock=Clock())
    account, project = sandbox.add_user("connector@example.org"), sandbox.add_project("Family links")
    sandbox.publish(project, convert(build("tracing_request", "central", tmp_path)).encode())
    sandbox.grant(project, account, "viewer")
    xml = fill_in(request(sought=WITH_PHOTO))
    sandbox.submit(project, *sealed(xml, {"karim.jpg": picture()}))
    with serve_central(sandbox) as running:
        data = {
            "society": "SY-RC", "database": "sqlite:///silah.db", "servers": {"central": {
                "type": "central", "url": running.url, "email": "connector@example.org", "password_env": "CENTRAL_PASSWORD",
                "private_key_file": write_key(tmp_path / "forms.pem"), "forms": {"tracing_request": f"{project}/tracing_request"},
            }},
        }  # fmt: skip
        config = configuration.parse(data, tmp_path / "silah.toml").servers["central"]
        keys = form_keys("central", config)
        server = Unsealing(Central("central", config), keys, (), config.attachments_wait, Clock())
        [[listed]] = server.listing("tracing_request")
        [one] = server.read("tracing_request", [listed.order])

        assert (None, False, ["karim.jpg"]) == (one.fault, one.encrypted, [file.name for file in one.attachments])
        assert "الحمصي" in str(one.answers)
        assert picture() == server.attachment("tracing_request", one.order, one.attachments[0])
