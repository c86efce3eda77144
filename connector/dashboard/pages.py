"""The pages, one function each. What is shown is codes and times; identity only where a person asked, which is noted."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from connector.dashboard import session as door
from connector.dashboard.desk import case_code, desk, lines, received
from connector.dashboard.roles import Right
from connector.errors import Refused
from connector.figures import printing
from connector.figures.report import Report
from connector.ledger.audit import Entry
from connector.ledger.flow import Case
from connector.ledger.overview import Item, Place
from connector.model import JSON
from connector.previews import explain
from connector.reporting import figures as compile_figures
from connector.words import LANGUAGES
from forms.policy import policy as policy_of

log = logging.getLogger("silah.dashboard")
pages = Blueprint("dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
_PAGE = 50
_DAYS = 7
_MOST_REASON = 200
_FIRST_YEAR = 2003
_HOUR, _DAY = 60, 1440  # minutes


@pages.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    return render_template("sign_in.html", to=request.args.get("to", ""))


@pages.post("/sign-in")
def enter() -> ResponseReturnValue:
    given = {name: request.form.get(name, "").strip() for name in ("name", "password", "code")}
    try:
        user = desk().door.enter(given["name"], given["password"], given["code"])
    except Refused as refused:
        flash("sign:locked" if refused.code == "user.locked" else "sign:refused")
        return render_template("sign_in.html", to=request.form.get("to", "")), 403
    door.begin(user)
    return redirect(door.local(request.form.get("to")) or url_for("dashboard.flow"))


@pages.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    session.clear()
    return redirect(url_for("dashboard.sign_in"))


@pages.post("/language")
def language() -> ResponseReturnValue:
    chosen = request.form.get("language")
    if chosen in LANGUAGES:
        session["language"] = chosen
    return redirect(door.local(request.form.get("to")) or url_for("dashboard.flow"))


# The flow


@pages.get("/")
@door.needs(Right.FLOW)
def flow() -> ResponseReturnValue:
    at = desk()
    after = _place(request.args.get("after"))
    stuck = at.overview.stuck(after, _PAGE + 1)
    return render_template(
        "flow.html", accounts=at.accounts(), targets=at.targets(), days=at.overview.by_day(_DAYS),
        stuck=stuck[:_PAGE], more=stuck[_PAGE - 1].place if len(stuck) > _PAGE else None,
        unreadable=at.overview.unreadable(_PAGE) if after is None else [], now=at.ledger.now(),
    )  # fmt: skip


def _place(text: str | None) -> Place | None:
    at, _, last = (text or "").partition(":")
    return (int(at), last) if at.isascii() and at.isdigit() else None


@pages.post("/do/<any(replay, discard):deed>/<id_>")
@door.needs(Right.MEND)
def mend(deed: str, id_: str) -> ResponseReturnValue:
    """Tries again or gives up, with a reason that goes into the audit."""
    reason, who = _reason(), door.user().name
    if not reason:
        flash("act:needs_reason")
    elif deed == "replay":
        known = desk().ledger.replay(id_, who)
        if known:
            desk().overview.note(Entry("reason", who, detail={"of": id_, "reason": reason}))
        flash("act:done" if known else "act:refused")
    else:
        flash("act:done" if desk().ledger.discard(id_, reason, who) else "act:refused")
    return _back()


@pages.post("/targets/<target>/<any(pause, resume):deed>")
@door.needs(Right.MEND)
def pause(target: str, deed: str) -> ResponseReturnValue:
    reason = _reason()
    if target not in desk().flow.targets:
        abort(404)
    if deed == "pause" and not reason:
        flash("act:needs_reason")
    else:
        desk().ledger.pause(target, reason, door.user().name, paused=deed == "pause")
        flash("act:done")
    return _back()


def _reason() -> str:
    return " ".join(request.form.get("reason", "").split())[:_MOST_REASON]


def _back() -> ResponseReturnValue:
    return redirect(door.local(request.form.get("to")) or url_for("dashboard.flow"))


# A case


@pages.get("/cases/<record_id>")
@door.needs(Right.CASE)
def case(record_id: str) -> ResponseReturnValue:
    return _case_page(_case(record_id))


@pages.post("/cases/<record_id>/preview")
@door.needs(Right.IDENTITY)
def preview(record_id: str) -> ResponseReturnValue:
    """What a target would receive. Somebody saw a person's data by this: the audit says who, and of whom what."""
    found, target = _case(record_id), request.form.get("target", "")
    if target not in desk().flow.targets:
        abort(404)
    if desk().record(found) is None:
        flash("act:refused")
        return _case_page(found)
    told = explain(desk().flow, found, target)
    detail: dict[str, JSON] = {"what": "preview", "version": found.version}
    desk().overview.note(Entry("seen", door.user().name, found.record_id, target, detail))
    return _case_page(found, told)


@pages.post("/cases/<record_id>/release/<id_>")
@door.needs(Right.RELEASE)
def release(record_id: str, id_: str) -> ResponseReturnValue:
    """Lets one waiting delivery go, in the name of whoever is signed in and with their fresh code."""
    found, who = _case(record_id), door.user().name
    if id_ not in {item.id for item in desk().overview.of_case(found.id) if item.state in {"waiting", "due"}}:
        abort(404)
    try:
        desk().door.prove(who, request.form.get("code", "").strip())
    except Refused as refused:
        flash("sign:locked" if refused.code == "user.locked" else "act:bad_code")
        return redirect(url_for("dashboard.case", record_id=record_id))
    refused_as = desk().ledger.release(id_, who)
    flash({None: "act:done", "same_user": "act:same_user"}.get(refused_as, "act:refused"))
    return redirect(url_for("dashboard.case", record_id=record_id))


def _case(record_id: str) -> Case:
    found = desk().ledger.case(record_id)
    if found is None or found.record_id != record_id:
        abort(404)
    return found


def _case_page(found: Case, told: Mapping[str, JSON] | None = None) -> str:
    at = desk()
    record, steps = at.record(found), at.overview.steps(found.record_id)
    return render_template(
        "case.html", case=found, case_code=case_code(record), cautions=record.cautions if record else None, steps=steps,
        deliveries=at.overview.of_case(found.id), received=received(steps), told=told, now=at.ledger.now(),
        lines=lines(found.form_id, told["fields"], door.language()) if told else (),
        targets=[name for name, one in at.flow.config.targets.items() if found.form_id in one.accepts],
    )  # fmt: skip


# The week


@pages.get("/week")
@door.needs(Right.CASE)
def week() -> ResponseReturnValue:
    at = desk()
    review = at.to_dos([one for one in at.overview.with_reason("waiting", None, _PAGE) if one.state == "waiting"])
    renew = at.to_dos(_once(at.overview.with_reason("withheld", "consent.expired", _PAGE)))
    call = {one.item.record_id: one for one in [*renew, *review] if one.safe_when or one.phone_safe or one.do_not}
    return render_template(
        "week.html", review=review, renew=renew, call=list(call.values()), referrals=at.referrals_due()[:_PAGE],
        now=at.ledger.now(),
    )  # fmt: skip


def _once(items: list[Item]) -> list[Item]:
    """One line a case."""
    return list({item.record_id: item for item in reversed(items)}.values())[::-1]


@pages.get("/referrals")
@door.needs(Right.REFERRALS)
def referrals() -> ResponseReturnValue:
    return render_template("referrals.html", rows=desk().referrals.rows()[-200:], now=desk().ledger.now())


# Policy, figures, audit


@pages.get("/policy")
@door.needs(Right.POLICY)
def policy() -> ResponseReturnValue:
    at, today = desk(), desk().ledger.now() - timedelta(days=1)
    forms = sorted({form for server in at.flow.config.servers.values() for form in server.forms})
    return render_template(
        "policy.html", targets=at.flow.config.targets, audiences=at.flow.audiences,
        tables=[(form, policy_of(form).recipients_of) for form in forms],
        recipients=sorted({str(one.recipient) for one in at.flow.audiences.values()}),
        withdrawn=at.overview.latest(("withdrawn",), today, _PAGE),
    )  # fmt: skip


@pages.get("/figures")
@door.needs(Right.FIGURES)
def figures() -> ResponseReturnValue:
    start, end, public = _period()
    report = compile_figures(desk().flow.config, desk().ledger, start, end, public=public)
    kind = request.args.get("as")
    if kind in {"csv", "xlsx"}:
        return _file(report, kind)
    rows = [(printing.labels(row, door.language()), row.count) for row in report.rows]
    return render_template("figures.html", report=report, rows=rows, public=public)


def _period() -> tuple[date, date, bool]:
    today = desk().ledger.now().date()
    start = _day(request.args.get("from")) or date(_FIRST_YEAR, 1, 1)
    end = _day(request.args.get("to")) or today
    return start, max(start, end), "public" in request.args


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


@door.needs(Right.EXPORT)
def _file(report: Report, kind: str) -> ResponseReturnValue:
    """The report as a file; who took it is in the audit."""
    detail: dict[str, JSON] = {"format": kind, "from": report.start.isoformat(), "to": report.end.isoformat()}
    desk().overview.note(Entry("figures_taken", door.user().name, detail=detail))
    if kind == "csv":
        body, media = printing.as_csv(report).encode(), "text/csv; charset=utf-8"
    else:
        with tempfile.TemporaryDirectory() as folder:
            printing.write_xlsx(report, Path(folder) / "report.xlsx")
            body = (Path(folder) / "report.xlsx").read_bytes()
        media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    name = f"figures-{report.start}-{report.end}.{kind}"
    return Response(
        io.BytesIO(body), headers={"Content-Disposition": f'attachment; filename="{name}"'}, content_type=media
    )


@pages.get("/audit")
@door.needs(Right.AUDIT)
def audit() -> ResponseReturnValue:
    return render_template("audit.html", users=desk().users.all(), steps=desk().overview.latest((), None, _PAGE * 2))


@pages.before_request
def _before() -> None:
    door.look_up(desk().door)
    door.check_token()


@pages.after_request
def _after(response: Response) -> Response:
    """Nothing from elsewhere, nothing kept by a browser or a proxy; the style alone may be."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
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
