"""`silah forms`: compiling, checking, publishing, taking edits back, paper, phone settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import as_json, print_json, print_table

if TYPE_CHECKING:
    from connector.config import Config, Server
    from connector.publishing import Plan, Publisher, Standing
    from forms.errors import Finding

_SHOWN = 40


@click.group()
def forms() -> None:
    """The forms that volunteers fill in."""


def _pack(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str:
    """The pack that was named, else that of silah.toml, else the forms as they are."""
    from connector import config
    from forms.packs import DEMO

    if given:
        return given
    path = config.config_path(_root_option())
    return config.load(path, secrets=False).pack if path.is_file() else DEMO


_PACK = click.option(
    "--pack",
    callback=_pack,
    metavar="NAME",
    help="The country pack laid over the forms; default: `pack` of silah.toml.",
)


@forms.command("build")
@click.argument("form_ids", nargs=-1)
@_PACK
def build(form_ids: tuple[str, ...], pack: str) -> None:
    """Compile tables, blocks and translations to .xlsx for both servers."""
    from forms.commands import build_command

    for path in build_command(form_ids, pack=pack):
        click.echo(path)


@forms.command("check")
@click.argument("form_ids", nargs=-1)
@click.option("--no-engines", is_flag=True, help="Lint alone; pyxform and ODK Validate are not run.")
@_PACK
def check(form_ids: tuple[str, ...], no_engines: bool, pack: str) -> None:
    """Lint the tables, convert them without a warning, and run ODK Validate."""
    from rich.console import Console

    from forms.commands import check_command, show

    checked = check_command(form_ids, engines=not no_engines, pack=pack)
    show(checked, Console(highlight=False, soft_wrap=True))
    sys.exit(checked.exit_status)


_SERVER = click.option("--server", help="Which server of silah.toml; not needed when there is one.")
_TOKEN = click.option(
    "--token-env",
    metavar="NAME",
    help="The variable with the token of an account that may edit projects; the connector's own only reads.",
)


@forms.command("publish")
@click.argument("form_ids", metavar="[FORM]...", nargs=-1)
@_SERVER
@_TOKEN
@click.option("--project", metavar="NUMBER", help="Central: the project of a form that stands nowhere yet.")
@click.option(
    "--encrypt",
    "key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="KEY.pem",
    help="The society's public key: devices encrypt what they send, and only the private key opens it.",
)
@click.option("--training", is_flag=True, help="A project of its own, for exercises; its records reach nobody.")
@_PACK
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("--force", is_flag=True, help="Also where records already collected would break.")
def publish(
    form_ids: tuple[str, ...],
    server: str | None,
    token_env: str | None,
    project: str | None,
    key: Path | None,
    training: bool,
    pack: str,
    dry_run: bool,
    force: bool,
) -> None:
    """Deploy or upgrade forms on a server, with their media and hook; without FORM those of silah.toml. Twice changes nothing."""
    from connector.errors import SilahError
    from connector.publishing import read_public_key
    from forms.errors import FormError

    key_text = read_public_key(key) if key else None
    failed = False
    lines: list[str] = []
    with _publisher(server, token_env, pack, project) as (publisher, configured):
        for form_id in form_ids or _configured(configured):
            try:
                plan = publisher.plan(form_id, key=key_text, training=training)
                _show_plan(plan)
                if not dry_run:
                    lines += _carry_out(publisher, plan, force=force)
            except (SilahError, FormError) as error:
                failed = True
                _show_error(form_id, error)
        if lines:
            click.echo(f"\nFor silah.toml, so that the records are read:\n\n[servers.{publisher.server}.forms]")
            click.echo("\n".join(lines))
    sys.exit(1 if failed else 0)


def _carry_out(publisher: Publisher, plan: Plan, *, force: bool) -> list[str]:
    """Does what the plan says; the lines that silah.toml still needs."""
    if not plan.steps:
        return []
    done = publisher.carry_out(plan, force=force)
    click.echo(f"  done: {done.ref}")
    return [done.line] if done.line else []


def _show_plan(plan: Plan) -> None:
    kind = " (training)" if plan.wanted.training else ""
    click.echo(f"{plan.wanted.form.form_id}{kind}: {'; '.join(plan.steps) or 'nothing to do'}")
    for change in plan.changes[:_SHOWN]:
        click.echo(f"  {'! ' if change.breaks else '  '}{change}")
    if len(plan.changes) > _SHOWN:
        click.echo(f"    … and {len(plan.changes) - _SHOWN} more")
    for note in plan.notes:
        click.echo(f"  note: {note}")


def _show_error(where: str, error: Exception) -> None:
    from forms.errors import FormError

    click.echo(
        f"{where}: {error if not isinstance(error, FormError) else f'{error.code}. {error.next_step}'}", err=True
    )
    if isinstance(error, FormError):
        _show_findings(error.findings)


def _show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings[:_SHOWN]:
        click.echo(f"  {finding}", err=True)
    if len(findings) > _SHOWN:
        click.echo(f"  … and {len(findings) - _SHOWN} more", err=True)


def _configured(server: Server) -> tuple[str, ...]:
    from connector.errors import Refused

    if not server.forms:
        raise Refused("publish.no_form", "silah forms publish", "Name the forms to publish.")
    return tuple(server.forms)


@forms.command("status")
@click.argument("form_ids", metavar="[FORM]...", nargs=-1)
@_SERVER
@_TOKEN
@_PACK
@as_json
def status(form_ids: tuple[str, ...], server: str | None, token_env: str | None, pack: str, json_: bool) -> None:
    """What is deployed where, in which version, with which hook and media; exit status 1 when something is not in order."""
    standing: list[Standing] = []
    for name in [server] if server else _servers():
        with _publisher(name, token_env, pack) as (publisher, _):
            standing += publisher.standing(form_ids)
    if json_:
        print_json({"forms": [asdict(one) for one in standing]})
    else:
        _show_standing(standing)
    sys.exit(1 if any(one.findings for one in standing) else 0)


def _show_standing(standing: Sequence[Standing]) -> None:
    head = ["server", "form", "project", "state", "there", "tables", "hook", "media", "to do"]
    print_table(head, [_standing_cells(one) for one in standing])


def _standing_cells(one: Standing) -> list[str]:
    marks = [mark for mark, holds in (("training", one.training), ("encrypted", one.encrypted)) if holds]
    tables = f"{one.local_version} {one.tables}" if one.tables != "same" else "same"
    hook = one.hook + (f", {one.other_hooks} others" if one.other_hooks else "")
    media = ", ".join(f"{name} {state}" for name, state in one.media.items())
    state = ", ".join([one.state, *marks])
    return [one.server, one.form, one.ref, state, one.version, tables, hook, media, ", ".join(one.findings)]


@forms.command("import")
@click.argument("file", metavar="FILE.xlsx", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "form_id", metavar="FORM", help="Which form it is an edition of, where the file does not say so.")
@_PACK
@click.option("--dry-run", is_flag=True, help="Say what would be written.")
def import_(file: Path, form_id: str | None, pack: str, dry_run: bool) -> None:
    """Take an .xlsx that somebody edited back into tables and translations; all of it, or nothing with the reason."""
    from forms.errors import FormError
    from forms.importing import import_workbook
    from forms.importing_pack import import_pack_workbook
    from forms.packs import DEMO

    try:
        if pack == DEMO:
            done = import_workbook(file, form_id, dry_run=dry_run)
        else:
            done = import_pack_workbook(file, pack, form_id, dry_run=dry_run)
    except FormError as error:
        _show_error(file.name, error)
        sys.exit(1)
    would = "would be written" if dry_run else "written"
    click.echo(f"{done.form_id}: {done.rows} changes of tables, {sum(done.translated.values())} translations {would}")
    for table in done.files:
        click.echo(f"  {table}")
    for language, count in done.translated.items():
        click.echo(f"  {done.folder}/{language}.po: {count}")
    if (done.files or done.translated) and not dry_run:
        click.echo("Next: raise `version` in settings.toml, `silah forms build`, `silah forms check`.")


_LANGUAGE = click.option(
    "--lang", "language", default="en", show_default=True, help="en, ar, fa, fr or a language of the country pack."
)


@forms.command("print")
@click.argument("form_id", metavar="FORM")
@_LANGUAGE
@_PACK
@click.option("--out", type=click.Path(path_type=Path), help="Where to; default: FORM-LANG.html here.")
@click.option("--cards", is_flag=True, help="Cards for enquirers instead of the form.")
@click.option("--phone", default="", help="Cards: the number to call; without it there is a line to write on.")
@click.option("--hours", default="", help="Cards: when somebody answers.")
@click.option(
    "--emblem",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your society's emblem (.png, .jpg, .svg); half of the cards stay without it.",
)
def print_(
    form_id: str, language: str, pack: str, out: Path | None, cards: bool, phone: str, hours: str, emblem: Path | None
) -> None:
    """The paper version of a form, or cards for enquirers: a page that any browser prints on A4 or saves as PDF."""
    from forms.printing import print_cards, print_form

    if cards:
        text = print_cards(form_id, language, emblem=emblem, phone=phone, hours=hours, pack=pack)
    else:
        text = print_form(form_id, language, emblem=emblem, pack=pack)
    path = out or Path(f"{form_id}{'-cards' if cards else ''}-{language}.html")
    path.write_text(text, encoding="utf-8")
    click.echo(str(path))


@forms.command("device")
@click.argument("name")
@_SERVER
@_TOKEN
@click.option("--branch", required=True, help="The branch whose cases this phone sees: 3 digits.")
@click.option("--project", help="Number of the project, where the forms are in several.")
@click.option("--out", type=click.Path(path_type=Path), help="Where its token goes; default: NAME.token here.")
def device(
    name: str, server: str | None, token_env: str | None, branch: str, project: str | None, out: Path | None
) -> None:
    """Make an app user of ODK Central for one phone, with its forms and its branch; again: only the branch is set."""
    from connector.servers.central_devices import CentralDevices

    chosen, config = _chosen(_config(), server)
    if config.type != "central":
        raise click.UsageError("App users are ODK Central's; on KoboToolbox share the project with an account.")
    made = CentralDevices(chosen, config, _token(token_env)).make(name, branch, project)
    if made is None:
        click.echo(f"{name}: branch {branch}")
        return
    path = out or Path(f"{name.replace('/', '-')}.token")
    path.touch(mode=0o600)
    path.write_text(made, encoding="utf-8")
    click.echo(f"{name}: made, branch {branch}. Its token is in {path}: put it into a variable for")
    click.echo("`silah forms qr --app-user-env`, then delete the file. It is not shown again.")


@forms.command("qr")
@_SERVER
@click.option("--form", "form_id", required=True, help="A form that stands under [servers.<name>.forms].")
@_LANGUAGE
@_PACK
@click.option("--user", help="The collecting account; without it the telephone asks once.")
@click.option("--password-env", metavar="NAME", help="Put that account's password into the code, from this variable.")
@click.option("--app-user-env", metavar="NAME", help="Central: the variable with an app user's token.")
@click.option("--lock-env", metavar="NAME", help="The variable with the password that unlocks the settings.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to; default: FORM-qr.png here.")
def qr(
    server: str | None,
    form_id: str,
    language: str,
    pack: str,
    user: str | None,
    password_env: str | None,
    app_user_env: str | None,
    lock_env: str | None,
    out: Path | None,
) -> None:
    """The code that sets up ODK Collect or KoboCollect: deletes after sending, hides what was sent, small photos, locked."""
    from connector.collect_settings import PhoneSettings
    from forms.tables import load

    name, chosen = _chosen(_config(), server)
    settings = PhoneSettings(
        server_url=_phone_url(name, chosen, form_id, _token(app_user_env)),
        project=load(form_id, pack=pack).title(language),
        language=language,
        username=user,
        password=_token(password_env),
        lock=_token(lock_env),
    )
    path = out or Path(f"{form_id}-qr.png")
    path.write_bytes(settings.png())
    click.echo(settings.terminal())
    click.echo(str(path))
    if settings.secret:
        click.echo("The code holds a secret: show it to the telephones it is for, then delete it.")
    if not settings.lock:
        click.echo("Anybody can unlock the settings on the telephone; --lock-env NAME puts a password before them.")


def _phone_url(name: str, server: Server, form_id: str, app_user: str | None) -> str:
    """Where a telephone gets its forms: Kobo's other face, or the project at Central."""
    from connector.errors import Refused
    from connector.servers.kobo_publishing import KoboForms

    if form_id not in server.forms:
        known = ", ".join(server.forms) or "none"
        raise Refused("qr.unknown_form", f"{form_id} on server {name}", f"Forms there: {known}.")
    if server.type == "kobo":
        host = KoboForms(name, server, str(server.secret("token")))
        return host.submission_url().removesuffix("/submission")
    project = server.forms[form_id].partition("/")[0]
    key = f"/key/{app_user}" if app_user else ""
    return f"{server.url}/v1{key}/projects/{project}"


def _config() -> Config:
    from connector import config

    return config.load(_root_option())


def _root_option() -> Path | None:
    """The `--config` of the command line."""
    given: Path | None = click.get_current_context().find_root().params.get("config")
    return given


def _servers() -> list[str]:
    from connector.errors import Refused

    names = list(_config().servers)
    if not names:
        raise Refused("publish.no_server", "silah.toml", "Configure a form server under [servers.<name>].")
    return names


@contextmanager
def _publisher(
    name: str | None, token_env: str | None, pack: str, project: str | None = None
) -> Iterator[tuple[Publisher, Server]]:
    """Who publishes to that server, with the token that was named."""
    from connector.hosts import publisher_of

    loaded = _config()
    chosen, server = _chosen(loaded, name)
    yield publisher_of(loaded, chosen, _token(token_env), project, pack), server


def _token(variable: str | None) -> str | None:
    """The secret in a variable that was named on the command line; secrets themselves never are."""
    from connector import config
    from connector.errors import Misconfigured

    token = config.environment(variable) if variable else None
    if variable and not token:
        raise Misconfigured("config.missing_secret", f"the variable {variable}", "Set it.")
    return token


def _chosen(loaded: Config, name: str | None) -> tuple[str, Server]:
    from connector.errors import Refused

    names = list(loaded.servers)
    if name is None and len(names) == 1:
        name = names[0]
    if name is None or name not in loaded.servers:
        known = ", ".join(names) or "none"
        raise Refused("publish.which_server", f"--server {name or ''}", f"Configured: {known}. Name one.")
    return name, loaded.servers[name]
