"""The page of publications: what may be shown to everybody is proposed by one person and confirmed by another."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from connector import releasing
from connector.dashboard import session as door
from connector.dashboard.blueprint import pages, proven, reason, released
from connector.dashboard.desk import case_code, desk
from connector.dashboard.roles import Right
from connector.ledger.releases import Publication, publications

PAGE = "dashboard.publications_page"


@pages.get("/publications")
@door.needs(Right.RELEASE)
def publications_page() -> ResponseReturnValue:
    rows = publications(desk().ledger, releasing.publishing(desk().flow), withheld=False)
    return render_template("publications.html", rows=[(one, _code_of(one)) for one in rows])


def _code_of(one: Publication) -> str:
    """What the case is called: its code, else the beginning of its id."""
    case = desk().ledger.case(one.record_id)
    return (case_code(desk().record(case)) if case else None) or one.record_id[:8]


@pages.post("/publications/<id_>/<any(propose, confirm, decline):deed>")
@door.needs(Right.RELEASE)
def publish(id_: str, deed: str) -> ResponseReturnValue:
    """One word, with the second factor; declining takes a reason as well."""
    if deed == "decline" and not reason():
        flash("act:needs_reason")
    elif proven():
        flash(released(lambda: _said(id_, deed, door.user().name)))
    return redirect(url_for(PAGE))


def _said(id_: str, deed: str, who: str) -> None:
    """One word for or against a publication."""
    if deed == "propose":
        releasing.propose(desk().flow, id_, who)
    elif deed == "confirm":
        releasing.confirm(desk().flow, id_, who)
    else:
        releasing.decline(desk().flow, id_, who, reason())
