"""`silah user password`: what a person signs in to the dashboard with, beside the second factor."""

from __future__ import annotations

import sys

import click

from connector.commands.shell import actor


@click.command()
@click.argument("name")
def password(name: str) -> None:
    """Set a user's password for the dashboard and end their sessions; asked for, or one line on standard input."""
    from connector import config
    from connector.app import open_ledger
    from connector.ledger.sign_in import SignIn
    from connector.ledger.users import Users

    given = _ask() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    ledger = open_ledger(config.load(click.get_current_context().find_root().params.get("config")))
    try:
        users = Users(ledger.database, ledger.master, ledger.now)
        SignIn(ledger.database, users, ledger.now).set_password(name, given, actor())
    finally:
        ledger.database.close()
    click.echo(f"{name} has a new password")


def _ask() -> str:
    return str(click.prompt("Password (12 characters or more)", hide_input=True, confirmation_prompt=True))
