"""The page of people who may be one: side by side with the reasons, confirmed by two, ruled out, undone.

Names are shown for one pair at a time, to whoever asks, and that look is in the audit.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from connector.dashboard import session as door
from connector.dashboard.blueprint import after, pages, proven
from connector.dashboard.desk import desk
from connector.dashboard.roles import Right
from connector.ledger.candidates import Candidate
from connector.pairs import Sides, confirm, may_speak, seen, sentence, sides

_PAGE = 15  # each line opens two records
_STATES = {
    "open": ("proposed", "confirmed_by_one"),
    "confirmed": ("confirmed",),
    "ruled_out": ("ruled_out",),
}
_REFUSED = {"same_user": "match:same_user"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A candidate as the page shows it; *sides* is None where the people may not be shown to whoever looks."""

    one: Candidate
    sides: Sides | None
    reasons: tuple[str, ...]


@pages.get("/matches")
@door.needs(Right.MATCH)
def matches() -> ResponseReturnValue:
    which = request.args.get("which", "open")
    found, more = desk().pairs.page(_STATES.get(which, _STATES["open"]), after(), _PAGE)
    shown = [pair for one in found if (pair := _pair(one)).sides is not None]
    left = desk().pairs.merges_left() if which == "confirmed" and after() is None else []
    return render_template(
        "matches.html",
        pairs=shown,
        left=left,
        more=more,
        which=which if which in _STATES else "open",
        tabs=tuple(_STATES),
    )


@pages.get("/matches/<id_>")
@door.needs(Right.MATCH)
def match(id_: str) -> ResponseReturnValue:
    return _page(_one(id_), named=False)


@pages.post("/matches/<id_>/names")
@door.needs(Right.IDENTITY)
def match_names(id_: str) -> ResponseReturnValue:
    """Both people by name, in every script in which they were written down. The look is in the audit."""
    pair = _one(id_)
    if pair.sides is None:
        abort(403)
    desk().pairs.looked_at([pair.one], door.user().name)
    return _page(pair, named=True)


@pages.post("/matches/<id_>/<any(confirm, rule_out, undo):deed>")
@door.needs(Right.MATCH)
def match_say(id_: str, deed: str) -> ResponseReturnValue:
    """What somebody is sure of, in their name and with their fresh code."""
    _one(id_)
    if proven():
        pairs, who = desk().pairs, door.user().name
        others = {"rule_out": pairs.rule_out, "undo": pairs.undo}
        refused = confirm(desk().flow, id_, who) if deed == "confirm" else others[deed](id_, who)
        flash("act:done" if refused is None else _REFUSED.get(refused, "act:refused"))
    return redirect(url_for("dashboard.match", id_=id_))


def _page(pair: Pair, *, named: bool) -> str:
    return render_template("match.html", pair=pair, named=named)


def _one(id_: str) -> Pair:
    """The pair, for somebody who may speak of it; of people with restrictions a supervisor sees codes alone."""
    one = desk().pairs.one(id_)
    if one is None:
        abort(404)
    user = door.user()
    if not may_speak(sides(desk().flow, one), user.name, user.role):
        abort(404)
    return _pair(one)


def _pair(one: Candidate) -> Pair:
    both = sides(desk().flow, one)
    visible = both if both is not None and seen(both, door.user().name) else None
    return Pair(one, visible, tuple(sentence(code, door.language()) for code in one.reasons))
