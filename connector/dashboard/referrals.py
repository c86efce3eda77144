"""The pages of referrals: inbox and outbox with their clocks, what either side may do, a new one, the hand-over list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from connector.dashboard import session as door
from connector.dashboard.blueprint import PAGE, after, pages, paper
from connector.dashboard.desk import desk
from connector.dashboard.roles import Right
from connector.errors import Refused
from connector.ledger.referrals import Shown
from connector.referrals.handover import handover_page
from connector.referrals.machine import OUTCOMES, RULES, Deed, Kind, Party, Priority, allowed
from connector.targets.wording import labels

_KIND = "referral"  # the form whose choices are offered
_SEXES = ("female", "male", "nr")
_MANY = ("services_requested", "reason_code", "safe_rule")
_ONE = ("kind", "priority", "case_code", "client_sex", "age_group", "protocol_version")
_IDENTITY = ("name", "contact", "safe_contact", "free_text")


@pages.get("/referrals")
@door.needs(Right.REFERRALS)
def referrals() -> ResponseReturnValue:
    finished = "finished" in request.args
    rows, more = desk().referrals.page(after(), PAGE, finished=finished)
    return render_template("referrals.html", all_rows=rows, more=more, finished=finished, now=desk().ledger.now())


@pages.get("/referrals/handover")
@door.needs(Right.REFERRALS)
def handover() -> ResponseReturnValue:
    """The list for the next shift, to print: codes and clocks, no name."""
    return paper(handover_page(desk().referrals.rows(), desk().ledger.now(), door.language()))


@pages.get("/referrals/new")
@door.needs(Right.REFER)
def referral_form() -> ResponseReturnValue:
    return _new_page({})


@pages.post("/referrals/new")
@door.needs(Right.REFER)
def referral_new() -> ResponseReturnValue:
    """Keeps a referral and asks for it to be sent; what does not fit is said, and nothing that was written is lost."""
    try:
        made = desk().exchange.new(_written(), request.form.get("partner", ""), door.user().name)
    except Refused as refused:
        flash(f"code:{refused.code}")
        return _new_page(request.form.to_dict(), refused.where), 422
    if made.row.priority == Priority.EMERGENCY:
        flash("refer:call_now")
    return redirect(url_for("dashboard.referral", id_=made.row.id))


@pages.get("/referrals/<id_>")
@door.needs(Right.REFERRALS)
def referral(id_: str) -> ResponseReturnValue:
    return _page(_shown(id_))


@pages.post("/referrals/<id_>/identity")
@door.needs(Right.IDENTITY)
def referral_identity(id_: str) -> ResponseReturnValue:
    """Who a received referral is about, once the sender told; the look is in the audit."""
    shown = _shown(id_)
    disclosed = desk().referrals.disclosed(id_, door.user().name)
    return _page(shown, disclosed.identity.model_dump() if disclosed else {})


@pages.post("/referrals/<id_>/take-over")
@door.needs(Right.REFER)
def referral_take_over(id_: str) -> ResponseReturnValue:
    _shown(id_)
    desk().referrals.take_over(id_, door.user().name)
    return _done(id_)


@pages.post("/referrals/<id_>/retry")
@door.needs(Right.REFER)
def referral_retry(id_: str) -> ResponseReturnValue:
    _shown(id_)
    desk().referrals.retry(id_, door.user().name)
    return _done(id_)


@pages.post("/referrals/<id_>/do/<deed>")
@door.needs(Right.REFER)
def referral_do(id_: str, deed: str) -> ResponseReturnValue:
    """One step of this side, if it is allowed now."""
    if deed not in {str(one) for one in Deed}:
        abort(404)
    codes = [request.form.get(name) or None for name in ("reason", "outcome")]
    try:
        desk().exchange.act(id_, Deed(deed), door.user().name, *codes)
    except Refused as refused:
        flash(f"code:{refused.code}")
        _shown(id_)
        return redirect(url_for("dashboard.referral", id_=id_))
    return _done(id_)


def _done(id_: str) -> ResponseReturnValue:
    flash("act:done")
    return redirect(url_for("dashboard.referral", id_=id_))


def _shown(id_: str) -> Shown:
    try:
        return desk().referrals.show(id_)
    except Refused:
        abort(404)


def _page(shown: Shown, identity: Mapping[str, str] | None = None) -> str:
    now, mine = desk().ledger.now(), Party.REQUESTER if shown.row.direction == "out" else Party.OWNER
    deeds = allowed(shown.standing, mine, now)
    return render_template(
        "referral.html", shown=shown, row=shown.row, now=now, identity=identity, rules=RULES, deeds=deeds,
        ours=shown.standing.holder is mine, outcomes=sorted(OUTCOMES), labelled=_labels(),
    )  # fmt: skip


def _labels() -> Mapping[str, Mapping[str, str]]:
    """The lists of the form, in the language of whoever looks."""
    return {name: labels(_KIND, name, door.language()) for name in (*_MANY, "age_group")}


def _new_page(given: Mapping[str, str], where: str = "") -> str:
    at = desk()
    lists = {name: request.form.getlist(name) for name in _MANY}
    return render_template(
        "referral_new.html", partners=at.referrals.partners(), given=given, chosen=lists, where=where, labelled=_labels(),
        kinds=tuple(Kind), priorities=tuple(Priority), sexes=_SEXES, today=at.ledger.now().date(), identity=_IDENTITY,
    )  # fmt: skip


def _written() -> dict[str, object]:
    """The form as the file that `silah referral new` takes."""
    form = request.form
    written: dict[str, object] = {name: form[name] for name in _ONE if form.get(name)}
    written |= {name: [code for code in form.getlist(name) if code != "none"] for name in _MANY}
    days = {"given": (form.get("given"), time()), "expires": (form.get("expires"), time(23, 59, 59))}
    consent = {name: _moment(text, at) for name, (text, at) in days.items()}
    identity = {name: form.get(name, "").strip() for name in _IDENTITY}
    return {**written, "consent": {"recipient": form.get("partner", ""), **consent}, "identity": identity}


def _moment(text: str | None, at: time) -> str:
    try:
        return datetime.combine(date.fromisoformat(text or ""), at, UTC).isoformat()
    except ValueError:
        return ""
