"""The HTTP edge: authenticate, keep the ids, answer. No outgoing call is made here (contract §3).

KoboToolbox keeps what we answer for the form's owner to see: replies.py says what may stand there.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence
from typing import cast

from flask import Blueprint, Flask, Request, Response, request

from connector.config import Config
from connector.dashboard import app as dashboard
from connector.model import JSON
from connector.pipeline import Pipeline
from webhooks import answering, metrics, partners, targets
from webhooks.door import Doorkeeper, Refusal, Tally, not_too_complex
from webhooks.replies import answered, body_of, reply

_HEADERS = {"kobo": "X-Silah-Token", "central": "X-API-Key"}


def create_app(
    pipeline: Pipeline, ring: Callable[[], None] = lambda: None, unfinished: Callable[[], Sequence[str]] = tuple
) -> Flask:
    """The Flask application; *ring* is called when a new receipt was kept, *unfinished* gives codes of what is still
    being made ready beside it (nothing that intake waits for)."""
    app = Flask("silah", static_folder=None)
    app.url_map.strict_slashes = False
    edge = Blueprint("webhooks", __name__)
    keeper, refused = Doorkeeper(pipeline.config), Tally(pipeline.ledger)

    @edge.post("/webhooks/<any(kobo, central):kind>/<server>")
    def submission(kind: str, server: str) -> Response:
        def take() -> Response:
            keeper.admit(request, server)
            return _take(pipeline, ring, kind, server)

        return answered(refused, f"a webhook of {server}", take)

    @edge.get("/healthz")
    def healthy() -> Response:
        return reply(200, {"status": "ok"})

    @edge.get("/readyz")
    def ready() -> Response:
        trouble = pipeline.ledger.database.trouble()
        if trouble is not None:
            return reply(503, {"error": trouble.code})
        reasons = list(unfinished())
        return reply(200, {"status": "ready", **({"unfinished": reasons} if reasons else {})})

    app.register_blueprint(edge)
    app.register_blueprint(metrics.blueprint(pipeline))
    app.register_blueprint(partners.blueprint(pipeline, keeper, refused))
    app.register_blueprint(answering.blueprint(pipeline))
    app.register_blueprint(targets.blueprint(pipeline, keeper, refused))
    dashboard.register(app, pipeline)
    return app


def _take(pipeline: Pipeline, ring: Callable[[], None], kind: str, server: str) -> Response:
    _authenticate(pipeline.config, kind, server, request)
    kept = pipeline.receive(server, _body(request))
    if kept.new:
        ring()
    return reply(201 if kept.new else 200, {"receipt": kept.receipt})


def _authenticate(config: Config, kind: str, server: str, incoming: Request) -> None:
    """The secret in its header or as Basic password, compared in constant time; two may be live while one is changed."""
    known = config.servers.get(server)
    secrets = (
        [known.secret("webhook_secret"), known.secret("webhook_secret_next")] if known and known.type == kind else []
    )
    given = (
        incoming.headers.get(_HEADERS[kind])
        or (incoming.authorization.password if incoming.authorization else None)
        or ""
    )
    matches = [hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets if secret]
    if not any(matches):
        raise Refusal(401, "not_authentic")


def _body(incoming: Request) -> JSON:
    data = body_of(incoming)
    not_too_complex(data)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(422, "not_json") from None
    if not isinstance(body, dict):
        raise Refusal(422, "not_an_object")
    return cast("JSON", body)
