"""The partners' door: `POST /webhooks/partners/<node>`, where `<node>` is the sender's fingerprint (contract §3).

Answers of 200 and 201 are signed, so that a sender knows who acknowledged; those of a refusal hold a code alone.
503 asks for the same message again: something unexpected, or an earlier message of the referral is still missing.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from connector.errors import NotASubmission, NotAuthentic, Refused, SilahError
from connector.referrals.exchange import Exchange, exchange_of
from webhooks.door import Doorkeeper, Refusal, Tally

if TYPE_CHECKING:
    from connector.pipeline import Pipeline

log = logging.getLogger("silah.webhooks")

MOST_BODY = 10 * 1000 * 1000
_STATUS = ((NotAuthentic, 401), (NotASubmission, 422), (Refused, 422), (SilahError, 503))


def blueprint(pipeline: Pipeline, keeper: Doorkeeper, refused: Tally) -> Blueprint:
    """The door on the ledger of *pipeline*."""
    exchange = exchange_of(pipeline.config, pipeline.ledger)
    door = Blueprint("partners", __name__)

    @door.post("/webhooks/partners/<node>")
    def message(node: str) -> Response:
        try:
            keeper.admit(request, node)
            return _take(exchange, node)
        except Refusal as refusal:
            refused.add(refusal.code)
            return _refused(refusal.status, refusal.code)
        except SilahError as error:
            refused.add(f"webhook.{error.code}")
            return _refused(next(status for kind, status in _STATUS if isinstance(error, kind)), error.code)
        except Exception as error:  # noqa: BLE001 (whatever it is, the sender must try again; values may not be told)
            log.error("unexpected %s in a partner's message", type(error).__name__)  # noqa: TRY400
            return _refused(503, "webhook.unexpected")

    return door


def _take(exchange: Exchange, node: str) -> Response:
    if (request.content_length or 0) > MOST_BODY:
        return _refused(413, "too_large")
    body = request.stream.read(MOST_BODY + 1)
    if len(body) > MOST_BODY:
        return _refused(413, "too_large")
    acknowledged = exchange.receive(node, {name.lower(): value for name, value in request.headers}, body)
    return Response(acknowledged.body, acknowledged.status, dict(acknowledged.headers), content_type="application/json")


def _refused(status: int, code: str) -> Response:
    return Response(json.dumps({"error": code}), status, content_type="application/json")
