"""What the commands share: the flow or the exchange of the configuration, JSON, tables."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from connector.errors import Refused

if TYPE_CHECKING:
    from connector.ledger.flow import Case
    from connector.pipeline import Pipeline

P = ParamSpec("P")
R = TypeVar("R")
_MOST_FILE = 1 << 20
_PIPED_WIDTH = 200

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


def with_exchange(command: Callable[P, R]) -> Callable[P, R]:
    """The command's first argument is the exchange of the configuration that `silah --config` names."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from connector import config
        from connector.app import open_ledger
        from connector.referrals.exchange import exchange_of

        loaded = config.load(click.get_current_context().find_root().params.get("config"))
        ledger = open_ledger(loaded)
        try:
            return command(exchange_of(loaded, ledger), *args, **kwargs)  # type: ignore[arg-type] # click passes the rest by keyword
        finally:
            ledger.database.close()

    return run


def with_flow(command: Callable[P, R]) -> Callable[P, R]:
    """The command's first argument is the flow of the configuration that `silah --config` names."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from connector import config
        from connector.app import assemble

        flow = assemble(config.load(click.get_current_context().find_root().params.get("config")))
        try:
            return command(flow, *args, **kwargs)  # type: ignore[arg-type] # click passes the rest by keyword
        finally:
            flow.ledger.database.close()

    return run


def case_of(flow: Pipeline, root_id: str) -> Case:
    """The submission that *root_id* names, with or without `uuid:`; raises `Refused`."""
    from connector.model import bare_uuid

    case = flow.ledger.case(bare_uuid(root_id))
    if case is None:
        advice = "Give `meta/rootUuid` of a submission that has been pulled."
        raise Refused("record.unknown", f"root id {root_id}", advice)
    return case


def code() -> str:
    """The second factor of whoever is named: asked for, or one line on standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Second factor (6 digits)", hide_input=True)).strip()
    return sys.stdin.readline().strip()


def read_object(file: Path) -> Mapping[str, object]:
    """The JSON object in *file*; raises `Refused`, which tells nothing of its contents."""
    advice = "It is one JSON object in UTF-8, of at most 1 MB."
    try:
        data = json.loads(file.read_bytes()) if file.stat().st_size <= _MOST_FILE else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Refused("file.not_an_object", str(file), advice)
    return data


def actor() -> str:
    """Who works at this terminal, for the audit; never sent to a partner."""
    return f"cli:{getuser()}"


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH  # nothing is cut in a file
    console.print(table)


def plain_time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%SZ") if value else ""
