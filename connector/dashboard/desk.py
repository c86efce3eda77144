"""What the pages work with: the flow, its ledger's questions, the door; and what they show, as plain values."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, cast

from flask import current_app
from pydantic import BaseModel

from connector.dashboard.counting import Counting
from connector.errors import Damaged
from connector.figures.report import Report
from connector.ledger.candidates import Candidate, Candidates
from connector.ledger.derived import Derived, Renewal
from connector.ledger.flow import Account, Case, Ledger
from connector.ledger.overview import Item, Overview, Step
from connector.ledger.referrals import ReferralLedger, ReferralRow
from connector.ledger.sign_in import SignIn
from connector.ledger.users import Users
from connector.ledger.values import DUPLICATE
from connector.model import JSON
from connector.pairs import OPEN, seen, sides
from connector.pipeline import Pipeline
from connector.referrals.exchange import Exchange
from connector.reporting import figures
from connector.rounds import Rounds
from connector.targets.wording import Wording, is_said_date
from connector.transforms.record import Record
from connector.transforms.registry import from_json
from connector.words import Language

_HOLDS = 20  # times as long as it took
_MOST_REPORTS = 16
Gauges = dict[tuple[str, str], tuple[int, int]]
_SENT = ("upsert", "withdraw")


@dataclass(frozen=True, slots=True)
class TargetLine:
    """One target on the page of the flow: how many deliveries are in each state, and since when the oldest open one is."""

    name: str
    recipient: str
    counts: dict[str, int]
    oldest: timedelta | None
    paused: str | None


@dataclass(frozen=True, slots=True)
class ToDo:
    """A delivery that a case worker acts on, with what is needed to call safely (codes, no number)."""

    item: Item
    case_code: str | None
    phone_safe: str | None
    safe_when: str | None
    do_not: str | None


@dataclass
class Desk:
    """One for each application."""

    flow: Pipeline
    overview: Overview
    users: Users
    door: SignIn
    referrals: ReferralLedger
    exchange: Exchange
    pairs: Candidates
    derived: Derived
    rounds: Rounds
    accounts: Counting[list[Account]] = field(init=False)
    gauges: Counting[Gauges] = field(init=False)
    _reports: dict[tuple[date, date, bool], tuple[float, Report]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = Counting(self._accounts, self.ledger.now)
        self.gauges = Counting(self.ledger.gauges, self.ledger.now)

    @classmethod
    def of(cls, flow: Pipeline) -> Desk:
        ledger = flow.ledger
        users = Users(ledger.database, ledger.master, ledger.now)
        door = SignIn(ledger.database, users, ledger.now)
        referrals = ReferralLedger(ledger.database, ledger.master, ledger.now)
        return cls(
            flow, Overview(ledger), users, door, referrals, Exchange(flow.config, referrals), Candidates(ledger),
            Derived(ledger), Rounds(flow),
        )  # fmt: skip

    @property
    def ledger(self) -> Ledger:
        return self.flow.ledger

    def _accounts(self) -> list[Account]:
        """Where the submissions of every configured form are."""
        servers = self.flow.config.servers.items()
        return [self.ledger.account(server, form) for server, one in servers for form in one.forms]

    def targets(self) -> list[TargetLine] | None:
        """A line for each target; None as long as the first count is not through."""
        counted, paused, now = self.gauges.newest(), self.ledger.paused(), self.ledger.now()
        return [self._line(name, counted.value, paused, now) for name in self.flow.audiences] if counted else None

    def _line(self, name: str, gauges: Gauges, paused: Mapping[str, str], now: datetime) -> TargetLine:
        mine = {state: numbers for (target, state), numbers in gauges.items() if target == name}
        counts = {state: mine.get(state, (0, 0))[0] for state in ("delivered", "withheld", "waiting", "due", "parked")}
        open_since = [oldest for state, (_, oldest) in mine.items() if state in {"due", "waiting", "parked"}]
        age = now - datetime.fromtimestamp(min(open_since) / 1000, now.tzinfo) if open_since else None
        return TargetLine(name, str(self.flow.audiences[name].recipient), counts, age, paused.get(name))

    def report(self, start: date, end: date, *, public: bool) -> Report:
        """The figures of a period. In a large ledger one report serves for a while, the longer the longer it took."""
        key = (start, end, public)
        until, known = self._reports.get(key, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        begun = time.monotonic()
        made = figures(self.flow.config, self.ledger, start, end, public=public)
        if len(self._reports) >= _MOST_REPORTS:
            self._reports.clear()
        self._reports[key] = (time.monotonic() + (time.monotonic() - begun) * _HOLDS, made)
        return made

    def to_dos(self, items: list[Item]) -> list[ToDo]:
        return [self._to_do(item) for item in items]

    def _to_do(self, item: Item) -> ToDo:
        record = self.record_of(item.submission_id, item.form, item.version)
        contact = _contact(record)
        safe = [cast("str | None", contact.get(name)) for name in ("phone_safe", "phone_safe_when", "do_not")]
        return ToDo(item, case_code(record), *safe)

    def ending(self, within: timedelta, limit: int) -> list[tuple[Renewal, str | None]]:
        """Consents that end soon, each with its case code."""
        return [(one, case_code(self.record(one.case))) for one in self.derived.ending(within, limit)]

    def likely_duplicates(self, limit: int, user: str) -> list[Candidate]:
        """Records that may have been written down twice and that nobody has spoken of, as far as *user* may know of both;
        ids alone."""
        found = self.pairs.page(OPEN, None, limit, kind=DUPLICATE)[0]
        return [one for one in found if (both := sides(self.flow, one)) is not None and seen(both, user)]

    def record_of(self, submission_id: int, form: str, version: int) -> Record | None:
        """None when it was erased, or damaged: the rest of a page is shown all the same."""
        try:
            stored = self.ledger.record(submission_id, version)
        except Damaged:
            return None
        return from_json(form, stored) if stored is not None else None

    def record(self, case: Case) -> Record | None:
        return self.record_of(case.id, case.form_id, case.version)

    def referrals_due(self, limit: int) -> list[ReferralRow]:
        """Referrals that are not final, those with the earliest time first."""
        return self.referrals.page(None, limit, finished=False)[0]


def desk() -> Desk:
    """The desk of the application that answers now."""
    return cast("Desk", current_app.extensions["silah_desk"])


def case_code(record: Record | None) -> str | None:
    return getattr(record, "case_code", None)


def _contact(record: Record | None) -> dict[str, Any]:
    """How the person who speaks in *record* may be reached, wherever the form keeps it."""
    for holder in (getattr(record, name, None) for name in ("enquirer", "identity", "sender")):
        contact = getattr(holder, "contact", None)
        if isinstance(contact, BaseModel):
            return dict(contact)
    return {}


def received(steps: list[Step]) -> list[Step]:
    """Who received which classes of data: the deliveries that arrived."""
    return [step for step in steps if step.event in _SENT]


def lines(form: str, fields: JSON, language: Language) -> list[tuple[str, str]]:
    """(heading, answer) of everything in *fields*, in the words of the form."""
    wording = Wording(form, language)
    return [
        (wording.heading(path), wording.shown(path, value)) for path, value in _leaves(fields, "") if value is not None
    ]


def _leaves(value: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, Mapping) and not is_said_date(value) and set(value) != {"file"}:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for one in value:
            yield from _leaves(one, path)
    elif isinstance(value, Mapping) and set(value) == {"file"}:
        yield path, "✓"
    else:
        yield path, value
