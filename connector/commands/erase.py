"""`silah erase`: forget a submission for good."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, case_of, print_json, print_table, with_flow

if TYPE_CHECKING:
    from connector.pipeline import Pipeline


@click.command()
@click.argument("root_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@with_flow
def erase(flow: Pipeline, root_id: str, yes: bool, json_: bool) -> None:
    """Forget a submission for good: destroy its key, remove what is here, tell whoever holds it; says what stays."""
    from connector.erasing import erase as erase_case

    case = case_of(flow, root_id)
    if case.state != "erased" and sys.stdin.isatty() and not yes:
        click.confirm("This cannot be undone. Erase it?", abort=True)
    standings = erase_case(flow, case, actor())
    if json_:
        print_json([asdict(one) for one in standings])
    else:
        print_table(["holder", "state", ""], [[one.holder, one.state, one.note] for one in standings])
