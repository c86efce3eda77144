"""`silah audit bases`: records that rest on another basis than consent."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from connector.commands.shell import as_json, print_json, print_table, with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline

_HEAD = ("basis", "form", "month", "branch", "approver", "complete", "records")


@click.command()
@as_json
@with_flow
def bases(flow: Pipeline, *, json_: bool) -> None:
    """Count the records that rest on another basis than consent, by codes alone. Small counts: for the officer."""
    from connector.bases import bases as counted

    found = counted(flow.ledger)
    if json_:
        rows = [{**asdict(what), "records": count} for what, count in found.counts]
        print_json({"counts": rows, "looked_at": found.looked_at, "unreadable": found.unreadable})
        return
    print_table(_HEAD, [(*asdict(what).values(), str(count)) for what, count in found.counts])
    click.echo(f"{found.looked_at} records looked at, {found.unreadable} could not be opened")
