"""`silah pull`: every configured form of every server, with progress, and the account of where everything is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from connector.errors import Refused, ServerError
from connector.ledger.flow import Account
from connector.model import JSON
from connector.pipeline import Pipeline


def pull_all(
    flow: Pipeline, server: str | None, form: str | None, *, full: bool, accept_gone: bool, console: Console
) -> tuple[list[JSON], list[Account]]:
    """Reconciles what is asked for; (the forms whose server could not be read with the error's code, the accounts)."""
    failed: list[JSON] = []
    accounts: list[Account] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for server_name, form_id in _chosen(flow, server, form):
            task = progress.add_task(f"{server_name} {form_id}", total=None)
            try:
                flow.reconcile(
                    server_name, form_id, full=full, accept_gone=accept_gone, tick=partial(progress.advance, task)
                )
            except ServerError as error:
                console.print(f"{error.code}: {error.where}. {error.next_step}", markup=False)
                failed.append({"server": server_name, "form": form_id, "error": error.code})
            accounts.append(flow.ledger.account(server_name, form_id))
    return failed, accounts


def _chosen(flow: Pipeline, server: str | None, form: str | None) -> Iterator[tuple[str, str]]:
    if server is not None and server not in flow.config.servers:
        raise Refused(
            "pull.unknown_server", f"server {server}", f"Configured: {', '.join(flow.config.servers) or 'none'}."
        )
    found = [
        (name, form_id)
        for name, config in flow.config.servers.items()
        for form_id in config.forms
        if server in {None, name} and form in {None, form_id}
    ]
    if form is not None and not found:
        raise Refused("pull.unknown_form", f"form {form}", "Name it under [servers.<name>.forms].")
    yield from found
