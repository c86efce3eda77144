"""The page of forms and servers: what is deployed where, and what the doctor finds. Publishing is on the command line."""

from __future__ import annotations

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from connector.dashboard import session as door
from connector.dashboard.blueprint import pages
from connector.dashboard.desk import desk
from connector.dashboard.roles import Right


@pages.get("/servers")
@door.needs(Right.SERVERS)
def servers() -> ResponseReturnValue:
    rounds = desk().rounds
    return render_template("servers.html", found=rounds.newest, going=rounds.going, now=desk().ledger.now())


@pages.post("/servers/look")
@door.needs(Right.SERVERS)
def servers_look() -> ResponseReturnValue:
    """Begins a look at every server and target; the page shows what was found when it is through."""
    desk().rounds.start()
    return redirect(url_for("dashboard.servers"))
