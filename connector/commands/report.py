"""`silah report`: official figures of a period."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import click

from connector.errors import Refused

_DEFAULT_OUT = Path("report.xlsx")


@click.command()
@click.option("--from", "start", required=True, help="First day, 2003-01-31.")
@click.option("--to", "end", help="Last day, included; default: today.")
@click.option("--format", "format_", type=click.Choice(["xlsx", "csv", "json"]), default="xlsx", show_default=True)
@click.option("--public", is_flag=True, help="For publishing: hide counts of 1 to 4 and whatever would give them away.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: report.xlsx, else standard output.",
)
def report(start: str, end: str | None, format_: str, public: bool, out: Path | None) -> None:
    """Official figures: what was done and for how many, with what was counted before the system."""
    from connector import config
    from connector.app import open_ledger
    from connector.figures import printing
    from connector.recounting import recount
    from connector.reporting import figures

    loaded = config.load(click.get_current_context().find_root().params.get("config"))
    ledger = open_ledger(loaded)
    try:
        recount(ledger)
        found = figures(loaded, ledger, _day(start, "--from"), _day(end, "--to"), public=public)
    finally:
        ledger.database.close()
    for line in found.left_out:
        click.echo(f"baseline: row {line} reaches beyond this period and is not counted", err=True)
    if format_ == "xlsx":
        path = out or _DEFAULT_OUT
        _write(lambda: printing.write_xlsx(found, path), path)
        click.echo(str(path))
        return
    text = printing.as_json(found) if format_ == "json" else printing.as_csv(found)
    if out is None:
        click.echo(text, nl=format_ == "json")
        return
    _write(lambda: out.write_text(text, encoding="utf-8"), out)
    click.echo(str(out))


def _day(text: str | None, option: str) -> date:
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused("report.not_a_day", option, "Write it as 2003-01-31.") from None


def _write(write: Callable[[], object], path: Path) -> None:
    try:
        write()
    except OSError as error:
        raise Refused("report.not_written", f"{path} ({error.strerror})", "Name another file with --out.") from None
