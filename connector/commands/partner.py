"""`silah partner`: this node for others, and the others for this node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, print_json, print_table, read_object, with_exchange

if TYPE_CHECKING:
    from connector.referrals.exchange import Exchange

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


@click.group()
def partner() -> None:
    """Nodes that we exchange referrals with."""


@partner.command("export")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as without it.")
@with_exchange
def export(exchange: Exchange) -> None:
    """Print this node's address, public keys and fingerprint: the file that a partner adds. Nothing in it is secret."""
    from connector.referrals.node import public_json

    print_json(public_json(exchange.export()))


@partner.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="What we call this partner; consent names it so.")
@click.option("--duty-number", help="The number of its duty desk: emergencies begin with a call.")
@as_json
@with_exchange
def add(exchange: Exchange, file: Path, name: str, duty_number: str | None, json_: bool) -> None:
    """Pair with the node that FILE exports; read the fingerprint aloud to somebody you know there."""
    import re

    from connector.errors import Refused

    if not re.fullmatch(_NAME, name):
        raise Refused("partner.bad_name", "--name", "Letters, digits, dots, hyphens and underscores; at most 64.")
    added = exchange.pair(read_object(file), name, duty_number, actor())
    if json_:
        print_json({"name": added.name, "url": added.node.url, "fingerprint": added.fingerprint})
        return
    click.echo(
        f"{added.name} at {added.node.url} was added. Its fingerprint, to be compared aloud:\n{added.fingerprint}"
    )
    click.echo(f"Ours, for them to compare:\n{exchange.keys.fingerprint}")


@partner.command("list")
@as_json
@with_exchange
def list_(exchange: Exchange, json_: bool) -> None:
    """The nodes that we exchange referrals with."""
    everyone = exchange.referrals.partners()
    if json_:
        print_json(
            [
                {"name": one.name, "url": one.node.url, "fingerprint": one.fingerprint, "duty_number": one.duty_number}
                for one in everyone
            ]
        )
        return
    print_table(
        ["name", "address", "fingerprint", "duty"],
        [[one.name, one.node.url, one.fingerprint, one.duty_number or ""] for one in everyone],
    )
