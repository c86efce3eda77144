"""`silah`: the command line (contract §5). Every command works beside a running server.

Exit status: 0 done, 1 refused or something is wrong, 2 the configuration cannot be used, 3 (pull) something is missing or parked.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.table import Column, Table

from connector.commands.backup import backup, restore
from connector.commands.bases import bases
from connector.commands.erase import erase
from connector.commands.forms import forms
from connector.commands.match import match
from connector.commands.partner import partner
from connector.commands.password import password
from connector.commands.phone import phone
from connector.commands.place import accounts_of, at_branch, at_server, place, writing
from connector.commands.policy import policy
from connector.commands.publication import publication
from connector.commands.purge import purge
from connector.commands.receipt import receipt
from connector.commands.referral import referral
from connector.commands.report import report
from connector.commands.second_tier import migrate, work
from connector.commands.shell import case_of, code
from connector.errors import KeyUnavailable, Misconfigured, Refused, SilahError
from forms.errors import FormError

if TYPE_CHECKING:
    from connector.ledger.flow import Account, QueueRow
    from connector.ledger.users import Users
    from connector.model import JSON
    from connector.pipeline import Pipeline

P = ParamSpec("P")
R = TypeVar("R")

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)
_ID_WIDTH = 27  # an id that is cut cannot be typed
_CONFIG: list[Path | None] = [None]

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


class _Group(click.Group):
    """Turns our errors into one line and an exit status."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except (Misconfigured, KeyUnavailable) as error:
            _err.print(f"[bold]{error.code}[/]: {error.where}. {error.next_step}", markup=True)
            sys.exit(2)
        except (SilahError, FormError) as error:
            _err.print(f"[bold]{error.code}[/]: {error.where}. {error.next_step}", markup=True)
            sys.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", type=click.Path(path_type=Path), help="The configuration; default: SILAH_CONFIG, else silah.toml here."
)
@click.option("-v", "--verbose", is_flag=True, help="Tell more of what happens (never personal data).")
@click.version_option(package_name="silah")
def main(config: Path | None, verbose: bool) -> None:
    """Silah: Restoring Family Links on the form servers that humanitarian teams already run."""
    _CONFIG[0] = config
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("urllib3", "waitress.queue"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


@contextmanager
def _pipeline() -> Iterator[Pipeline]:
    from connector import config
    from connector.app import assemble

    flow = assemble(config.load(_CONFIG[0]))
    try:
        yield flow
    finally:
        flow.ledger.database.close()


def _with_pipeline(command: Callable[P, R]) -> Callable[P, R]:
    """The command's first argument is the assembled flow."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _pipeline() as flow:
            return command(flow, *args, **kwargs)  # type: ignore[arg-type] # click passes the rest by keyword

    return run


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _actor() -> str:
    return f"cli:{getuser()}"


# Setting up


@main.command()
@click.option(
    "--society", prompt="Code of your society (for example SY-RC)", help="Code of the society that runs this Silah."
)
@click.option(
    "--server", prompt="Address of your KoboToolbox server", default="https://kf.kobotoolbox.org", help="Its address."
)
@click.option(
    "--asset",
    prompt="Asset uid of the tracing request there (empty: later)",
    default="",
    help="Asset uid of tracing_request.",
)
@click.option(
    "--target",
    prompt="Address of the system that receives records (empty: later)",
    default="",
    help="Address of a rest target.",
)
def init(society: str, server: str, asset: str, target: str) -> None:
    """Ask a few questions, then write a silah.toml and keys."""
    from connector.config import config_path
    from connector.setup import write_configuration

    for line in write_configuration(config_path(_CONFIG[0]), society, server, asset, target):
        click.echo(line)


@main.group(cls=_Group)
def keys() -> None:
    """The master key."""


@keys.command("new")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to; default: `master_key_file` of the configuration."
)
def keys_new(out: Path | None) -> None:
    """Make a master key and print its recovery sheet; an existing key is never written over."""
    from connector import config, setup

    if out is None:
        configured = config.load(_CONFIG[0], secrets=False)
        if configured.master_key_file is None:
            raise Refused(
                "keys.no_file", f"`master_key_file` in {configured.path}", "Name a file there, or give --out."
            )
        out = configured.at_home(configured.master_key_file)
    for line in setup.new_key(out):
        click.echo(line)


@keys.command("rotate")
@click.option("--finish", is_flag=True, help="Only wrap anew what an older key wrapped (keys that are not in a file).")
@_with_pipeline
def keys_rotate(flow: Pipeline, finish: bool) -> None:
    """Replace the master key and wrap everything with the new one; a running server goes on."""
    from connector.setup import finish_rotation, rotate_key

    told = finish_rotation(flow.ledger, _actor()) if finish else rotate_key(flow.config, flow.ledger, _actor())
    for line in told:
        click.echo(line)


@keys.command("confirm")
@_with_pipeline
def keys_confirm(flow: Pipeline) -> None:
    """Say that the recovery sheet is in the safe: type the key from the paper (or one line on standard input)."""
    from connector.setup import confirm_sheet

    typed = (
        click.prompt("The key, as it stands on the sheet", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    )
    confirm_sheet(flow.ledger, str(typed), _actor())
    click.echo(f"The recovery sheet of master key {flow.ledger.master.key_id} is confirmed.")


@main.command()
@as_json
def check(json_: bool) -> None:
    """Look at everything that has to work: configuration, keys, databases, servers, targets, forms."""
    from connector import config
    from connector.doctor import examine

    findings = examine(config.load(_CONFIG[0]))
    if json_:
        _print_json([asdict(one) for one in findings])
    else:
        _out.print(
            _table(
                "",
                ["", "what", "code", "what to do"],
                [["ok" if f.ok else "[red]wrong[/]", f.what, f.code, f.next_step] for f in findings],
            )
        )
    sys.exit(0 if all(one.ok for one in findings) else 1)


# Running


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--no-dispatch", is_flag=True, help="Web and webhooks alone; nothing is sent or pulled.")
def serve(host: str, port: int, no_dispatch: bool) -> None:
    """Web, webhooks and, on the embedded tier, the dispatcher in one process (with PostgreSQL `silah work` dispatches)."""
    from connector.serving import serve_forever

    with _pipeline() as flow:
        serve_forever(flow, host, port, dispatch=not no_dispatch, say=click.echo)


@main.command()
@click.option("--port", default=8080, show_default=True, help="Port of the dashboard; 0 for any.")
@click.option("--exit-when-done", is_flag=True, help="Stop after the story was told.")
def sandbox(port: int, exit_when_done: bool) -> None:
    """A form server, targets and filled-in requests to try Silah with; nothing of it is real."""
    from connector.sandbox.demo import run

    run(port, console=_out, keep_running=not exit_when_done)


@main.command()
@click.argument("server", required=False)
@click.option("--form", help="Only this form.")
@click.option("--full", is_flag=True, help="Read every submission again.")
@click.option("--accept-gone", is_flag=True, help="Take what a stopped sweep missed as gone.")
@as_json
@_with_pipeline
def pull(flow: Pipeline, server: str | None, form: str | None, full: bool, accept_gone: bool, json_: bool) -> None:
    """Compare the servers' whole lists with what is here, and keep what is new, edited or gone. Sends nothing itself."""
    from connector.pulling import pull_all

    failed, accounts = pull_all(flow, server, form, full=full, accept_gone=accept_gone, console=_err)
    if json_:
        _print_json({"forms": [_account(one) for one in accounts], "total": _total(accounts), "failed": failed})
    else:
        for one in accounts:
            _out.print(
                _account_line(f"{one.server} {one.form}: ", _account(one))
                + (f" (stopped: {one.stopped})" if one.stopped else "")
            )
        _out.print(_account_line("", _total(accounts)))
    if any(one.missing or one.parked or one.stopped for one in accounts):
        sys.exit(3)
    sys.exit(1 if failed else 0)


def _account(one: Account) -> dict[str, JSON]:
    told: dict[str, JSON] = {"server": one.server, "form": one.form, **_numbers(one)}
    return {**told, "stopped": one.stopped} if one.stopped else told


def _numbers(one: Account) -> dict[str, int]:
    names = ("on_server", "here", "delivered", "withheld", "waiting", "parked", "missing")
    return {name: getattr(one, name) for name in names}


def _total(accounts: Sequence[Account]) -> dict[str, JSON]:
    names = ("on_server", "here", "delivered", "withheld", "waiting", "parked", "missing")
    return {name: sum(_numbers(one)[name] for one in accounts) for name in names}


def _account_line(head: str, told: dict[str, JSON]) -> str:
    names = ("on_server", "here", "delivered", "withheld", "waiting", "parked", "missing")
    return head + " · ".join(f"{name.replace('_', ' ')} {told[name]}" for name in names)


# The queue


@main.group(cls=_Group)
def queue() -> None:
    """Deliveries, and what is stuck."""


@queue.command("list")
@click.option("--state", multiple=True, help="Only these: due, waiting, withheld, held, delivered, parked, discarded.")
@click.option("--target", help="Only this target's.")
@as_json
@_with_pipeline
def queue_list(flow: Pipeline, state: tuple[str, ...], target: str | None, json_: bool) -> None:
    """Every delivery, and every submission that could not be read."""
    rows = flow.ledger.queue(state, target)
    if json_:
        _print_json([_row(one) for one in rows])
        return
    cells = [
        [
            r.id,
            r.root_id[:8],
            r.form,
            r.target or "",
            r.action,
            r.state,
            str(r.attempts),
            r.error or "",
            _plain_time(r.next_at),
        ]
        for r in rows
    ]
    _out.print(_table("", ["id", "root", "form", "target", "action", "state", "attempts", "error", "next"], cells))
    for name, reason in flow.ledger.paused().items():
        _out.print(f"{name} is paused: {reason}")


def _row(one: QueueRow) -> dict[str, object]:
    keys_ = ("id", "root_id", "form", "target", "action", "state", "attempts", "error", "next_at")
    return {name: getattr(one, name) for name in keys_}


def _plain_time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%SZ") if value else ""


@queue.command("show")
@click.argument("id_", metavar="ID")
@as_json
@_with_pipeline
def queue_show(flow: Pipeline, id_: str, json_: bool) -> None:
    """One delivery: its attempts, and what the target dropped."""
    row = next((one for one in flow.ledger.queue() if one.id == id_), None)
    if row is None:
        raise _unknown_delivery(id_)
    attempts = [{"at": at, "outcome": outcome, "status": status} for at, outcome, status in flow.ledger.history(id_)]
    told = {**_row(row), "version": row.version, "status": row.status, "dropped": list(row.dropped), "tries": attempts}
    if json_:
        _print_json(told)
        return
    for name, value in told.items():
        if name != "tries":
            _out.print(f"{name}: {_plain_time(value) if isinstance(value, datetime) else value}")
    _out.print(
        _table(
            "",
            ["at", "outcome", "status"],
            [[_plain_time(at), outcome, str(status or "")] for at, outcome, status in flow.ledger.history(id_)],
        )
    )


def _unknown_delivery(id_: str) -> Refused:
    from connector.releasing import unknown

    return unknown(id_)


@queue.command("replay")
@click.argument("ids", nargs=-1, required=True)
@_with_pipeline
def queue_replay(flow: Pipeline, ids: tuple[str, ...]) -> None:
    """Make deliveries due again, with the key they have; read a parked submission again."""
    for one in ids:
        if not flow.ledger.replay(one, _actor()):
            raise _unknown_delivery(one)
        click.echo(f"{one} is due again")


@queue.command("release")
@click.argument("id_", metavar="ID")
@click.option("--as", "user", required=True, help="The named user who releases it.")
@_with_pipeline
def queue_release(flow: Pipeline, id_: str, user: str) -> None:
    """Release a waiting delivery by name; asks for that user's second factor (on standard input when there is no terminal)."""
    from connector.releasing import release

    _users(flow).prove(user, code())
    release(flow, id_, user)
    click.echo(f"{id_} was released by {user}")


@queue.command("discard")
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, help="Why; it goes into the audit. No names.")
@_with_pipeline
def queue_discard(flow: Pipeline, id_: str, reason: str) -> None:
    """Give a delivery up."""
    if not flow.ledger.discard(id_, reason, _actor()):
        raise _unknown_delivery(id_)
    click.echo(f"{id_} was discarded")


@queue.command("pause")
@click.argument("target")
@click.option("--reason", default="", help="Why; it goes into the audit.")
@_with_pipeline
def queue_pause(flow: Pipeline, target: str, reason: str) -> None:
    """Send nothing to a target until `resume`; nothing is lost."""
    _known_target(flow, target)
    flow.ledger.pause(target, reason, _actor(), paused=True)
    click.echo(f"{target} is paused")


@queue.command("resume")
@click.argument("target")
@_with_pipeline
def queue_resume(flow: Pipeline, target: str) -> None:
    """Go on sending to a target."""
    _known_target(flow, target)
    flow.ledger.pause(target, "", _actor(), paused=False)
    click.echo(f"{target} goes on")


def _known_target(flow: Pipeline, target: str) -> None:
    if target not in flow.targets:
        raise Refused("target.unknown", f"target {target}", f"Configured: {', '.join(flow.targets) or 'none'}.")


# One record


@main.command()
@click.argument("root_id")
@click.option("--target", required=True)
@as_json
@_with_pipeline
def preview(flow: Pipeline, root_id: str, target: str, json_: bool) -> None:
    """Exactly what a target would receive of a submission, and why the rest is held back."""
    from connector.previews import look

    _known_target(flow, target)
    told = look(flow, case_of(flow, root_id), target, _actor())
    if json_:
        _print_json(told)
        return
    _out.print(f"state: {told['state']}" + (f" ({told['reason']})" if told["reason"] else ""))
    _out.print_json(json.dumps(told["fields"], ensure_ascii=False))
    if told.get("warnings"):
        _out.print(f"warning: matching.likely_duplicate: see `silah match --record {root_id}`")
    dropped = told.get("dropped", [])
    if dropped is None or dropped:
        _out.print(
            f"would be dropped there: {', '.join(map(str, dropped)) if isinstance(dropped, list) else 'it did not answer'}"
        )
    held = told["held_back"]
    _out.print(
        _table(
            "held back",
            ["question", "why"],
            [[name, why] for name, why in held.items()] if isinstance(held, dict) else [],
        )
    )


@main.command()
@click.argument("root_id")
@click.option(
    "--recipient", help="A class of recipients (icrc), one of them (ngo:CODE) or a target; default: everyone."
)
@click.option("--reason", required=True, help="A code or a few words without names; it goes into the audit.")
@_with_pipeline
def withdraw(flow: Pipeline, root_id: str, recipient: str | None, reason: str) -> None:
    """Take consent back: stop what is queued, and tell whoever holds the record to remove it."""
    told = flow.withdraw(case_of(flow, root_id), recipient, reason, _actor())
    click.echo(f"withdrawn; told to remove it: {', '.join(told) or 'nobody had it'}")


@main.command()
def schema() -> None:
    """Print the JSON Schema of every kind of record."""
    from connector.transforms.registry import schemas

    _print_json(schemas())


# Audit and users


@main.group(cls=_Group)
def audit() -> None:
    """The append-only record of who released what to whom."""


@audit.command("verify")
@click.option(
    "--checkpoint",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of `audit checkpoint`, kept elsewhere; may be given again.",
)
@_with_pipeline
def audit_verify(flow: Pipeline, files: tuple[Path, ...]) -> None:
    """Check the whole chain; exit status 1 when a row was edited, removed or moved."""
    from connector.ledger import checkpoints
    from connector.ledger.audit import verify
    from connector.referrals.exchange import exchange_of

    own = exchange_of(flow.config, flow.ledger).keys.fingerprint if files else ""
    signed = [one for file in files for one in checkpoints.read(file.read_text(encoding="utf-8"), str(file))]
    with flow.ledger.database.reading() as connection:
        rows, bad = verify(connection)
        for one in signed:
            checkpoints.verify(connection, one, own)
    if bad is not None:
        raise Refused("audit.broken", f"row {bad} of the audit", "Compare with a backup or an exported checkpoint.")
    click.echo(f"{rows} rows fit their chain" + (f" and {len(signed)} checkpoints" if signed else ""))


@audit.command("checkpoint")
@click.option("--out", type=click.Path(path_type=Path), help="Add it as a line to this file; default: print it.")
@_with_pipeline
def audit_checkpoint(flow: Pipeline, out: Path | None) -> None:
    """Sign how the audit stands now. Keep it where nobody of this machine can change it."""
    from connector.ledger import checkpoints
    from connector.referrals.exchange import exchange_of

    keys_ = exchange_of(flow.config, flow.ledger).keys
    with flow.ledger.database.reading() as connection:
        made = checkpoints.make(connection, keys_, flow.config.society, flow.ledger.now())
    if out is None:
        click.echo(made.model_dump_json())
        return
    with out.open("a", encoding="utf-8") as file:
        file.write(made.model_dump_json() + "\n")
    click.echo(f"row {made.seq} is signed in {out}")


@audit.command("export")
@_with_pipeline
def audit_export(flow: Pipeline) -> None:
    """Print every row, one JSON object a line."""
    from connector.ledger.audit import export

    with flow.ledger.database.reading() as connection:
        for row in export(connection):
            click.echo(json.dumps(row, ensure_ascii=False))


def _users(flow: Pipeline) -> Users:
    from connector.ledger.users import Users

    return Users(flow.ledger.database, flow.ledger.master, flow.ledger.now)


@main.group(cls=_Group)
def user() -> None:
    """Named users who may release."""


@user.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["case_worker", "supervisor", "headquarters", "dpo", "admin"]), default="case_worker"
)
@at_branch
@writing
@at_server
@as_json
@_with_pipeline
def user_add(
    flow: Pipeline,
    name: str,
    role: str,
    branch: str | None,
    collector: str | None,
    account: tuple[str, ...],
    json_: bool,
) -> None:
    """Add a user; prints the address for their authenticator, once."""
    from connector.ledger.posts import Posts

    held = accounts_of(flow, account)
    uri = _users(flow).add(name, role, _actor())
    if branch or collector or held:
        Posts(flow.ledger).place(name, _actor(), branch=branch, collector=collector, accounts=held)
    if json_:
        secret = uri.partition("secret=")[2].partition("&")[0]
        _print_json({"name": name, "role": role, "otpauth": uri, "secret": secret})
    else:
        click.echo(f"{name} was added. Put this into their authenticator now; it is not shown again:\n{uri}")


@user.command("disable")
@click.argument("name")
@_with_pipeline
def user_disable(flow: Pipeline, name: str) -> None:
    """Take a user's right to release away."""
    _users(flow).disable(name, _actor())
    click.echo(f"{name} is disabled")


@user.command("list")
@as_json
@_with_pipeline
def user_list(flow: Pipeline, json_: bool) -> None:
    """Who may release."""
    everyone = _users(flow).all()
    if json_:
        _print_json([asdict(one) for one in everyone])
    else:
        _out.print(
            _table(
                "",
                ["name", "role", "disabled"],
                [[one.name, one.role, "yes" if one.disabled else ""] for one in everyone],
            )
        )


main.add_command(erase)
main.add_command(purge)
main.add_command(receipt)
main.add_command(policy)
audit.add_command(bases)
main.add_command(work)
main.add_command(migrate)
main.add_command(backup)
main.add_command(restore)
main.add_command(match)
main.add_command(referral)
user.add_command(password)
user.add_command(place)
main.add_command(phone)
main.add_command(publication)
main.add_command(partner)
main.add_command(report)


# Forms, names, encrypted submissions: nothing of these needs a configuration


main.add_command(forms)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--key", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The private key (PEM)."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where the opened submission is written.")
@click.option("--passphrase-env", help="The variable that holds the key's passphrase.")
def decrypt(folder: Path, key: Path, out: Path, passphrase_env: str | None) -> None:
    """Open one ODK-encrypted submission as it was downloaded; writes everything, or nothing."""
    from connector import config
    from connector.servers.odk_encryption import open_folder

    passphrase = config.environment(passphrase_env) if passphrase_env else None
    if passphrase_env and not passphrase:
        raise Misconfigured("config.missing_secret", f"--passphrase-env {passphrase_env}", "Set that variable.")
    open_folder(folder, key, out, passphrase)
    click.echo(str(out))


@main.group(cls=_Group)
def names() -> None:
    """Names across scripts."""


@names.command("score")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def names_score(file: Path) -> None:
    """One score 0..1 for each line of two names with a tab between."""
    from connector.matching import score_file

    for score in score_file(file):
        click.echo(f"{score:.4f}")


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    columns = [
        Column(name, overflow="fold", no_wrap=name == "id", min_width=_ID_WIDTH if name == "id" else None)
        for name in head
    ]
    table = Table(*columns, title=title or None, box=None, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
