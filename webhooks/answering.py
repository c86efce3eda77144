"""The page on which a partner without a system answers: `/answer/<handle>`, on a phone, in four languages, no script.

The address opens nothing: it is seen by whoever sees a log. The code that came with it is typed and travels in the body
alone. What is shown is what the first message of a referral shows; who it is never stands here.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from connector.errors import Refused
from connector.ledger.answer_links import MAY, MOST_TRIES
from connector.referrals.byhand import opening_lines
from connector.referrals.exchange import exchange_of
from connector.referrals.machine import OUTCOMES, RULES, Deed
from connector.words import LANGUAGES, OWN_NAMES, RIGHT_TO_LEFT, Language, said

if TYPE_CHECKING:
    from connector.pipeline import Pipeline
    from connector.referrals.exchange import Exchange

log = logging.getLogger("silah.webhooks")

_MOST_BODY = 4096
_MOST_WRONG, _WITHIN = 30, 60.0  # wrong codes at this node before everybody waits, seconds
_TOO_MANY = "link.too_many_tries"


class _Brake:
    """Counts wrong codes of the last minute over all links: guessing is slow however many links are tried."""

    def __init__(self) -> None:
        self._wrong: deque[float] = deque(maxlen=_MOST_WRONG)
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raises `Refused` while there were too many."""
        with self._lock:
            full = len(self._wrong) == _MOST_WRONG and time.monotonic() - self._wrong[0] < _WITHIN
        if full:
            raise Refused(_TOO_MANY, "a link", "Wait a minute.")

    def count(self) -> None:
        with self._lock:
            self._wrong.append(time.monotonic())


def blueprint(pipeline: Pipeline) -> Blueprint:
    """The page on the ledger of *pipeline*."""
    exchange, brake = exchange_of(pipeline.config, pipeline.ledger), _Brake()
    door = Blueprint("answering", __name__, template_folder="templates")

    @door.get("/answer/<handle>")
    def ask(handle: str) -> ResponseReturnValue:
        """Asks for the code. It says nothing of whether there is such a link, and changes nothing."""
        return _page("answer_code.html", handle=handle)

    @door.post("/answer/<handle>")
    def answer(handle: str) -> ResponseReturnValue:
        if (request.content_length or 0) > _MOST_BODY:
            return _page("answer_over.html", 413, error="link.not_valid")
        try:
            brake.check()
            return _shown(exchange, handle) if "deed" not in request.form else _answered(exchange, handle)
        except Refused as error:
            pipeline.ledger.count(f"webhook.{error.code}")
            if error.code in {"link.wrong_code", "link.not_valid"}:
                brake.count()
            return _refused(handle, error.code)

    @door.errorhandler(Exception)
    def unexpected(error: Exception) -> ResponseReturnValue:
        """Nothing of what was handled may be told."""
        log.error("unexpected %s on the page of answers", type(error).__name__)
        return _page("answer_over.html", 503, error="link.unexpected")

    @door.after_request
    def guarded(response: Response) -> Response:
        return _guarded(response)

    return door


def _shown(exchange: Exchange, handle: str) -> ResponseReturnValue:
    link = exchange.links.open(handle, request.form.get("code", ""))
    return _form(exchange, handle, link.referral_id, link.step)


def _form(exchange: Exchange, handle: str, referral_id: str, step: str, error: str = "") -> ResponseReturnValue:
    shown = exchange.referrals.show(referral_id)
    if shown.opening is None:
        return _page("answer_over.html", 410, error="link.not_valid")
    return _page(
        "answer_form.html", 422 if error else 200, handle=handle, lines=opening_lines(shown.opening, _language()),
        due=shown.row.due_at, overdue=shown.row.overdue, step=step, code_typed=request.form.get("code", ""), error=error,
        deeds=[(str(deed), sorted(RULES[deed].reasons), sorted(OUTCOMES) if deed is Deed.COMPLETE else []) for deed in MAY[step]],
    )  # fmt: skip


def _answered(exchange: Exchange, handle: str) -> ResponseReturnValue:
    code, given = request.form.get("code", ""), request.form.get("deed", "")
    deed = next((one for deeds in MAY.values() for one in deeds if one == given), None)
    if deed is None:
        return _shown(exchange, handle)
    reason = request.form.get(f"reason_{deed}") or None
    outcome = request.form.get("outcome") or None
    try:
        exchange.links.answer(handle, code, deed, reason, outcome if deed is Deed.COMPLETE else None)
    except Refused as refused:
        if not refused.code.startswith("referral."):
            raise
        link = exchange.links.open(handle, code)
        return _form(exchange, handle, link.referral_id, link.step, refused.code)
    return _page("answer_done.html", deed=str(deed))


def _refused(handle: str, code: str) -> ResponseReturnValue:
    if code == "link.wrong_code":
        return _page("answer_code.html", 403, handle=handle, error=code)
    return _page("answer_over.html", 429 if code == _TOO_MANY else 410, error=code)


def _language() -> Language:
    """What the person chose, else what the browser asks for, else English."""
    chosen = request.values.get("language")
    asked_for = request.accept_languages.best_match(list(LANGUAGES))
    return next((one for want in (chosen, asked_for) for one in LANGUAGES if one == want), "en")


def _page(template: str, status: int = 200, **values: object) -> ResponseReturnValue:
    language = _language()
    nonce = secrets.token_urlsafe(16)
    page = render_template(
        template, t=lambda key, **filled: said(language, key, **filled), language=language, nonce=nonce,
        direction="rtl" if language in RIGHT_TO_LEFT else "ltr", languages=[(one, OWN_NAMES[one]) for one in LANGUAGES],
        tries=MOST_TRIES, **{"error": "", **values},
    )  # fmt: skip
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return _guarded(response)


def _guarded(response: Response) -> Response:
    """Kept by no browser and no proxy, told to no other site, found by no search."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
