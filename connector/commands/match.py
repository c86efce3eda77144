"""`silah match`: people of two records who may be one. Two people confirm; nothing is linked or sent by it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, case_of, print_json, with_flow
from connector.errors import Refused

if TYPE_CHECKING:
    from connector.ledger.candidates import Candidate
    from connector.ledger.users import Users
    from connector.model import JSON
    from connector.pairs import Side, Sides
    from connector.pipeline import Pipeline


@click.group(invoke_without_command=True)
@click.option("--record", metavar="KEY", help="Only of this record (its id or root id).")
@click.option("--as", "user", help="The named user who looks; shows people with restrictions to their own case worker.")
@click.option("--language", type=click.Choice(["en", "ar", "fa", "fr"]), default="en", help="Of the reasons.")
@as_json
@click.pass_context
def match(context: click.Context, record: str | None, user: str | None, language: str, json_: bool) -> None:
    """People of two records who may be one, the likeliest first, with the reasons. Nothing is linked or sent by it."""
    if context.invoked_subcommand is None:
        listed = functools.partial(_list, record=record, user=user, language=language, json_=json_)
        with_flow(listed)()  # the flow is put first


def _list(flow: Pipeline, *, record: str | None, user: str | None, language: str, json_: bool) -> None:
    from connector.ledger.candidates import Candidates
    from connector.pairs import seen, sides

    case = case_of(flow, record) if record else None
    if user:
        _prove(flow, user)
    _catch_up(flow)
    pairs = Candidates(flow.ledger)
    shown = [
        (one, both)
        for one in pairs.all(case.id if case else None)
        if (both := sides(flow, one)) is not None and seen(both, user)
    ]
    left = pairs.merges_left(case.id if case else None)
    pairs.looked_at([one for one, _ in shown], user or actor())
    if json_:
        print_json([_told(one, both, language) for one, both in shown] + [_told_left(one) for one in left])
        return
    for one, both in shown:
        click.echo("\n".join(_lines(one, both, language)))
    for one in left:
        click.echo(f"{one.id} {one.kind} merge.erased: one record was erased, the other waits for `silah match undo`")
    if not shown and not left:
        click.echo("no candidates")


def _told(one: Candidate, both: Sides, language: str) -> Mapping[str, JSON]:
    from connector.pairs import sentence

    reasons: list[JSON] = [{"code": code, "text": sentence(code, language)} for code in one.reasons]
    people: list[JSON] = [_person(side) for side in both]
    return {"id": one.id, "kind": one.kind, "state": one.state, "people": people, "reasons": reasons}


def _told_left(one: Candidate) -> Mapping[str, JSON]:
    return {"id": one.id, "kind": one.kind, "state": "merge.erased", "people": [], "reasons": []}


def _person(side: Side) -> dict[str, JSON]:
    """The minimum: no address, no phone, nothing of the case."""
    return {
        "record": side.case.root_id, "case_code": side.case_code, "role": side.place.role, "number": side.place.number,
        "name": side.person.called,
    }  # fmt: skip


def _lines(one: Candidate, both: Sides, language: str) -> list[str]:
    from connector.pairs import sentence

    by = f" (by {one.first_user})" if one.state == "confirmed_by_one" else ""
    people = [f"  {side.person.called} · {side.place.role} · {side.case_code or side.case.root_id}" for side in both]
    return [
        f"{one.id} {one.kind} {one.state}{by}",
        *people,
        *(f"    {sentence(code, language)}" for code in one.reasons),
    ]


def _catch_up(flow: Pipeline) -> None:
    """Compares what came in since, unless a running server does so."""
    from connector.comparing import Comparing
    from connector.ledger.candidates import Candidates

    if flow.config.matching.enabled and not _is_served(flow) and Candidates(flow.ledger).behind():
        Comparing(flow).catch_up()


def _is_served(flow: Pipeline) -> bool:
    """Whether another process holds the data directory of the embedded tier; it compares within seconds."""
    from connector.dispatch.embedded import Lock

    lock = Lock(flow.config.at_home(flow.config.data_dir))
    try:
        lock.take()
    except Refused:
        return True
    finally:
        lock.release()
    return False


@match.command()
@click.argument("id_", metavar="ID")
@click.option("--as", "user", required=True, help="The named user who is sure that they are one.")
@with_flow
def confirm(flow: Pipeline, id_: str, user: str) -> None:
    """Say that they are one person; counts when a second user says so too. Asks for that user's second factor."""
    from connector import pairs
    from connector.ledger.candidates import Candidates

    _say(flow, id_, user, functools.partial(pairs.confirm, flow))
    one = Candidates(flow.ledger).one(id_)
    click.echo(f"{id_} is {one.state if one else 'gone'}")


@match.command("rule-out")
@click.argument("id_", metavar="ID")
@click.option("--as", "user", required=True, help="The named user who is sure that they are two.")
@with_flow
def rule_out(flow: Pipeline, id_: str, user: str) -> None:
    """Say that they are two people: it is not offered again. Asks for that user's second factor."""
    from connector.ledger.candidates import Candidates

    _say(flow, id_, user, Candidates(flow.ledger).rule_out)
    click.echo(f"{id_} is ruled out")


@match.command()
@click.argument("id_", metavar="ID")
@click.option("--as", "user", required=True, help="The named user who takes it back.")
@with_flow
def undo(flow: Pipeline, id_: str, user: str) -> None:
    """Take back what was said of a candidate, also a merge of duplicates. Asks for that user's second factor."""
    from connector.ledger.candidates import Candidates

    _say(flow, id_, user, Candidates(flow.ledger).undo)
    click.echo(f"{id_} is proposed again")


def _say(flow: Pipeline, id_: str, user: str, verb: Callable[[str, str], str | None]) -> None:
    _prove(flow, user)
    refused = verb(id_, user) if _may_speak(flow, id_, user) else "unknown"
    if refused:
        raise _REFUSALS[refused](id_)


def _may_speak(flow: Pipeline, id_: str, user: str) -> bool:
    from connector.dashboard.roles import Right, may
    from connector.ledger.candidates import Candidates
    from connector.pairs import may_speak, sides

    one = Candidates(flow.ledger).one(id_)
    role = next((known.role for known in _users(flow).all() if known.name == user), None)
    return one is not None and may(role or "", Right.MATCH) and may_speak(sides(flow, one), user, role)


_REFUSALS: Mapping[str, Callable[[str], Refused]] = {
    "unknown": lambda id_: Refused("match.unknown", f"match {id_}", "`silah match` shows the ids that can be named."),
    "same_user": lambda id_: Refused("match.same_user", f"match {id_}", "The second word is another person's."),
    "not_open": lambda id_: Refused(
        "match.not_open", f"match {id_}", "Take back first what was said: `silah match undo`."
    ),
}


def _prove(flow: Pipeline, user: str) -> None:
    """Asks for the user's second factor, on standard input when there is no terminal; raises `Refused`."""
    if sys.stdin.isatty():
        code = str(click.prompt("Second factor (6 digits)", hide_input=True)).strip()
    else:
        code = sys.stdin.readline().strip()
    _users(flow).prove(user, code)


def _users(flow: Pipeline) -> Users:
    from connector.ledger.users import Users

    return Users(flow.ledger.database, flow.ledger.master, flow.ledger.now)
