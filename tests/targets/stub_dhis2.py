"""A stand-in for DHIS2's aggregate interface on loopback: one number a cell, replaced by the next; conflicts are 409."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request

from connector.sandbox.web import Asked, Disturbed, Faults, RunningServer

TOKEN = "d2pat_of_silah"
REQUESTS, PEOPLE = "fbfJHSPpUQD", "cYeuwXTCPkU"
UNIT = "DiszpKrYNg8"
COMBINATIONS = {"male": "HllvX50cXC0", "female": "PT59n8BQbqM", "*": "o2gxEt6Ek2C"}


@dataclass
class Dhis2Stub:
    """`values` by data element, period, organisation unit and combination."""

    wrapped: bool = True
    """Since 2.38 the summary stands inside `response`."""
    faults: Faults = field(default_factory=Faults)
    asked: list[Asked] = field(default_factory=list)
    elements: set[str] = field(default_factory=lambda: {REQUESTS, PEOPLE})
    units: set[str] = field(default_factory=lambda: {UNIT})
    values: dict[tuple[str, str, str, str], str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    down: bool = False

    def serve(self) -> RunningServer:
        return RunningServer(Disturbed(_app(self), self.faults, self.asked, lambda _: None), "127.0.0.1", 0)

    def total(self, element: str) -> int:
        """The sum of a data element over all its cells."""
        return sum(int(value) for cell, value in self.values.items() if cell[0] == element)


def _app(stub: Dhis2Stub) -> Flask:
    app = Flask("dhis2")
    lock = threading.RLock()

    @app.route("/api/dataElements/<uid>")
    def _element(uid: str) -> Response:
        _refusal = _gate(stub)
        if _refusal is not None:
            return _refusal
        return _json({"id": uid}, 200) if uid in stub.elements else _json({"httpStatusCode": 404}, 404)

    @app.route("/api/dataValueSets", methods=["POST"])
    def _import() -> Response:
        refusal = _gate(stub)
        if refusal is not None:
            return refusal
        with lock:
            stub.bodies.append(request.get_data())
            return _imported(stub, json.loads(request.get_data())["dataValues"])

    return app


def _gate(stub: Dhis2Stub) -> Response | None:
    if stub.down:
        return _json({"status": "ERROR"}, 503)
    if request.headers.get("Authorization") != f"ApiToken {TOKEN}":
        return _json({"httpStatusCode": 401}, 401)
    return None


def _imported(stub: Dhis2Stub, sent: list[dict[str, str]]) -> Response:
    count = {"imported": 0, "updated": 0, "ignored": 0, "deleted": 0}
    conflicts = []
    for one in sent:
        cell = (one["dataElement"], one["period"], one["orgUnit"], one["categoryOptionCombo"])
        if one["dataElement"] not in stub.elements or one["orgUnit"] not in stub.units or one["period"] in stub.closed:
            count["ignored"] += 1
            conflicts.append({"object": one["dataElement"], "value": "not found or closed", "errorCode": "E7610"})
            continue
        count["updated" if cell in stub.values else "imported"] += 1
        stub.values[cell] = one["value"]
    summary: dict[str, Any] = {
        "status": "WARNING" if conflicts else "SUCCESS",
        "importCount": count,
        "conflicts": conflicts,
    }
    status = 409 if conflicts else 200
    return _json(
        {"status": summary["status"], "httpStatusCode": status, "response": summary} if stub.wrapped else summary,
        status,
    )


def _json(body: Any, status: int) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
