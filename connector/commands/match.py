"""`silah match`: people of two records who may be one. Two people confirm; nothing is linked or sent by it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from connector.commands.shell import actor, as_json, case_of, print_json, with_flow
from connector.errors import Refused

if TYPE_CHECKING:
    from connector.comparing import Candidate
    from connector.ledger.candidates import Place
    from connector.ledger.users import Users
    from connector.matching.facts import Person
    from connector.model import JSON
    from connector.pipeline import Pipeline
    from connector.transforms.record import Record

_MAY_CONFIRM_UNSEEN = "supervisor"


@dataclass(frozen=True)
class _Side:
    """One person of a candidate, with the record that tells of them."""

    place: Place
    root_id: str
    case_code: str | None
    collector: str | None
    person: Person

    def told(self) -> dict[str, JSON]:
        """The minimum: no address, no phone, nothing of the case."""
        return {
            "record": self.root_id, "case_code": self.case_code, "role": self.place.role, "number": self.place.number,
            "name": self.person.called,
        }  # fmt: skip

    def seen_by(self, user: str | None) -> bool:
        """A person with restrictions is seen by their own case worker alone: the user named like the form's collector."""
        return not self.person.restricted or (user is not None and user == self.collector)


_Sides = tuple[_Side, _Side]


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

    case = case_of(flow, record) if record else None
    if user:
        _prove(flow, user)
    _catch_up(flow)
    pairs = Candidates(flow.ledger)
    shown = [
        (one, sides)
        for one in pairs.all(case.id if case else None)
        if (sides := _sides(flow, one)) and all(side.seen_by(user) for side in sides)
    ]
    pairs.looked_at([one for one, _ in shown], user or actor())
    if json_:
        print_json([_told(one, sides, language) for one, sides in shown])
        return
    for one, sides in shown:
        click.echo("\n".join(_lines(one, sides, language)))
    if not shown:
        click.echo("no candidates")


def _told(one: Candidate, sides: _Sides, language: str) -> Mapping[str, JSON]:
    reasons: list[JSON] = [{"code": code, "text": _sentence(code, language)} for code in one.reasons]
    people: list[JSON] = [side.told() for side in sides]
    return {"id": one.id, "kind": one.kind, "state": one.state, "people": people, "reasons": reasons}


def _lines(one: Candidate, sides: _Sides, language: str) -> list[str]:
    by = f" (by {one.first_user})" if one.state == "confirmed_by_one" else ""
    people = [f"  {side.person.called} · {side.place.role} · {side.case_code or side.root_id}" for side in sides]
    return [
        f"{one.id} {one.kind} {one.state}{by}",
        *people,
        *(f"    {_sentence(code, language)}" for code in one.reasons),
    ]


def _sentence(code: str, language: str) -> str:
    from connector.matching import Reason

    return Reason(code, 0.0).sentence(language)


def _catch_up(flow: Pipeline) -> None:
    """Compares what came in since; a running server has done so already."""
    from connector.comparing import Comparing
    from connector.ledger.candidates import Candidates

    if flow.config.matching.enabled and Candidates(flow.ledger).behind():
        Comparing(flow).catch_up()


def _sides(flow: Pipeline, one: Candidate) -> _Sides | None:
    """Both people as the newest versions tell of them; None when one of them is not told of any more, or does not want
    contact with the other."""
    from connector.matching.facts import is_unwanted

    left, right = _side(flow, one.left), _side(flow, one.right)
    if left is None or right is None or is_unwanted(left.person, right.person):
        return None
    return left, right


def _side(flow: Pipeline, place: Place) -> _Side | None:
    from connector.comparing import person_at, record_of
    from connector.ledger.candidates import Candidates

    record = record_of(flow, place.submission)
    person = person_at(record, place) if record is not None else None
    if record is None or person is None:
        return None
    root_id = Candidates(flow.ledger).case(place.submission).root_id
    interview = getattr(record, "interview", None)
    return _Side(place, root_id, _case_code(record), interview.collector if interview else None, person)


def _case_code(record: Record) -> str | None:
    code = getattr(record, "case_code", None)
    return code if isinstance(code, str) else None


@match.command()
@click.argument("id_", metavar="ID")
@click.option("--as", "user", required=True, help="The named user who is sure that they are one.")
@with_flow
def confirm(flow: Pipeline, id_: str, user: str) -> None:
    """Say that they are one person; counts when a second user says so too. Asks for that user's second factor."""
    from connector.ledger.candidates import Candidates

    _say(flow, id_, user, Candidates(flow.ledger).confirm)
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
    """Of people with restrictions their own case worker speaks, and a supervisor to whom they gave the id."""
    from connector.ledger.candidates import Candidates

    one = Candidates(flow.ledger).one(id_)
    sides = _sides(flow, one) if one else None
    if sides is None or all(side.seen_by(user) for side in sides):
        return one is not None
    return any(known.name == user and known.role == _MAY_CONFIRM_UNSEEN for known in _users(flow).all())


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
