"""`silah work` and `silah migrate`: the second tier, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connector.commands.shell import with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline


@click.command()
@with_flow
def work(flow: Pipeline) -> None:
    """Dispatch from PostgreSQL; any number of these may run, on any number of machines."""
    from connector.serving import work_forever

    work_forever(flow, click.echo)


@click.command()
@click.option("--to", "url", required=True, help="The new database: postgresql+psycopg://… or sqlite:///…")
def migrate(url: str) -> None:
    """Copy the whole ledger into another, empty database. Stop every Silah of this configuration first."""
    from rich.console import Console
    from rich.progress import Progress

    from connector import config
    from connector.dispatch.embedded import Lock
    from connector.ledger.database import Database
    from connector.ledger.moving import move

    loaded = config.load(click.get_current_context().find_root().params.get("config"))
    lock = Lock(loaded.at_home(loaded.data_dir))
    lock.take()
    source, to = Database(loaded.database_url), Database(url)
    try:
        with Progress(transient=True, console=Console(stderr=True)) as progress:
            task = progress.add_task("rows", total=None)
            counts = move(source, to, lambda rows: progress.advance(task, rows))
    finally:
        source.close()
        to.close()
        lock.release()
    for table, count in counts.items():
        click.echo(f"{count:>10} {table}")
    click.echo("All rows are there. Now set `database` to the new address, with the same master key.")
