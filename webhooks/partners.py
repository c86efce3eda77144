"""The partners' door: `POST /webhooks/partners/<node>`, where `<node>` is the sender's fingerprint (contract §3).

Answers of 200 and 201 are signed, so that a sender knows who acknowledged; those of a refusal hold a code alone.
503 asks for the same message again: something unexpected, or an earlier message of the referral is still missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from connector.errors import NotASubmission, NotAuthentic, Refused, SilahError
from connector.referrals.exchange import Exchange, exchange_of
from webhooks.door import Doorkeeper, Refusal, Tally
from webhooks.replies import body_of, refuse, reply, unexpected

if TYPE_CHECKING:
    from connector.pipeline import Pipeline

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
            return refuse(refused, refusal)
        except SilahError as error:
            refused.add(f"webhook.{error.code}")
            return reply(next(status for kind, status in _STATUS if isinstance(error, kind)), {"error": error.code})
        except Exception as error:  # noqa: BLE001 (told by its type, and the sender tries again)
            return unexpected(error, "a partner's message")

    return door


def _take(exchange: Exchange, node: str) -> Response:
    acknowledged = exchange.receive(node, {name.lower(): value for name, value in request.headers}, body_of(request))
    return Response(acknowledged.body, acknowledged.status, dict(acknowledged.headers), content_type="application/json")
