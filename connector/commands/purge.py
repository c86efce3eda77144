"""`silah purge`: let go what has been kept long enough."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, print_json, with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline

_WHAT = {
    "papers": "submissions out of which papers were taken",
    "answers": "submissions whose answers as read were emptied",
    "withdrawn": "withdrawn submissions erased",
    "attempts": "attempts of ended deliveries",
    "receipts": "receipts of followed webhooks",
    "spool": "files left in the spool",
    "on_server": "submissions deleted on a form server",
    "referrals": "finished referrals that no longer say who",
    "links": "links for answers that had ended",
}


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@as_json
@with_flow
def purge(flow: Pipeline, dry_run: bool, json_: bool) -> None:
    """Let go what has been kept long enough, by `[retention]`; `serve` does it on a timer."""
    from connector.purging import purge as purge_all

    counts = asdict(purge_all(flow, actor(), dry_run=dry_run))
    if json_:
        print_json(counts)
        return
    for name, count in counts.items():
        click.echo(f"{count:>8} {_WHAT[name]}")
    if dry_run:
        click.echo("Nothing was changed.")
