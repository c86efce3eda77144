"""`silah report`: official figures of a period."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import click

from connector.errors import Refused

_DEFAULT_OUT = Path("report.xlsx")


@click.command()
@click.option("--from", "start", help="First day, 2003-01-31.")
@click.option("--to", "end", help="Last day, included; default: today.")
@click.option("--year", type=int, help="A whole year, in the place of --from and --to.")
@click.option(
    "--calendar",
    type=click.Choice(["gregorian", "jalali", "hijri"]),
    default="gregorian",
    show_default=True,
    help="Of --year: jalali is Solar Hijri, hijri lunar by Umm al-Qura.",
)
@click.option("--format", "format_", type=click.Choice(["xlsx", "csv", "json"]), default="xlsx", show_default=True)
@click.option("--public", is_flag=True, help="For publishing: hide counts of 1 to 4 and whatever would give them away.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: report.xlsx, else standard output.",
)
def report(
    start: str | None, end: str | None, year: int | None, calendar: str, format_: str, public: bool, out: Path | None
) -> None:
    """Official figures: what was done and for how many, with what was counted before the system."""
    from connector import config
    from connector.app import open_ledger
    from connector.figures import printing
    from connector.recounting import recount
    from connector.reporting import figures

    first, last = _period(start, end, year, calendar)
    loaded = config.load(click.get_current_context().find_root().params.get("config"))
    ledger = open_ledger(loaded)
    try:
        recount(ledger)
        found = figures(loaded, ledger, first, last, public=public)
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


def _period(start: str | None, end: str | None, year: int | None, calendar: str) -> tuple[date, date]:
    from connector.figures.periods import year_of
    from connector.transforms.dates import Calendar

    if year is not None:
        return year_of(Calendar(calendar), year)
    if start is None:
        raise Refused("report.period", "--from", "Say from which day, or name a --year.")
    return _day(start, "--from"), _day(end, "--to")


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
