"""`silah backup` and `silah restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, plain_time, with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_flow
def backup(flow: Pipeline, file: Path) -> None:
    """Write everything that is kept into one encrypted FILE, beside a running server, and open it to see that it opens."""
    from connector.backup import backup as back_up

    done = back_up(flow.config, flow.ledger, file, actor())
    click.echo(
        f"{done.file}: {done.size} bytes, verified. It opens with the master key {flow.ledger.master.key_id} alone."
    )


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--taken-back",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The list of what was taken back; default: taken-back.txt in the data directory.",
)
def restore(file: Path, taken_back: Path | None) -> None:
    """Put the ledger in FILE into its place; an existing one is never written over."""
    from connector import config
    from connector.backup import restore as put_back

    loaded = config.load(click.get_current_context().find_root().params.get("config"))
    done = put_back(loaded, file, taken_back, actor())
    click.echo(f"Restored as of {plain_time(done.made_at)}. Run `silah pull` to read what came since.")
    click.echo(f"Taken back since: {done.erased} erased again, {done.withdrawn} withdrawn again.")
    if done.paused:
        click.echo(f"No list of what was taken back was there, so these targets are paused: {', '.join(done.paused)}.")
        click.echo("Repeat every erasure and withdrawal since, then `silah queue resume TARGET`.")
