"""A stand-in for EspoCRM's REST API on loopback, written from how its code and documents say it behaves.

API key or HMAC, webhooks in signed batches, entities with custom fields (unknown ones dropped, wrong ones 400), where-filters, duplicates 409 with
their list, no upsert, soft deletion, attachments. Errors are a status and a header; their body is often a page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from flask import Flask, Response, request

from connector.sandbox.web import Asked, Disturbed, Faults, RunningServer

KEY, SECRET = "api-key-of-silah", "hmac-secret-of-silah"
_DATE, _DAYTIME = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_TEXTS = ("caseCode branch context urgency enquirerName enquirerNameLatin enquirerSex enquirerBorn enquirerCountry enquirerPlace "
          "enquirerPhone limits silahId")  # fmt: skip
_ROW_TEXTS = ("fullName fullNameLatin fatherName motherName relation sex born marks lastNews lastCountry lastPlace lastPhone separationCause "
              "circumstances believedStatus icrcRef searchNotThere silahId tracingRequestId")  # fmt: skip
ENTITIES: dict[str, dict[str, str]] = {
    "CTracingRequest": {
        **dict.fromkeys(_TEXTS.split(), "varchar"), "name": "required", "inquiryDate": "date", "consentGivenAt": "datetime",
        "consentReviewOn": "date", "enquirerPhoneSafe": "bool", "enquirerLanguages": "multiEnum", "priorSteps": "multiEnum",
        "photos": "attachmentMultiple", "caseState": "varchar",
    },
    "CSoughtPerson": {
        **dict.fromkeys(_ROW_TEXTS.split(), "varchar"), "name": "required", "otherNames": "multiEnum", "dateOfBirth": "date",
    },
}  # fmt: skip
"""Entity -> field -> type, as an admin makes them for the mapping we ship."""


class Refusal(Exception):
    """An error answer: its reason stands in a header, its body is a page or a list."""

    def __init__(self, status: int, reason: str = "", body: Any = None) -> None:
        super().__init__(status)
        self.status, self.reason, self.body = status, reason, body


@dataclass
class EspoStub:
    """One EspoCRM. `records` by entity and id, deleted ones included with `deleted` true."""

    digest: str = "raw"
    signed: bool = False
    faults: Faults = field(default_factory=Faults)
    asked: list[Asked] = field(default_factory=list)
    fields: dict[str, dict[str, str]] = field(
        default_factory=lambda: {name: dict(known) for name, known in ENTITIES.items()}
    )
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in ENTITIES})
    attachments: dict[str, dict[str, Any]] = field(default_factory=dict)
    duplicates: bool = False
    """Whether its checkers take every new record of the same name for a duplicate."""
    down: bool = False
    forbidden: bool = False
    hook: tuple[str, str] | None = None
    """Where its webhook tells of changes, and the secret it signs with."""
    told: list[int] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def work(self, entity: str, *changes: tuple[str, dict[str, Any]]) -> None:
        """Case workers change records; EspoCRM tells of them together, in one signed list."""
        for one, values in changes:
            self.records[entity][one].update(values, modifiedAt=self.now())
        if self.hook:
            url, secret = self.hook
            payload = json.dumps([{"id": one, **values} for one, values in changes]).encode()
            proof = hmac.new(secret.encode(), payload, hashlib.sha256).digest()
            signature = base64.b64encode(b"hook-id:" + proof).decode()
            headers = {"Content-Type": "application/json", "Signature": signature}
            self.told.append(requests.post(url, data=payload, headers=headers, timeout=5).status_code)

    def now(self) -> str:
        """Its times: UTC, to the second."""
        return self.clock().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")

    def serve(self) -> RunningServer:
        return RunningServer(Disturbed(_app(self), self.faults, self.asked, lambda _: None), "127.0.0.1", 0)

    def live(self, entity: str) -> list[dict[str, Any]]:
        """The records that are not in the bin."""
        return [one for one in self.records[entity].values() if not one["deleted"]]


def _app(stub: EspoStub) -> Flask:
    app = Flask("espocrm")
    lock = threading.RLock()

    @app.errorhandler(Refusal)
    def _refused(error: Refusal) -> Response:
        text = "<html>Error</html>" if error.body is None else json.dumps(error.body)
        return Response(text, error.status, {"X-Status-Reason": error.reason}, content_type="text/html")

    @app.route("/api/v1/<entity>", methods=["GET", "POST"])
    @app.route("/api/v1/<entity>/<one>", methods=["GET", "PUT", "DELETE"])
    def _view(entity: str, one: str = "") -> Response:
        with lock:
            _signed_in(stub)
            if entity == "Attachment":
                made = _attachment(stub, one)
            elif entity not in stub.fields:
                raise Refusal(404)
            else:
                made = {"GET": _get, "POST": _post, "PUT": _put, "DELETE": _delete}[request.method](stub, entity, one)
        return Response(json.dumps(made, ensure_ascii=False), 200, content_type="application/json")

    return app


def _signed_in(stub: EspoStub) -> None:
    if stub.down:
        raise Refusal(503, "Maintenance")
    if stub.forbidden:
        raise Refusal(403, "No access")
    if not stub.signed:
        if request.headers.get("X-Api-Key") != KEY:
            raise Refusal(401)
        return
    path = request.path.removeprefix("/api/v1/")
    made = hmac.new(SECRET.encode(), f"{request.method} /{path}".encode(), hashlib.sha256)
    proof = made.digest() if stub.digest == "raw" else made.hexdigest().encode()
    if request.headers.get("X-Hmac-Authorization") != base64.b64encode(KEY.encode() + b":" + proof).decode():
        raise Refusal(401)


def _get(stub: EspoStub, entity: str, one: str) -> Any:
    if one:
        return _shown(stub, _found(stub, entity, one))
    wanted = _equal(stub, entity)
    found = [record for record in stub.live(entity) if all(record.get(name) == value for name, value in wanted)]
    if request.args.get("where[0][type]") == "after":
        since = request.args["where[0][value]"]
        found = [record for record in found if str(record.get(request.args["where[0][attribute]"])) > since]
    found.sort(key=lambda record: str(record.get(request.args.get("orderBy", "id"))))
    found = found[int(request.args.get("offset", 0)) :]
    select = [*request.args.get("select", "").split(","), "id"]
    most = int(request.args.get("maxSize", 20))
    return {"list": [{key: record.get(key) for key in select if key} for record in found[:most]], "total": len(found)}


def _equal(stub: EspoStub, entity: str) -> list[tuple[str, str]]:
    """`where[0][type]=equals&where[0][attribute]=…&where[0][value]=…`"""
    wanted = []
    for number in range(5):
        if request.args.get(f"where[{number}][type]") == "equals":
            name = request.args[f"where[{number}][attribute]"]
            if name not in stub.fields[entity]:
                raise Refusal(400, "Bad where")
            wanted.append((name, request.args[f"where[{number}][value]"]))
    return wanted


def _body(stub: EspoStub, entity: str) -> dict[str, Any]:
    """What the entity has fields for; the rest is dropped without a word, wrong values are refused."""
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict):
        raise Refusal(400, "Bad body")
    known = stub.fields[entity]
    kept = {key: value for key, value in sent.items() if key in known or (key.endswith("Ids") and key[:-3] in known)}
    for key, value in kept.items():
        if not _fits(known.get(key, "ids"), value):
            raise Refusal(400, "Field validation failed")
    return kept


def _fits(kind: str, value: Any) -> bool:
    if kind == "required":
        return isinstance(value, str) and bool(value)
    if value is None:
        return True
    match kind:
        case "date":
            return isinstance(value, str) and bool(_DATE.fullmatch(value))
        case "datetime":
            return isinstance(value, str) and bool(_DAYTIME.fullmatch(value))
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int)
        case "multiEnum" | "ids":
            return isinstance(value, list)
    return isinstance(value, str)


def _post(stub: EspoStub, entity: str, _one: str) -> Any:
    kept = _body(stub, entity)
    if "name" not in kept:
        raise Refusal(400, "Field validation failed")
    alike = [one for one in stub.live(entity) if one.get("name") == kept["name"]]
    if stub.duplicates and alike and request.headers.get("X-Skip-Duplicate-Check") != "true":
        raise Refusal(409, "duplicate", [_shown(stub, one) for one in alike])
    record = {"id": secrets.token_hex(8), "deleted": False, "modifiedAt": stub.now(), **kept}
    stub.records[entity][record["id"]] = record
    return _shown(stub, record)


def _put(stub: EspoStub, entity: str, one: str) -> Any:
    record = _found(stub, entity, one)
    record.update(_body(stub, entity), modifiedAt=stub.now())
    return _shown(stub, record)


def _delete(stub: EspoStub, entity: str, one: str) -> Any:
    _found(stub, entity, one)["deleted"] = True
    return True


def _found(stub: EspoStub, entity: str, one: str) -> dict[str, Any]:
    record = stub.records[entity].get(one)
    if record is None or record["deleted"]:
        raise Refusal(404)
    return record


def _shown(stub: EspoStub, record: dict[str, Any]) -> dict[str, Any]:
    """A record with its attachments' names beside their ids."""
    names = {
        f"{key[:-3]}Names": {one: stub.attachments[one]["name"] for one in value if one in stub.attachments}
        for key, value in record.items()
        if key.endswith("Ids") and isinstance(value, list)
    }
    return {**record, **names}


def _attachment(stub: EspoStub, one: str) -> Any:
    if request.method == "DELETE":
        if stub.attachments.pop(one, None) is None:
            raise Refusal(404)
        return True
    sent = request.get_json(silent=True) or {}
    if sent.get("role") != "Attachment" or not sent.get("relatedType") or not sent.get("field"):
        raise Refusal(400, "Bad attachment")
    head, _, data = str(sent.get("file")).partition(";base64,")
    if head != f"data:{sent.get('type')}":
        raise Refusal(400, "Bad attachment")
    made = {"id": secrets.token_hex(8), "name": sent["name"], "data": base64.b64decode(data)}
    stub.attachments[made["id"]] = made
    return {"id": made["id"], "name": made["name"]}
