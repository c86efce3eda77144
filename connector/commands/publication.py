"""`silah publication`: what may be shown to everybody is proposed by one person and confirmed by another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, code, plain_time, print_json, print_table, with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline

_as = click.option("--as", "user", required=True, help="The named user; their second factor is asked for.")
_ID = click.argument("id_", metavar="ID")


@click.group()
def publication() -> None:
    """Publishing: the enquirer's own photo and the relation, proposed by one person and confirmed by another."""


@publication.command("list")
@as_json
@with_flow
def list_(flow: Pipeline, json_: bool) -> None:
    """What can be published, what is proposed, what is out, and what has to be taken down."""
    from connector.ledger.releases import publications
    from connector.releasing import publishing

    rows = publications(flow.ledger, publishing(flow))
    if json_:
        print_json([asdict(one) for one in rows])
        return
    cells = [
        [one.id, one.root_id[:8], one.target, one.state + (" (late)" if one.late else ""), one.reason or "",
         one.proposed_by or "", plain_time(one.proposed_at), one.confirmed_by or ""]
        for one in rows
    ]  # fmt: skip
    print_table(["id", "root", "target", "state", "why", "proposed by", "at", "confirmed by"], cells)


@publication.command("show")
@_ID
@with_flow
def show(flow: Pipeline, id_: str) -> None:
    """Exactly what everybody would see. Who looked is in the audit."""
    from connector.ledger.releases import publications
    from connector.previews import look
    from connector.releasing import publishing, unknown_publication

    found = next((one for one in publications(flow.ledger, publishing(flow)) if one.id == id_), None)
    case = flow.ledger.case(found.record_id) if found else None
    if found is None or case is None:
        raise unknown_publication(id_)
    told = look(flow, case, found.target, actor())
    print_json({name: told[name] for name in ("id", "target", "state", "reason", "fields", "attachments")})


@publication.command("propose")
@_ID
@_as
@with_flow
def propose(flow: Pipeline, id_: str, user: str) -> None:
    """Say that it may be published; nothing goes before another person confirms it."""
    from connector import releasing

    _proven(flow, user, lambda: releasing.propose(flow, id_, user))
    click.echo(f"{id_} is proposed by {user}; another person confirms or declines it")


@publication.command("confirm")
@_ID
@_as
@with_flow
def confirm(flow: Pipeline, id_: str, user: str) -> None:
    """Confirm another person's proposal; then it goes."""
    from connector import releasing

    _proven(flow, user, lambda: releasing.confirm(flow, id_, user))
    click.echo(f"{id_} is confirmed by {user}")


@publication.command("decline")
@_ID
@_as
@click.option("--reason", required=True, help="Why; it goes into the audit. No names.")
@with_flow
def decline(flow: Pipeline, id_: str, user: str, reason: str) -> None:
    """Take a proposal back, one's own or another's."""
    from connector import releasing

    _proven(flow, user, lambda: releasing.decline(flow, id_, user, reason))
    click.echo(f"{id_} is not proposed any more")


def _proven(flow: Pipeline, user: str, deed: Callable[[], None]) -> None:
    from connector.ledger.users import Users

    Users(flow.ledger.database, flow.ledger.master, flow.ledger.now).prove(user, code())
    deed()
