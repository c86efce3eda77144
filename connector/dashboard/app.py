"""Puts the pages into the application of the web edge."""

from __future__ import annotations

from datetime import datetime

from flask import Flask, g, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from connector import releasing
from connector.dashboard import figures, matches, publications, referrals, servers, session
from connector.dashboard import pages as common
from connector.dashboard.blueprint import age, error_page, pages
from connector.dashboard.desk import Desk, desk
from connector.dashboard.roles import Right, may
from connector.dashboard.showing import Reader
from connector.ledger.sign_in import SignedIn
from connector.pipeline import Pipeline
from connector.words import LANGUAGES, OWN_NAMES, RIGHT_TO_LEFT, Language, explained, is_explained, is_known, said
from forms.tables import load

# Each puts its pages into the blueprint as it is imported.
PAGES = (common, matches, referrals, figures, publications, servers)
_MENU = (
    ("flow", Right.FLOW), ("week", Right.CASE), ("matches", Right.MATCH), ("referrals", Right.REFERRALS),
    ("figures", Right.FIGURES), ("policy", Right.POLICY), ("servers", Right.SERVERS), ("audit", Right.AUDIT),
)  # fmt: skip


def register(app: Flask, flow: Pipeline) -> None:
    """Adds the dashboard on *flow* to *app*."""
    app.extensions["silah_desk"] = Desk.of(flow)
    session.prepare(app, flow)
    app.register_blueprint(pages)
    app.context_processor(_context)
    for status in (400, 403, 404):
        app.register_error_handler(status, _refused)


def _refused(error: HTTPException) -> ResponseReturnValue:
    """Machines that call the webhooks get no page."""
    if request.path.startswith("/webhooks/"):
        return error.get_response()
    return error_page(error.code or 404)


def _context() -> dict[str, object]:
    language, reads = session.language(), session.as_read()
    user: SignedIn | None = getattr(g, "user", None)
    menu = [(name, url_for(f"dashboard.{name}")) for name, right in _MENU if user and may(user.role, right)]
    if user and may(user.role, Right.RELEASE) and releasing.publishing(desk().flow):
        menu.append(("publications", url_for(publications.PAGE)))
    return {
        "t": lambda key, **filled: said(language, key, **filled),
        "word": lambda kind, code: said(language, f"{kind}:{code}") if is_known(f"{kind}:{code}") else code,
        "explained": lambda code: explained(language, code), "known": is_explained,
        "code": _isolated, "age": lambda at, now: _ago(language, at, now), "clock": lambda at, now: _clock(language, at, now),
        "moment": lambda at: _moment(reads, at), "day": lambda at: _isolated(reads.day(at)),
        "number": lambda value: _isolated(reads.number(value)), "comma": "،" if language in RIGHT_TO_LEFT else ",",
        "arrow": "←" if language in RIGHT_TO_LEFT else "→", "form_title": lambda form: load(form).title(language), "token": session.token, "user": user, "menu": menu, "language": language,
        "direction": "rtl" if language in RIGHT_TO_LEFT else "ltr",
        "languages": [(one, OWN_NAMES[one]) for one in LANGUAGES],
        "flashed": lambda message: _flashed(language, message),
        "can": lambda right: user is not None and may(user.role, Right(right)), "here": _here(),
    }  # fmt: skip


def _here() -> str:
    """Where to come back to after a form was sent."""
    return request.full_path.rstrip("?") if request.method == "GET" else request.form.get("to", "")


def _flashed(language: Language, message: str) -> str:
    """A key of the catalogue, or `code:` and the code of an error."""
    kind, _, code = message.partition(":")
    return " ".join(explained(language, code)) if kind == "code" else said(language, message)


def _ago(language: Language, at: datetime, now: datetime) -> str:
    unit, number = age(at, now)
    return said(language, f"age:{unit}", n=number)


def _clock(language: Language, at: datetime, now: datetime) -> str:
    """How long until *at*, or since."""
    if at > now:
        return said(language, "refer:left", n=_ago(language, now, at))
    return said(language, "refer:ago", n=_ago(language, at, now))


def _moment(reads: Reader, at: datetime) -> Markup:
    """A day and a time, each of which stays on its line."""
    machine = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    parts = reads.moment(at).split(" ")
    return Markup('<time datetime="{}"><bdi dir="ltr">{}</bdi> <bdi dir="ltr">{}</bdi></time>').format(machine, *parts)


def _isolated(text: object) -> Markup:
    """A code or number that keeps its own direction in a page that is read from right to left."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(escape(text))
