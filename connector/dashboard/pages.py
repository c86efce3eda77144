"""The pages, one function each. What is shown is codes and times; identity only where a person asked, which is noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from flask import abort, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from connector import releasing
from connector.dashboard import session as door
from connector.dashboard.blueprint import PAGE, after, back, pages, paper, proven, reason, released
from connector.dashboard.desk import case_code, desk, lines, received
from connector.dashboard.roles import Right
from connector.dashboard.showing import DIGITS
from connector.disclosure import Release
from connector.errors import Refused
from connector.ledger.audit import Entry
from connector.ledger.flow import Case
from connector.ledger.overview import Item
from connector.ledger.preferences import Preferences, prefer, preferences_of
from connector.ledger.vault import recovery_confirmed
from connector.model import JSON
from connector.papers.receipt import give
from connector.previews import look
from connector.targets.casefile import case_file
from connector.transforms.dates import Calendar
from connector.words import LANGUAGES
from forms.policy import policy as policy_of

_DAYS = 7
_MOST_ARRIVALS = 300
_SOON = timedelta(days=30)
_FEW = 15


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
    door.begin(user, preferences_of(desk().ledger.database, user.name))
    return redirect(door.local(request.form.get("to")) or url_for("dashboard.flow"))


@pages.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    session.clear()
    return redirect(url_for("dashboard.sign_in"))


@pages.post("/language")
def language() -> ResponseReturnValue:
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        _prefer(replace(door.preferred(), language=chosen))
    return back()


@pages.get("/me")
@door.needs(Right.FLOW)
def me() -> ResponseReturnValue:
    return render_template("me.html", chosen=door.preferred(), calendars=tuple(Calendar), digits=DIGITS)


@pages.post("/me")
@door.needs(Right.FLOW)
def me_change() -> ResponseReturnValue:
    """Calendar and digits, in this session and in those to come."""
    calendar, digits = (request.form.get(name, "") for name in ("calendar", "digits"))
    if calendar in {"", *Calendar} and digits in {"", *DIGITS}:
        _prefer(replace(door.preferred(), calendar=calendar, digits=digits))
        flash("act:done")
    return redirect(url_for("dashboard.me"))


def _prefer(chosen: Preferences) -> None:
    door.prefer(chosen)
    if g.user is not None:
        prefer(desk().ledger.database, g.user.name, chosen)


# The flow


@pages.get("/")
@door.needs(Right.FLOW)
def flow() -> ResponseReturnValue:
    at = desk()
    place = after()
    stuck = at.overview.stuck(place, PAGE + 1)
    return render_template(
        "flow.html", accounts=at.accounts.newest(), targets=at.targets(), days=at.derived.arrivals(_DAYS, _MOST_ARRIVALS),
        stuck=stuck[:PAGE], more=stuck[PAGE - 1].place if len(stuck) > PAGE else None,
        unreadable=at.overview.unreadable(PAGE) if place is None else [], now=at.ledger.now(),
        sheet=recovery_confirmed(at.ledger.database, at.ledger.master),
    )  # fmt: skip


@pages.post("/do/<any(replay, discard):deed>/<id_>")
@door.needs(Right.MEND)
def mend(deed: str, id_: str) -> ResponseReturnValue:
    """Tries again or gives up, with a reason that goes into the audit."""
    why, who = reason(), door.user().name
    if not why:
        flash("act:needs_reason")
    elif deed == "replay":
        known = desk().ledger.replay(id_, who)
        if known:
            desk().overview.note(Entry("reason", who, detail={"of": id_, "reason": why}))
        flash("act:done" if known else "act:refused")
    else:
        flash("act:done" if desk().ledger.discard(id_, why, who) else "act:refused")
    return back()


@pages.post("/targets/<target>/<any(pause, resume):deed>")
@door.needs(Right.MEND)
def pause(target: str, deed: str) -> ResponseReturnValue:
    why = reason()
    if target not in desk().flow.targets:
        abort(404)
    if deed == "pause" and not why:
        flash("act:needs_reason")
    else:
        desk().ledger.pause(target, why, door.user().name, paused=deed == "pause")
        flash("act:done")
    return back()


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
    return _case_page(found, look(desk().flow, found, target, door.user().name))


@pages.post("/cases/<record_id>/copy")
@door.needs(Right.CASE)
def copy(record_id: str) -> ResponseReturnValue:
    """The person's copy, to print: who received what kind of data. That it was given is in the audit."""
    wanted = request.form.get("language")
    chosen = next((one for one in LANGUAGES if one == wanted), None)
    return paper(give(desk().flow, _case(record_id), chosen, door.user().name))


@pages.post("/cases/<record_id>/file")
@door.needs(Right.IDENTITY)
def file(record_id: str) -> ResponseReturnValue:
    """The case file as a target would receive it, to print; photos stay out. The look is in the audit."""
    found, target = _case(record_id), request.form.get("target", "")
    if target not in desk().flow.targets:
        abort(404)
    shown = desk().flow.preview(found, target)[0] if desk().record(found) is not None else None
    if not isinstance(shown, Release):
        flash(f"code:{shown.reason}" if shown else "act:refused")
        return redirect(url_for("dashboard.case", record_id=record_id))
    detail: dict[str, JSON] = {"what": "case_file", "version": found.version}
    desk().overview.note(Entry("seen", door.user().name, found.record_id, target, detail))
    return paper(case_file(shown, door.language()).decode())


@pages.post("/cases/<record_id>/release/<id_>")
@door.needs(Right.RELEASE)
def release(record_id: str, id_: str) -> ResponseReturnValue:
    """Lets one waiting delivery go, in the name of whoever is signed in and with their fresh code."""
    found, who = _case(record_id), door.user().name
    if id_ not in {item.id for item in desk().overview.of_case(found.id) if item.state in {"waiting", "due"}}:
        abort(404)
    if not proven():
        return redirect(url_for("dashboard.case", record_id=record_id))
    flash(released(lambda: releasing.release(desk().flow, id_, who)))
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
    review = at.to_dos([one for one in at.overview.with_reason("waiting", None, _FEW) if one.state == "waiting"])
    renew = at.to_dos(_once(at.overview.with_reason("withheld", "consent.expired", _FEW)))
    call = {one.item.record_id: one for one in [*renew, *review] if one.safe_when or one.phone_safe or one.do_not}
    return render_template(
        "week.html", review=review, renew=renew, call=list(call.values()), referrals=at.referrals_due(PAGE),
        ending=at.ending(_SOON, _FEW), duplicates=at.likely_duplicates(_FEW, door.user().name), now=at.ledger.now(),
        back=at.referrals.came_back(at.ledger.now() - timedelta(days=_DAYS), PAGE),
    )  # fmt: skip


def _once(items: list[Item]) -> list[Item]:
    """One line a case."""
    return list({item.record_id: item for item in reversed(items)}.values())[::-1]


# Policy, audit


@pages.get("/policy")
@door.needs(Right.POLICY)
def policy() -> ResponseReturnValue:
    at, today = desk(), desk().ledger.now() - timedelta(days=1)
    forms = sorted({form for server in at.flow.config.servers.values() for form in server.forms})
    return render_template(
        "policy.html", targets=at.flow.config.targets, audiences=at.flow.audiences,
        tables=[(form, policy_of(form).recipients_of) for form in forms],
        recipients=sorted({str(one.recipient) for one in at.flow.audiences.values()}),
        withdrawn=at.overview.withdrawn(today, PAGE), today=at.ledger.now().date(), soon=_SOON,
    )  # fmt: skip


@pages.get("/audit")
@door.needs(Right.AUDIT)
def audit() -> ResponseReturnValue:
    return render_template("audit.html", users=desk().users.all(), steps=desk().overview.latest((), None, PAGE * 2))
