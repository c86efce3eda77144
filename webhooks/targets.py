"""The door for callbacks of targets (contract §3): a hint that one of their records changed. No outgoing call is made here.

Only the record's number is kept of a body; what the target says of it is read back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging

from flask import Blueprint, Response, request

from connector.errors import NotASubmission, NotAuthentic
from connector.ledger.database import LedgerUnavailable
from connector.pipeline import Pipeline
from webhooks.door import Doorkeeper, Refusal, Tally, not_too_complex

log = logging.getLogger("silah.webhooks")

MOST_BODY = 10 * 1000 * 1000


def blueprint(pipeline: Pipeline, keeper: Doorkeeper, refused: Tally) -> Blueprint:
    """`POST /webhooks/targets/<target>`."""
    door = Blueprint("targets", __name__)

    @door.post("/webhooks/targets/<target>")
    def callback(target: str) -> Response:
        try:
            keeper.admit(request, target)
            return _take(pipeline, target)
        except Refusal as refusal:
            refused.add(refusal.code if "." in refusal.code else f"webhook.{refusal.code}")
            return _answer(refusal.status, {"error": refusal.code})
        except NotAuthentic as error:
            refused.add(error.code)
            return _answer(401, {"error": "not_authentic"})
        except NotASubmission as error:
            refused.add(error.code)
            return _answer(422, {"error": error.code})
        except LedgerUnavailable as error:
            return _answer(503, {"error": error.code})
        except Exception as error:  # noqa: BLE001 (whatever it is, the sender must try again; values may not be told)
            log.error("unexpected %s in a callback of %s", type(error).__name__, target)  # noqa: TRY400
            return _answer(503, {"error": "webhook.unexpected"})

    return door


def _take(pipeline: Pipeline, target: str) -> Response:
    if (request.content_length or 0) > MOST_BODY:
        raise Refusal(413, "too_large")
    body = request.stream.read(MOST_BODY + 1)
    if len(body) > MOST_BODY:
        raise Refusal(413, "too_large")
    not_too_complex(body)
    if pipeline.answers.known(target) is None:
        return _answer(401, {"error": "not_authentic"})
    new = pipeline.answers.heard(target, dict(request.headers), body)
    receipt = hmac.new(pipeline.ledger.derive("receipts of callbacks"), body, hashlib.sha256).hexdigest()[:32]
    return _answer(201 if new else 200, {"receipt": receipt})


def _answer(status: int, body: dict[str, str]) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
