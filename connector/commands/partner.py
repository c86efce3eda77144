"""`silah partner`: this node for others, and the others for this node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, print_json, print_table, read_object, with_exchange, with_flow

if TYPE_CHECKING:
    from connector.ledger.referrals import Partner
    from connector.pipeline import Pipeline
    from connector.referrals.exchange import Exchange

_DUTY = click.option("--duty-number", help="The number of its duty desk: emergencies begin with a call.")
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
@_DUTY
@click.option(
    "--recipient", type=click.Choice(["authorities"]), help="authorities: a referral there waits for two named users."
)
@as_json
@with_exchange
def add(exchange: Exchange, file: Path, name: str, duty_number: str | None, recipient: str | None, json_: bool) -> None:
    """Pair with the node that FILE exports; read the fingerprint aloud to somebody you know there."""
    _proper(name, "--name")
    added = exchange.pair(read_object(file), name, duty_number, actor(), recipient)
    if json_:
        print_json({"name": added.name, "url": _url(added), "fingerprint": added.fingerprint})
        return
    click.echo(f"{added.name} at {_url(added)} was added. Its fingerprint, to be compared aloud:\n{added.fingerprint}")
    click.echo(f"Ours, for them to compare:\n{exchange.keys.fingerprint}")


@partner.command("by-hand")
@click.argument("name")
@click.option("--key", "keys", multiple=True, required=True, help="Its age key, age1…; several may be given.")
@click.option("--folder", required=True, help="Where its encrypted files are put; relative to silah.toml.")
@click.option("--language", type=click.Choice(["en", "ar", "fa", "fr"]), default="en", show_default=True)
@_DUTY
@click.option(
    "--recipient", type=click.Choice(["authorities"]), help="authorities: a referral there waits for two named users."
)
@with_exchange
def by_hand(
    exchange: Exchange,
    name: str,
    keys: tuple[str, ...],
    folder: str,
    language: str,
    duty_number: str | None,
    recipient: str | None,
) -> None:
    """Add a partner without a system: it receives encrypted files and answers on a form or by a link."""
    from connector.ledger.referrals import Terms
    from connector.referrals.byhand import age_key

    _proper(name, "NAME")
    for key in keys:
        age_key(key)
    exchange.referrals.add_by_hand(name, Terms(recipient, keys, folder, language), duty_number, actor())
    click.echo(f"{name} was added. Its files are put into {folder}.")


def _proper(name: str, where: str) -> None:
    import re

    from connector.errors import Refused

    if not re.fullmatch(_NAME, name):
        raise Refused("partner.bad_name", where, "Letters, digits, dots, hyphens and underscores; at most 64.")


def _url(partner_: Partner) -> str:
    return partner_.node.url if partner_.node else ""


@partner.command("list")
@as_json
@with_exchange
def list_(exchange: Exchange, json_: bool) -> None:
    """The nodes that we exchange referrals with."""
    everyone = exchange.referrals.partners()
    if json_:
        print_json(
            [
                {"name": one.name, "url": _url(one), "fingerprint": one.fingerprint, "duty_number": one.duty_number}
                for one in everyone
            ]
        )
        return
    print_table(
        ["name", "address", "fingerprint", "duty"],
        [[one.name, _url(one) or "by hand", one.fingerprint, one.duty_number or ""] for one in everyone],
    )


@partner.command("report")
@click.argument("name")
@click.option("--month", required=True, help="The month, 2026-10; it must be over.")
@click.option("--service", "services", multiple=True, help="Only services that begin so: referral. service_delivery.")
@with_flow
def report(flow: Pipeline, name: str, month: str, services: tuple[str, ...]) -> None:
    """Send a month's counts to a partner: without identity, small cells hidden, signed and encrypted."""
    from connector.referrals.exchange import exchange_of
    from connector.referrals.reports import CountRow
    from connector.reporting import month_of

    found = month_of(flow.config, flow.ledger, month)
    rows = [
        CountRow.model_validate({field: getattr(row, field) for field in CountRow.model_fields})
        for row in found.rows
        if not services or row.service.startswith(services)
    ]
    exchange_of(flow.config, flow.ledger).report(name, month, rows, actor())
    click.echo(f"{len(rows)} counts of {month} go to {name}; {sum(row.count is None for row in rows)} are hidden")


@partner.command("reports")
@click.option("--month", help="Of this month alone, 2026-10.")
@as_json
@with_exchange
def reports(exchange: Exchange, month: str | None, json_: bool) -> None:
    """The counts that were exchanged with partners."""
    found = exchange.reports.all(month)
    if json_:
        print_json(
            [
                {
                    "partner": one.partner, "direction": one.direction, "period": one.period, "state": one.state,
                    "error": one.error, "at": one.at, "rows": [row.model_dump() for row in one.rows],
                }
                for one in found
            ]
        )  # fmt: skip
        return
    for one in found:
        way = "to" if one.direction == "out" else "from"
        click.echo(f"{one.period} {way} {one.partner}: {one.state} {one.error or ''}".rstrip())
        print_table(
            ["branch", "service", "counted as", "sex", "age", "count"],
            [
                [
                    row.branch,
                    row.service,
                    row.unit,
                    row.sex,
                    row.age_group,
                    "hidden" if row.count is None else str(row.count),
                ]
                for row in one.rows
            ],
        )
