"""`silah phone lost`: what to do at once when a telephone is lost, stolen or taken away."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, plain_time, print_json, print_table, with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline


@click.group()
def phone() -> None:
    """Telephones of collectors."""


@phone.command("lost")
@click.argument("name")
@click.option("--server", help="Only this form server; default: all.")
@as_json
@with_flow
def lost(flow: Pipeline, name: str, server: str | None, json_: bool) -> None:
    """Take the account NAME's way in to the form servers, and list what was sent from it.

    NAME is the user name on KoboToolbox, the name of the app user or the e-mail of the web user on ODK Central.
    """
    from connector.lost_phone import report

    told = report(flow, name, server, actor())
    if json_:
        print_json(asdict(told))
        return
    for one in told.servers:
        click.echo(f"{one.server}: {one.words}")
        for open_ in one.left:
            click.echo(f"  still open: {open_.code}: {open_.words}")
    print_table(
        ["root id", "form", "case code", "state", "received"],
        [[one.root_id, one.form, one.case_code or "", one.state, plain_time(one.first_at)] for one in told.sent],
    )
    click.echo(f"{len(told.sent)} submissions of this account are known here.")
    click.echo("What this cannot do:")
    for line in told.cannot:
        click.echo(f"  - {line}")
