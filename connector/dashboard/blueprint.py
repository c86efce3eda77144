"""What every page shares: the blueprint, its door, its headers, and the words of an error."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from connector.dashboard import session as door
from connector.dashboard.desk import desk
from connector.errors import Refused

log = logging.getLogger("silah.dashboard")
pages = Blueprint("dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
PAGE = 50
_MOST_REASON = 200
_MOST_DIGITS = 18
_HOUR, _DAY = 60, 1440  # minutes
_WHY_NOT = {
    "release.same_user": "act:same_user", "release.own_record": "act:own_record",
    "release.other_branch": "act:other_branch", "release.one_person_branch": "act:one_person_branch",
}  # fmt: skip
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def reason() -> str:
    """Why somebody does what they do, as one line."""
    line = " ".join(request.form.get("reason", "").split())
    return "".join(character for character in line if character.isprintable())[:_MOST_REASON]


def after() -> tuple[int, str] | None:
    """Where the page before ended, as a list was paged: a number and an id; None at the beginning."""
    at, _, last = request.args.get("after", "").partition(":")
    known = at.isascii() and at.isdigit() and len(at) <= _MOST_DIGITS and last.isprintable()
    return (int(at), last) if known else None


def back(fallback: str = "dashboard.flow") -> ResponseReturnValue:
    """To where the form came from."""
    return redirect(door.local(request.form.get("to")) or url_for(fallback))


def proven() -> bool:
    """Whether the form carries a fresh code of whoever is signed in; if not, the page that follows says so."""
    try:
        desk().door.prove(door.user().name, request.form.get("code", "").strip())
    except Refused as refused:
        flash("sign:locked" if refused.code == "user.locked" else "act:bad_code")
        return False
    return True


def released(word: Callable[[], None]) -> str:
    """What became of somebody's word that something may go, as a key of the catalogue."""
    try:
        word()
    except Refused as refused:
        return _WHY_NOT.get(refused.code, "act:refused")
    return "act:done"


def paper(html: str) -> Response:
    """A page to print that carries its own style: the policy lets that style in, by its hash, and nothing else."""
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in styles)
    policy = (
        f"default-src 'none'; style-src {hashes or chr(39) + 'none' + chr(39)}; img-src data:; frame-ancestors 'none'"
    )
    return Response(html, headers={"Content-Security-Policy": policy}, content_type="text/html; charset=utf-8")


@pages.before_request
def _before() -> None:
    door.look_up(desk().door)
    door.check_token()


@pages.after_request
def _after(response: Response) -> Response:
    """Nothing from elsewhere, nothing kept by a browser or a proxy; the style alone may be."""
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    if request.endpoint != "dashboard.static":
        response.headers["Cache-Control"] = "no-store"
    return response


@pages.errorhandler(Exception)
def _unexpected(error: Exception) -> ResponseReturnValue:
    """Nothing of what was handled may be told, on the page or in the log."""
    if isinstance(error, HTTPException):
        return error_page(error.code or 404)
    log.error("unexpected %s on a page", type(error).__name__)
    return error_page(503)


def error_page(status: int) -> ResponseReturnValue:
    """A refusal in words; only for a browser's pages."""
    g.setdefault("user", None)
    return render_template("error.html", status=status), status


def age(moment: datetime, now: datetime) -> tuple[str, int]:
    """How long ago, in the largest unit that fits: ("d", 3), ("h", 5), ("min", 12)."""
    minutes = max(0, int((now - moment).total_seconds() // 60))
    units = ((_DAY, 2, "d"), (_HOUR, 1, "h"))
    return next(((name, minutes // unit) for unit, least, name in units if minutes >= least * unit), ("min", minutes))
