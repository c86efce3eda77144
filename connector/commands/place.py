"""`silah user place`: the branch a user works for, the code they write into forms, their accounts on form servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, with_flow
from connector.errors import Refused

if TYPE_CHECKING:
    from connector.pipeline import Pipeline

at_branch = click.option("--branch", help="3 digits of the branch they work for; none: the whole society.")
writing = click.option("--collector", help="The code they write into forms as collector.")
at_server = click.option(
    "--account", multiple=True, metavar="SERVER:ACCOUNT", help="Their account on a form server; may be given again."
)


@click.command()
@click.argument("name")
@at_branch
@writing
@at_server
@click.option("--forget-accounts", is_flag=True, help="Take the accounts that are known away first.")
@with_flow
def place(
    flow: Pipeline,
    name: str,
    branch: str | None,
    collector: str | None,
    account: tuple[str, ...],
    forget_accounts: bool,
) -> None:
    """Say where a user works: nobody releases what they collected themselves, nor for a branch that is not theirs."""
    from connector.ledger.posts import Posts

    held, posts = accounts_of(flow, account), Posts(flow.ledger)
    if forget_accounts:
        posts.forget_accounts(name, actor())
    posts.place(name, actor(), branch=branch, collector=collector, accounts=held)
    post = posts.of(name)
    where = f"branch {post.branch}" if post and post.branch else "the whole society"
    click.echo(f"{name} works for {where}; accounts known: {len(post.accounts) if post else 0}")


def accounts_of(flow: Pipeline, given: Sequence[str]) -> list[tuple[str, str]]:
    """(server, the account as its submissions name it) of `SERVER:ACCOUNT`; raises `Refused`."""
    found = []
    for one in given:
        server, _, account = one.partition(":")
        if server not in flow.servers or not account:
            known = ", ".join(flow.servers) or "none"
            raise Refused("user.bad_account", "`--account`", f"Write SERVER:ACCOUNT; servers here: {known}.")
        names = flow.servers[server].senders(account)
        if not names:
            raise Refused("user.unknown_account", f"an account on {server}", "Look how it is called there.")
        found += [(server, name) for name in names]
    return found
