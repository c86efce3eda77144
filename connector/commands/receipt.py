"""`silah receipt`: the copy for the person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, case_of, with_flow
from connector.errors import Refused

if TYPE_CHECKING:
    from connector.papers.page import Language
    from connector.pipeline import Pipeline


@click.command()
@click.argument("root_id")
@click.option(
    "--lang",
    type=click.Choice(["en", "ar", "fa", "fr"]),
    help="The person's language; default: that of the conversation.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here; default: standard output.")
@with_flow
def receipt(flow: Pipeline, root_id: str, lang: Language | None, out: Path | None) -> None:
    """Print for a person what was shared about them, with whom, when and for what; no answers, ready for the printer."""
    from connector.papers.receipt import give

    text = give(flow, case_of(flow, root_id), lang, actor())
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError:
        raise Refused("file.cannot_write", str(out), "Check rights and space there.") from None
    click.echo(str(out))
