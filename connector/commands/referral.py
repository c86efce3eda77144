"""`silah referral`: the referral inbox and outbox (contract §8). Every command works while the server is down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.commands.shell import (
    actor,
    as_json,
    code,
    plain_time,
    print_json,
    print_table,
    read_object,
    with_exchange,
    with_flow,
)

if TYPE_CHECKING:
    from connector.ledger.referrals import Logged, ReferralRow, Shown
    from connector.pipeline import Pipeline
    from connector.referrals.exchange import Exchange
    from connector.words import Language

_ID = click.argument("id_", metavar="ID")
_REASON = click.option("--reason", help="Why, as a code of docs/referrals.md.")


@click.group()
def referral() -> None:
    """Referrals to and from partners."""


@referral.command("new")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "partner", required=True, help="The partner, by the name it was added under.")
@as_json
@with_exchange
def new(exchange: Exchange, file: Path, partner: str, json_: bool) -> None:
    """Refer the case in FILE to a partner. Codes go at once, who it is only after they accept."""
    row = exchange.new(read_object(file), partner, actor()).row
    if row.priority == "emergency_24h":
        click.echo(
            f"CALL NOW: {row.duty_number or 'the duty number of the partner'}. Say the case code: {row.case_code}",
            err=True,
        )
    if json_:
        print_json({"id": row.id, "state": row.state, "case_code": row.case_code})
    else:
        click.echo(f"{row.id} ({row.case_code}) is {row.state}, due {plain_time(row.due_at)}")


@referral.command("list")
@as_json
@with_exchange
def list_(exchange: Exchange, json_: bool) -> None:
    """Every referral, the one due first on top."""
    rows = exchange.referrals.rows()
    if json_:
        print_json([_row(one) for one in rows])
        return
    print_table(
        ["id", "case code", "partner", "", "state", "due", ""],
        [
            [r.id, r.case_code, r.partner, r.direction, r.state, plain_time(r.due_at), "OVERDUE" if r.overdue else ""]
            for r in rows
        ],
    )


def _row(row: ReferralRow) -> dict[str, object]:
    names = ("id", "state", "case_code", "partner", "direction", "due_at", "overdue")
    return {name: getattr(row, name) for name in names}


@referral.command("show")
@_ID
@as_json
@with_exchange
def show(exchange: Exchange, id_: str, json_: bool) -> None:
    """One referral and its events; with --json also who it is about, once the sender told (each look is audited)."""
    shown = exchange.referrals.show(id_)
    told = _shown(shown)
    if json_:
        disclosed = exchange.referrals.disclosed(id_, actor())
        if disclosed is not None:
            told["identity"] = disclosed.identity.model_dump()
            told["reason_code"] = list(disclosed.reason_code) or told.get("reason_code", [])
        print_json({**told, "events": [_event(one) for one in shown.events]})
        return
    for name, value in told.items():
        click.echo(f"{name}: {value}")
    if shown.has_identity:
        click.echo("identity: told; --json shows it")
    print_table(
        ["at", "event", "by", "actor", "code", ""],
        [
            [
                plain_time(one.event.at), one.event.deed, one.event.by, one.actor,
                one.event.reason or one.event.outcome or "", "" if one.changed else "too late: changed nothing",
            ]
            for one in shown.events
        ],
    )  # fmt: skip


def _shown(shown: Shown) -> dict[str, object]:
    row = shown.row
    codes = shown.opening.model_dump(mode="json", exclude={"kind", "priority", "case_code"}) if shown.opening else {}
    mine = "requester" if row.direction == "out" else "owner"
    return {
        **_row(row), "kind": row.kind, "priority": row.priority, **codes,
        "case_held_by": "us" if shown.standing.holder == mine else "partner",
        "taken_over_by": row.taken_over_by, "second_step": shown.result,
        "unsent": [
            {"event": one.deed, "state": one.state, "attempts": one.attempts, "error": one.error} for one in shown.unsent
        ],
    }  # fmt: skip


def _event(one: Logged) -> dict[str, object]:
    event = one.event
    return {
        "event": str(event.deed), "by": str(event.by), "at": event.at, "actor": one.actor,
        "reason": event.reason, "outcome": event.outcome, "changed": one.changed,
    }  # fmt: skip


def _act(
    exchange: Exchange, id_: str, deed: str, json_: bool, *, reason: str | None = None, outcome: str | None = None
) -> None:
    from connector.referrals.machine import Deed

    state = exchange.act(id_, Deed(deed), actor(), reason, outcome)
    if json_:
        print_json({"id": id_, "state": state})
    else:
        click.echo(f"{id_} is {state}")


@referral.command("accept")
@_ID
@as_json
@with_exchange
def accept(exchange: Exchange, id_: str, json_: bool) -> None:
    """Take a referral on; the sender then tells who it is."""
    _act(exchange, id_, "accept", json_)


@referral.command("start")
@_ID
@as_json
@with_exchange
def start(exchange: Exchange, id_: str, json_: bool) -> None:
    """The work has begun; a transferred person has arrived."""
    _act(exchange, id_, "start", json_)


@referral.command("hold")
@_ID
@as_json
@with_exchange
def hold(exchange: Exchange, id_: str, json_: bool) -> None:
    """The work rests for now."""
    _act(exchange, id_, "hold", json_)


@referral.command("complete")
@_ID
@click.option("--outcome", help="completed_full, completed_partly, client_left or other.")
@as_json
@with_exchange
def complete(exchange: Exchange, id_: str, outcome: str | None, json_: bool) -> None:
    """The work is done; the sender sees the outcome."""
    _act(exchange, id_, "complete", json_, outcome=outcome)


@referral.command("fail")
@_ID
@_REASON
@as_json
@with_exchange
def fail(exchange: Exchange, id_: str, reason: str | None, json_: bool) -> None:
    """It was tried and is not possible."""
    _act(exchange, id_, "fail", json_, reason=reason)


@referral.command("reject")
@_ID
@_REASON
@as_json
@with_exchange
def reject(exchange: Exchange, id_: str, reason: str | None, json_: bool) -> None:
    """Not taken on."""
    _act(exchange, id_, "reject", json_, reason=reason)


@referral.command("cancel")
@_ID
@_REASON
@as_json
@with_exchange
def cancel(exchange: Exchange, id_: str, reason: str | None, json_: bool) -> None:
    """The sender takes the request back."""
    _act(exchange, id_, "cancel", json_, reason=reason)


@referral.command("withdraw")
@_ID
@as_json
@with_exchange
def withdraw(exchange: Exchange, id_: str, json_: bool) -> None:
    """The person takes consent back: nothing more is sent, and both sides destroy what they hold."""
    _act(exchange, id_, "withdraw", json_)


@referral.command("confirm")
@_ID
@as_json
@with_exchange
def confirm(exchange: Exchange, id_: str, json_: bool) -> None:
    """The sender still needs an overdue referral answered; sets a new time."""
    _act(exchange, id_, "confirm", json_)


@referral.command("retry")
@_ID
@with_exchange
def retry(exchange: Exchange, id_: str) -> None:
    """Send what of a referral waits or was refused again now."""
    click.echo(f"{exchange.referrals.retry(id_, actor())} messages are due now")


@referral.command("joint")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
@with_exchange
def joint(exchange: Exchange, file: Path, json_: bool) -> None:
    """Refer the case in FILE to several parties at once, each with a view of its own: all or none."""
    rows = [one.row for one in exchange.joint(read_object(file), actor())]
    if json_:
        print_json([_row(one) for one in rows])
        return
    for row in rows:
        click.echo(f"{row.id} ({row.case_code}) to {row.partner} is {row.state}")


@referral.command("release")
@_ID
@click.option("--as", "user", required=True, help="The named user who releases it.")
@with_exchange
def release(exchange: Exchange, id_: str, user: str) -> None:
    """Release a referral to authorities; two users are needed, each with the second factor (asked for)."""
    from connector.errors import Refused
    from connector.ledger.users import Users
    from connector.releasing import MAY_RELEASE

    ledger = exchange.referrals
    users = Users(ledger.database, ledger.master, ledger.now)
    users.prove(user, code())
    if not any(one.name == user and one.role in MAY_RELEASE for one in users.all()):
        raise Refused("release.role", f"user {user}", f"Release is for {', '.join(sorted(MAY_RELEASE))}.")
    click.echo(f"{id_} is {ledger.release(id_, user)}")


@referral.command("note")
@click.argument("case_code")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_exchange
def note(exchange: Exchange, case_code: str, file: Path) -> None:
    """Keep the note in FILE on a case; it goes to the parties in its `readers` and to nobody else."""
    kept = exchange.note(case_code, read_object(file), actor())
    click.echo(f"kept; passed on to {kept.passed_on}" if kept.passed_on else "kept; nobody else reads it")


@referral.command("notes")
@click.argument("case_code")
@as_json
@with_exchange
def notes(exchange: Exchange, case_code: str, json_: bool) -> None:
    """The notes on a case: who wrote them, who reads them, decisions and owners; each look is audited."""
    found = exchange.notes.of(case_code, actor())
    if json_:
        print_json(
            [
                {
                    "id": n.id,
                    "origin": n.origin,
                    "actor": n.actor,
                    "at": n.at,
                    "readers": n.readers,
                    **n.note.model_dump(mode="json"),
                }
                for n in found
            ]
        )
        return
    for one in found:
        readers = ", ".join(one.readers) or ("nobody else" if one.origin == "own" else "")
        click.echo(f"{plain_time(one.at)} {one.note.kind} of {one.origin} ({one.actor}); read by: {readers or 'us'}")
        click.echo(one.note.text)
        for line in one.note.decisions:
            click.echo(f"  - {line.decision} [{line.owner}{f', until {line.due}' if line.due else ''}]")


@referral.command("paper")
@click.argument("case_code")
@click.option(
    "--language", type=click.Choice(["en", "ar", "fa", "fr"]), default="en", show_default=True, help="Of the page."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The page as HTML; default: standard output."
)
@with_flow
def paper(flow: Pipeline, case_code: str, language: Language, out: Path | None) -> None:
    """The sheet for the person: who works on the case and who reads what, in codes and kinds, without a name."""
    from connector.referrals.client_paper import client_paper
    from connector.referrals.exchange import exchange_of

    page = client_paper(exchange_of(flow.config, flow.ledger, flow.tell), case_code, language)
    if out is None:
        click.echo(page, nl=False)
    else:
        out.write_text(page, encoding="utf-8")
        click.echo(str(out))


@referral.command("link")
@_ID
@as_json
@with_exchange
def link(exchange: Exchange, id_: str, json_: bool) -> None:
    """A new link and code for a partner without a system; read the code aloud, older links of this referral end."""
    made = exchange.link(id_, actor=actor())
    if json_:
        print_json({"url": made.url, "code": made.code, "until": made.until})
        return
    click.echo(f"{made.url}\nCode, by another way than the link: {made.code}\nUntil {plain_time(made.until)}")


@referral.command("take-over")
@_ID
@click.option("--by", "user", required=True, help="Who of the next shift looks after it: a user's name here.")
@with_exchange
def take_over(exchange: Exchange, id_: str, user: str) -> None:
    """Note on the hand-over list who looks after a referral now."""
    exchange.referrals.take_over(id_, user)
    click.echo(f"{id_} is looked after by {user}")


@referral.command("handover")
@click.option(
    "--language", type=click.Choice(["en", "ar", "fa", "fr"]), default="en", show_default=True, help="Of the page."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The page as HTML; default: standard output."
)
@with_exchange
def handover(exchange: Exchange, language: str, out: Path | None) -> None:
    """The list for the next shift, to print or to read on a phone: codes, due times, duty numbers, no names."""
    from connector.referrals.handover import handover_page

    page = handover_page(exchange.referrals.rows(), exchange.referrals.now(), language)
    if out is None:
        click.echo(page, nl=False)
    else:
        out.write_text(page, encoding="utf-8")
        click.echo(str(out))


@referral.group("services")
def services() -> None:
    """The service directory: who offers what, for whom, and how many places."""


@services.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--partner", help="Whose services these are; default: our own.")
@with_exchange
def services_import(exchange: Exchange, file: Path, partner: str | None) -> None:
    """Take services from HSDS 3 (.json) or a table (.csv, .xlsx), in the place of what was known. Locations are not read."""
    from connector.ledger.directory import OWN
    from connector.referrals.directory import read_directory

    holder = exchange.referrals.partner(partner).fingerprint if partner else OWN
    found = read_directory(file)
    exchange.directory.replace(holder, found, actor())
    click.echo(f"{len(found)} services of {partner or 'our own'}")


@services.command("delivered")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--source", default="import", show_default=True, help="The list it comes from: the same row again replaces itself."
)
@with_flow
def services_delivered(flow: Pipeline, file: Path, source: str) -> None:
    """Count services that were delivered before or elsewhere: a table of single services (.csv, .xlsx) into the figures."""
    from rich.console import Console
    from rich.progress import Progress

    from connector.recording import record_delivered

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("counting", total=None)
        kept = record_delivered(flow.ledger, file, source, actor(), lambda rows: bar.advance(task, rows))
    click.echo(f"{kept} services were counted")


@services.command("list")
@click.option("--partner", help="Whose services; default: our own, with free places.")
@as_json
@with_exchange
def services_list(exchange: Exchange, partner: str | None, json_: bool) -> None:
    """Services with the ages and the sex they are for and the places that are free."""
    if partner:
        found = [(one, one.places) for one in exchange.directory.of(exchange.referrals.partner(partner).fingerprint)]
    else:
        found = exchange.referrals.free_places()
    if json_:
        print_json([{**one.model_dump(mode="json"), "free": free} for one, free in found])
        return
    print_table(
        ["service", "name", "track", "branch", "ages", "sex", "free", "agreement until"],
        [
            [
                s.code if s.active else f"{s.code} (closed)", s.name, s.track or "", s.branch,
                f"{s.min_age or 0}-{'' if s.max_age is None else s.max_age}", s.serves_sex or "",
                "" if free is None else str(free), str(s.agreement_until or ""),
            ]
            for s, free in found
        ],
    )  # fmt: skip
