"""The HTTP edge: authenticate, keep the ids, answer. No outgoing call is made here (contract §3).

Answers hold an opaque receipt or a code, never an answer of a form: KoboToolbox keeps them for the form's owner to see.
Anything unexpected is 503, which KoboToolbox tries again; 500 and 429 it does not.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from flask import Blueprint, Flask, Request, Response, request

from connector.config import Config
from connector.dashboard import app as dashboard
from connector.errors import NotASubmission
from connector.ledger.database import LedgerUnavailable
from connector.model import JSON
from connector.pipeline import Pipeline
from webhooks import answering, metrics, partners, targets
from webhooks.door import Doorkeeper, Refusal, Tally, not_too_complex

log = logging.getLogger("silah.webhooks")

MOST_BODY = 10 * 1000 * 1000
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
        try:
            keeper.admit(request, server)
            return _take(pipeline, ring, kind, server)
        except Refusal as refusal:
            refused.add(refusal.code if "." in refusal.code else f"webhook.{refusal.code}")
            return _answer(refusal.status, {"error": refusal.code})
        except NotASubmission as error:
            refused.add(error.code)
            return _answer(422, {"error": error.code})
        except LedgerUnavailable as error:
            return _answer(503, {"error": error.code})
        except Exception as error:  # noqa: BLE001 (whatever it is, the sender must try again; values may not be told)
            log.error("unexpected %s in a webhook of %s", type(error).__name__, server)  # noqa: TRY400
            return _answer(503, {"error": "webhook.unexpected"})

    @edge.get("/healthz")
    def healthy() -> Response:
        return _answer(200, {"status": "ok"})

    @edge.get("/readyz")
    def ready() -> Response:
        trouble = pipeline.ledger.database.trouble()
        if trouble is not None:
            return _answer(503, {"error": trouble.code})
        reasons = list(unfinished())
        return _answer(200, {"status": "ready", **({"unfinished": reasons} if reasons else {})})

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
    return _answer(201 if kept.new else 200, {"receipt": kept.receipt})


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
    if (incoming.content_length or 0) > MOST_BODY:
        raise Refusal(413, "too_large")
    data = incoming.stream.read(MOST_BODY + 1)
    if len(data) > MOST_BODY:
        raise Refusal(413, "too_large")
    not_too_complex(data)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(422, "not_json") from None
    if not isinstance(body, dict):
        raise Refusal(422, "not_an_object")
    return cast("JSON", body)


def _answer(status: int, body: Mapping[str, JSON]) -> Response:
    headers = {"Retry-After": "60"} if status == 503 else {}  # noqa: PLR2004 (RFC 9110: try again later)
    return Response(json.dumps(body), status, headers, content_type="application/json")
