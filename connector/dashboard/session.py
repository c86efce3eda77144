"""Who is signed in, in which language, and that a form was sent by a page of ours."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import timedelta
from functools import wraps
from typing import ParamSpec

from flask import Flask, abort, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from connector.dashboard.roles import Right, may
from connector.dashboard.showing import Reader, reader
from connector.ledger.preferences import Preferences
from connector.ledger.sign_in import SignedIn, SignIn
from connector.pipeline import Pipeline
from connector.words import LANGUAGES, Language

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]
_LASTS = timedelta(hours=8)


def prepare(app: Flask, flow: Pipeline) -> None:
    """Cookies that no script reads and no other site sends; signed with a key of the ledger's own."""
    public = flow.config.public_url or ""
    app.secret_key = flow.ledger.derive("sessions of the dashboard")
    app.config.update(
        SESSION_COOKIE_NAME="silah", SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=public.startswith("https://"), PERMANENT_SESSION_LIFETIME=_LASTS,
    )  # fmt: skip


def begin(user: SignedIn, preferred: Preferences) -> None:
    """A new session; the language that was chosen at the door holds, else the one that this user chose before."""
    chosen = session.get("language")
    session.clear()
    session.permanent = True
    session.update(user=user.name, epoch=user.epoch, token=secrets.token_urlsafe(24))
    session.update({name: code for name, code in asdict(preferred).items() if code})
    if chosen:
        session["language"] = chosen


def prefer(chosen: Preferences) -> None:
    """What this session reads by from now on."""
    session.update(asdict(chosen))


def preferred() -> Preferences:
    return Preferences(*(str(session.get(one.name) or "") for one in fields(Preferences)))


def as_read() -> Reader:
    """How whoever looks reads times and numbers."""
    chosen = preferred()
    return reader(language(), chosen.calendar, chosen.digits)


def user() -> SignedIn:
    """Who is signed in; only behind `needs`."""
    known: SignedIn = g.user
    return known


def look_up(door: SignIn) -> None:
    """Before every page: is this session's user still the one who signed in?"""
    found = door.known(str(session.get("user"))) if "user" in session else None
    g.user = found if found and found.epoch == session.get("epoch") else None


def needs(right: Right) -> Callable[[View[P]], View[P]]:
    """The page is for those with *right*: others are asked to sign in, or told that their role may not."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            if g.user is None:
                return redirect(url_for("dashboard.sign_in", to=request.full_path if request.method == "GET" else None))
            if not may(g.user.role, right):
                abort(403)
            return view(*args, **kwargs)

        return guarded

    return decorate


def token() -> str:
    """What every form of ours carries."""
    if "token" not in session:
        session["token"] = secrets.token_urlsafe(24)
    return str(session["token"])


def check_token() -> None:
    """Refuses what was not sent by a page of ours."""
    sent = request.form.get("token", "")
    if request.method == "POST" and not hmac.compare_digest(sent.encode(), str(session.get("token", "")).encode()):
        abort(400)
    if request.method == "POST" and not sent:
        abort(400)


def language() -> Language:
    """What the person chose, else what the browser asks for, else English."""
    asked_for = request.accept_languages.best_match(list(LANGUAGES))
    wanted = (session.get("language"), asked_for)
    return next((one for want in wanted for one in LANGUAGES if one == want), "en")


def local(path: str | None) -> str | None:
    """*path* when it is one of ours."""
    return path if path and path.startswith("/") and not path.startswith(("//", "/\\")) else None
