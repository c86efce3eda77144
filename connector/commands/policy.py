"""`silah policy show`: the officer's table. Needs no configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import as_json, print_json, print_table
from connector.errors import Refused

if TYPE_CHECKING:
    from connector.papers.page import Language
    from connector.papers.policy_table import PolicyTable

_OUT = click.Path(dir_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """Who may receive which answer."""


@policy.command()
@click.argument("form_ids", nargs=-1, metavar="[FORM]...")
@click.option("--html", "page", type=_OUT, help="Write a page for printing here.")
@click.option("--xlsx", "workbook", type=_OUT, help="Write a workbook here.")
@click.option(
    "--against",
    type=click.Path(exists=True, path_type=Path),
    help="Also what changed since: an earlier policy.toml, or a folder with FORM/policy.toml.",
)
@click.option(
    "--lang", type=click.Choice(["en", "ar", "fa", "fr"]), default="en", show_default=True, help="In words of."
)
@as_json
def show(
    form_ids: tuple[str, ...],
    page: Path | None,
    workbook: Path | None,
    against: Path | None,
    lang: Language,
    json_: bool,
) -> None:
    """One table a form: each question, its class of data, and a mark for each recipient that may have the answer."""
    from connector.papers import policy_table as tables
    from forms.tables import form_ids as all_forms

    unknown = set(form_ids) - set(all_forms())
    if unknown:
        raise Refused("policy.unknown_form", f"form {min(unknown)}", f"There are: {', '.join(all_forms())}.")
    if against is not None and against.is_file() and len(form_ids) != 1:
        raise Refused("policy.one_form", str(against), "Name the one form whose policy this was, or give a folder.")
    found = [tables.table_of(form, lang, against) for form in form_ids or all_forms()]
    for file, made in ((page, tables.as_html), (workbook, tables.as_xlsx)):
        if file is not None:
            _write(file, made(found, lang))
    if json_:
        print_json([tables.as_json(one) for one in found])
    elif page is None and workbook is None:
        _print(found, lang)


def _write(file: Path, made: str | bytes) -> None:
    try:
        file.write_bytes(made.encode() if isinstance(made, str) else made)
    except OSError:
        raise Refused("file.cannot_write", str(file), "Check rights and space there.") from None
    click.echo(str(file), err=True)


def _print(found: Sequence[PolicyTable], lang: Language) -> None:
    from connector.model import Recipient
    from connector.papers.page import word
    from connector.papers.policy_table import as_rows, changes_told

    for one in found:
        click.echo(f"{one.form_id}: {one.title}")
        print_table([word("table.question", lang), word("table.class", lang), *Recipient], as_rows(one, lang))
        if one.changes is not None:
            click.echo(word("table.changes", lang) + ":")
            click.echo("\n".join(changes_told(one, lang)) or word("table.no_changes", lang))
        click.echo()
