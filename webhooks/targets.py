"""The door for callbacks of targets (contract §3): a hint that one of their records changed. No outgoing call is made here.

Only the record's number is kept of a body; what the target says of it is read back.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Blueprint, Response, request

from connector.pipeline import Pipeline
from webhooks.door import Doorkeeper, Tally, not_too_complex
from webhooks.replies import answered, body_of, reply


def blueprint(pipeline: Pipeline, keeper: Doorkeeper, refused: Tally) -> Blueprint:
    """`POST /webhooks/targets/<target>`."""
    door = Blueprint("targets", __name__)

    @door.post("/webhooks/targets/<target>")
    def callback(target: str) -> Response:
        def take() -> Response:
            keeper.admit(request, target)
            return _take(pipeline, target)

        return answered(refused, f"a callback of {target}", take)

    return door


def _take(pipeline: Pipeline, target: str) -> Response:
    body = body_of(request)
    not_too_complex(body)
    if pipeline.answers.known(target) is None:
        return reply(401, {"error": "not_authentic"})
    new = pipeline.answers.heard(target, dict(request.headers), body)
    receipt = hmac.new(pipeline.ledger.derive("receipts of callbacks"), body, hashlib.sha256).hexdigest()[:32]
    return reply(201 if new else 200, {"receipt": receipt})
