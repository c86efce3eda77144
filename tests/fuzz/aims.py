"""What is fuzzed: each aim takes bytes as a stranger would send them and raises when the answer is not one that was promised."""

from __future__ import annotations

import base64
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from connector import config as configuration
from connector.app import assemble
from connector.audio import clean_audio
from connector.errors import NotASubmission, NotAuthentic, Refused, ServerError, TransformError
from connector.images import Unreadable, clean_image
from connector.matching.names import score_names
from connector.model import JSON, Submission
from connector.referrals.envelope import seal, signed_headers
from connector.servers.kobo import Kobo
from connector.servers.odk_encryption import (
    SUBMISSION,
    IncompleteSubmission,
    TamperedSubmission,
    decrypt,
    load_private_key,
    parse_envelope,
)
from connector.setup import new_key
from connector.transforms.registry import RECORDS, to_record
from connector.transforms.xml_answers import NotXml, answers_in, parse
from forms.tables import load
from tests.referrals.nodes import Pair
from webhooks.edge import create_app

_ROOT = Path(__file__).parents[2]
_FIXTURES = _ROOT / "tests" / "fixtures"
_SAMPLES = _ROOT / "connector" / "sandbox" / "samples"
_ENCRYPTED = _FIXTURES / "encryption"
_SECRET = "a secret of the door"


class BrokenPromise(AssertionError):
    """An answer that no page of the documentation knows."""


@dataclass(frozen=True)
class Aim:
    """Attributes:
    name: how it is called on the command line.
    what: for people.
    prepare: makes the function that is called with each input; it raises for what must not happen.
    seeds: inputs to begin with.
    """

    name: str
    what: str
    prepare: Callable[[], Callable[[bytes], None]]
    seeds: Sequence[bytes]


def _door(kind: str, header: str) -> Callable[[], Callable[[bytes], None]]:
    """A webhook with the right secret and any body; the first byte chooses how it comes."""

    def prepare() -> Callable[[bytes], None]:
        folder = Path(tempfile.mkdtemp())
        list(new_key(folder / "master.key"))
        (folder / "token").write_text("token", encoding="utf-8")
        (folder / "secret").write_text(_SECRET, encoding="utf-8")
        server: JSON = {
            "type": kind,
            "url": "http://127.0.0.1:9",
            "token_file": "token",
            "webhook_secret_file": "secret",
            "forms": {"tracing_request": "aSAomeUid22characters0" if kind == "kobo" else "1/tracing_request"},
        }
        data = {"society": "SY-RC", "database": "sqlite:///silah.db", "master_key_file": "master.key"}
        config = configuration.parse({**data, "servers": {"fuzzed": server}}, folder / "silah.toml")
        client = create_app(assemble(config)).test_client()

        def ring(data: bytes) -> None:
            kinds = (
                "application/json",
                "text/plain",
                "multipart/form-data; boundary=x",
                "",
                "application/json; charset=\x7f",
            )
            chosen = kinds[data[0] % len(kinds)] if data else ""
            answer = client.post(
                f"/webhooks/{kind}/fuzzed", data=data[1:], headers={header: _SECRET, "Content-Type": chosen}
            )
            _expect(answer.status_code, answer.get_data(), {200, 201, 413, 422})

        return ring

    return prepare


def _expect(status: int, body: bytes, allowed: set[int]) -> None:
    told = json.loads(body)
    if status not in allowed or set(told) not in ({"receipt"}, {"error"}):
        raise BrokenPromise(f"{status} {sorted(told)}")


def _partner() -> Callable[[bytes], None]:
    """A message of a known partner, rightly signed and encrypted, that says anything."""
    pair = Pair(Path(tempfile.mkdtemp()))
    pair.delivered()
    sender, receiver = pair.sender, pair.receiver
    known = sender.pair(receiver)
    count = 0

    def post(data: bytes) -> None:
        nonlocal count
        count += 1
        body = seal(data, known.node.encryption_key)
        headers = signed_headers(sender.exchange.keys, f"fuzz-{count}", sender.now(), body)
        answer = receiver.client.post(
            f"/webhooks/partners/{sender.exchange.keys.fingerprint}", data=body, headers=headers
        )
        _expect_acknowledged(answer.status_code, answer.get_data(), {200, 201, 422})

    return post


def _stranger() -> Callable[[bytes], None]:
    """The partners' door from outside: any signature, any body."""
    pair = Pair(Path(tempfile.mkdtemp()))
    path = f"/webhooks/partners/{pair.sender.exchange.keys.fingerprint}"
    now = str(int(pair.sender.now().timestamp()))

    def post(data: bytes) -> None:
        signature, _, body = data.partition(b"\n")
        text = "".join(letter for letter in signature.decode("latin-1") if letter.isprintable())
        headers = {"webhook-id": "x", "webhook-timestamp": now, "webhook-signature": text}
        answer = pair.receiver.client.post(path, data=body, headers=headers)
        _expect(answer.status_code, answer.get_data(), {401})

    return post


def _expect_acknowledged(status: int, body: bytes, allowed: set[int]) -> None:
    told = json.loads(body)
    if status not in allowed or (status == 422) != ("error" in told):
        raise BrokenPromise(f"{status} {told.get('error')}")


def _envelope() -> Callable[[bytes], None]:
    """The envelope of an encrypted submission, read and opened: only the one that was sent opens."""
    key = load_private_key(base64.b64decode((_ENCRYPTED / "throwaway-private-key.der.b64").read_text(encoding="ascii")))
    files = {path.name: path.read_bytes() for path in _ENCRYPTED.glob("*.enc")}
    clear = (_ENCRYPTED / "expected-submission.xml").read_bytes()

    def read(data: bytes) -> None:
        try:
            opened = decrypt(parse_envelope(data), files, key)
        except (NotASubmission, TamperedSubmission, IncompleteSubmission):
            return
        if opened.submission_xml != clear:
            raise BrokenPromise("another text came out, and was taken for whole")

    return read


def _sealed_file() -> Callable[[bytes], None]:
    """The encrypted answers of a submission, changed: nothing but the text that was sent comes out."""
    key = load_private_key(base64.b64decode((_ENCRYPTED / "throwaway-private-key.der.b64").read_text(encoding="ascii")))
    envelope = parse_envelope((_ENCRYPTED / "envelope.xml").read_bytes())
    files = {path.name: path.read_bytes() for path in _ENCRYPTED.glob("*.enc")}
    sent = files[f"{SUBMISSION}.enc"]

    def read(data: bytes) -> None:
        try:
            decrypt(envelope, {**files, f"{SUBMISSION}.enc": data}, key)
        except TamperedSubmission:
            return
        if data != sent:
            raise BrokenPromise("a changed file was taken for whole")

    return read


def _answers(data: bytes) -> None:
    """A submission's own XML, down to the record."""
    try:
        root = parse(data)
    except NotXml:
        return
    form_id = root.get("id", "")
    if form_id in RECORDS:
        _record(form_id, cast("Mapping[str, object]", answers_in(root, load(form_id).repeats)))


def _record(form_id: str, answers: Mapping[str, object]) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    one = Submission("fuzzed", form_id, "r", "i", 1, "1", at, answers)  # type: ignore[arg-type]
    try:
        to_record(one).model_dump_json()
    except TransformError:
        return


def _row() -> Callable[[bytes], None]:
    """A row of Kobo's data JSON, down to the record."""
    server = configuration.Server.model_validate(
        {"type": "kobo", "url": "http://127.0.0.1:9", "forms": {"tracing_request": "aSAomeUid22characters0"}}
    )
    kobo = Kobo("fuzzed", server)

    def read(data: bytes) -> None:
        try:
            row = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(row, dict):
            return
        try:
            to_record(kobo._submission("tracing_request", row)).model_dump_json()
        except (ServerError, TransformError):
            return

    return read


def _file(clean: Callable[[bytes], object]) -> Callable[[], Callable[[bytes], None]]:
    def prepare() -> Callable[[bytes], None]:
        def read(data: bytes) -> None:
            try:
                clean(data)
            except Unreadable:
                return

        return read

    return prepare


def _names(data: bytes) -> None:
    """Two names of any letters: one number from 0 to 1, the same both ways."""
    one, _, other = data.decode("utf-8", "replace").partition("\t")
    there, back = score_names(one, other), score_names(other, one)
    if not (0 <= there <= 1 and math.isclose(there, back)):
        raise BrokenPromise(f"{there} {back}")


def _referral() -> Callable[[bytes], None]:
    """`referral new FILE.json` with any file."""
    pair = Pair(Path(tempfile.mkdtemp()))

    def new(data: bytes) -> None:
        try:
            written = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(written, dict):
            try:
                pair.sender.exchange.new(written, pair.receiver.name, "fuzz")
            except (Refused, NotASubmission, NotAuthentic):
                return

    return new


def _always(take: Callable[[bytes], None]) -> Callable[[], Callable[[bytes], None]]:
    return lambda: take


def _ids() -> Iterator[bytes]:
    ids = {"_id": 7, "_uuid": "5a2c0d1e-0000-4000-8000-000000000001", "_xform_id_string": "aSAomeUid22characters0"}
    yield b"\0" + json.dumps(ids).encode()
    yield b"\0" + json.dumps({**ids, "meta/rootUuid": "uuid:5a2c0d1e-0000-4000-8000-000000000002"}).encode()
    yield b"\1" + b"[" * 500


def _events() -> Iterator[bytes]:
    """What ODK's own sender of webhooks posts: recorded, `tests/fixtures/central`."""
    event = {
        "type": "submission.create",
        "id": "uuid:5a2c0d1e-0000-4000-8000-000000000001",
        "data": {"xml": '<data id="tracing_request"/>', "project_id": 1, "form_id": "tracing_request"},
    }
    yield b"\0" + json.dumps(event).encode()


def _rows() -> Iterator[bytes]:
    row = {
        "_id": 7,
        "_uuid": "5a2c0d1e-0000-4000-8000-000000000001",
        "_submission_time": "2026-11-21T10:00:00",
        "__version__": "v1",
        "_attachments": [],
        "_validation_status": {},
        "start_group/c_collect": "yes",
    }
    yield json.dumps(row).encode()


_REFERRAL = json.dumps(
    {
        "kind": "referral", "priority": "urgent_72h", "case_code": "10112345672", "client_sex": "female",
        "age_group": "18_59", "services_requested": ["shelter"], "reason_code": ["shelter"], "safe_rule": ["no_call"],
        "protocol_version": "1", "identity": {"name": "n", "contact": "c", "safe_contact": "s", "free_text": "t"},
        "consent": {"recipient": "shelter", "given": "2026-11-21T10:00:00Z", "expires": "2027-11-21T10:00:00Z"},
    }
).encode()  # fmt: skip
_NAMES = ("محمد عبد الله\tMohamad Abdallah", "Ümit Özdağ\tUmit Ozdag", "\u202eابو عمر\u200c‌\tAbu Omar", "\t")

AIMS: Sequence[Aim] = (
    Aim("kobo-door", "webhook of KoboToolbox", _door("kobo", "X-Silah-Token"), list(_ids())),
    Aim("central-door", "webhook of ODK Central", _door("central", "X-API-Key"), list(_events())),
    Aim("partner-stranger", "partners' door, not signed", _stranger, [b"v1a,AAAA\n{}", b"v1,x v1a,=\n"]),
    Aim("partner-message", "partners' door, a partner's message", _partner, [_REFERRAL, b'{"event": "accepted"}']),
    Aim("envelope", "envelope of an encrypted submission", _envelope, [(_ENCRYPTED / "envelope.xml").read_bytes()]),
    Aim("sealed-file", "encrypted answers", _sealed_file, [(_ENCRYPTED / "submission.xml.enc").read_bytes()]),
    Aim("answers", "a submission's XML, to the record", _always(_answers), [p.read_bytes() for p in sorted(_SAMPLES.glob("*.xml"))]),
    Aim("kobo-row", "Kobo's JSON, to the record", _row, list(_rows())),
    Aim("referral-file", "`referral new FILE`", _referral, [_REFERRAL]),
    Aim("picture", "photos", _file(clean_image), [(_SAMPLES / "face.jpg").read_bytes()]),
    Aim("recording", "recordings", _file(clean_audio), [p.read_bytes()[:4000] for p in sorted((_FIXTURES / "audio").iterdir()) if p.suffix != ".md"]),
    Aim("names", "`names score`", _always(_names), [one.encode() for one in _NAMES]),
)  # fmt: skip
