"""The state machine of a referral: one table, no I/O, no clock.

Each party keeps its own chain of events (numbers 1, 2, 3 …) and says with every event how many of the other's it had
seen. The state is a function of the *set* of events alone: both chains are merged by what was known when, and folded
through the table. So replays, re-ordering and two people acting at once end in the same state on both sides; an event
that no longer fits when its turn comes is `overtaken`: it stays in the list and changes nothing.

Of two events that did not know of each other the owner's comes first: what was done for the person stands, and a
cancellation takes effect from there if it still can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """Where a referral stands; the last five are final."""

    DRAFT = "draft"
    REQUESTED = "requested"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"


class Party(StrEnum):
    """The two sides: who asks for the services, and who was asked and owns the work once accepted."""

    REQUESTER = "requester"
    OWNER = "owner"

    @property
    def other(self) -> Party:
        return Party.OWNER if self is Party.REQUESTER else Party.REQUESTER


class Deed(StrEnum):
    """What somebody did to a referral. `disclose` is the second step: who it is, or why that is not told. `share` and
    `report` carry a note on the case, from the requester and from the owner."""

    REQUEST = "request"
    RECEIVE = "receive"
    ACCEPT = "accept"
    REJECT = "reject"
    START = "start"
    HOLD = "hold"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    DISCLOSE = "disclose"
    SHARE = "share"
    REPORT = "report"
    WITHDRAW = "withdraw"


class Kind(StrEnum):
    """A *referral* leaves the case with its sender; a *transfer* moves it once arrival is confirmed."""

    REFERRAL = "referral"
    TRANSFER = "transfer"


class Priority(StrEnum):
    """How soon an answer is owed."""

    EMERGENCY = "emergency_24h"
    URGENT = "urgent_72h"
    NORMAL = "normal_2w"

    @property
    def span(self) -> timedelta:
        return _SPANS[self]


_SPANS = {
    Priority.EMERGENCY: timedelta(hours=24),
    Priority.URGENT: timedelta(hours=72),
    Priority.NORMAL: timedelta(days=14),
}

REJECT_REASONS = frozenset(
    {
        "no_capacity",
        "not_eligible",
        "wrong_service",
        "out_of_area",
        "cannot_contact",
        "client_declined",
        "duplicate",
        "other",
    }
)
END_REASONS = REJECT_REASONS | {"client_left", "no_longer_needed", "service_ended", "made_by_mistake", "unsafe"}
DISCLOSE_REASONS = frozenset(
    {"consent_expired", "consent_not_for_partner", "no_identity", "referral_closed", "agreement_over"}
)
OUTCOMES = frozenset({"completed_full", "completed_partly", "client_left", "other"})
_ARRIVED = frozenset({"completed_full", "completed_partly"})

BY_ITSELF = frozenset({Deed.REQUEST, Deed.RECEIVE, Deed.DISCLOSE, Deed.SHARE, Deed.REPORT})

UNANSWERED = frozenset({State.REQUESTED, State.RECEIVED})
UNDER_WAY = frozenset({State.ACCEPTED, State.IN_PROGRESS, State.ON_HOLD})
FINAL = frozenset({State.COMPLETED, State.REJECTED, State.FAILED, State.CANCELLED, State.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do a deed, from which states, and where it leads (None: the state stays).

    *reasons* and *outcomes* are the codes that may be given; *needs_reason* that one must be.
    """

    by: Party
    sources: frozenset[State]
    to: State | None
    reasons: frozenset[str] = frozenset()
    needs_reason: bool = False
    outcomes: frozenset[str] = frozenset()


RULES: Mapping[Deed, Rule] = {
    Deed.REQUEST: Rule(Party.REQUESTER, frozenset({State.DRAFT}), State.REQUESTED),
    Deed.RECEIVE: Rule(Party.OWNER, frozenset({State.REQUESTED}), State.RECEIVED),
    Deed.ACCEPT: Rule(Party.OWNER, frozenset({State.RECEIVED}), State.ACCEPTED),
    Deed.REJECT: Rule(Party.OWNER, frozenset({State.RECEIVED}), State.REJECTED, REJECT_REASONS, needs_reason=True),
    Deed.START: Rule(Party.OWNER, frozenset({State.ACCEPTED, State.ON_HOLD}), State.IN_PROGRESS),
    Deed.HOLD: Rule(Party.OWNER, frozenset({State.IN_PROGRESS}), State.ON_HOLD),
    Deed.COMPLETE: Rule(
        Party.OWNER, frozenset({State.ACCEPTED, State.IN_PROGRESS}), State.COMPLETED, outcomes=OUTCOMES
    ),
    Deed.FAIL: Rule(
        Party.OWNER, frozenset({State.ACCEPTED, State.IN_PROGRESS}), State.FAILED, END_REASONS, needs_reason=True
    ),
    Deed.CANCEL: Rule(Party.REQUESTER, frozenset({State.DRAFT}) | UNANSWERED | UNDER_WAY, State.CANCELLED, END_REASONS),
    Deed.CONFIRM: Rule(Party.REQUESTER, UNANSWERED, None),
    Deed.DISCLOSE: Rule(Party.REQUESTER, UNDER_WAY, None, DISCLOSE_REASONS),
    Deed.SHARE: Rule(Party.REQUESTER, UNDER_WAY, None, DISCLOSE_REASONS),
    Deed.REPORT: Rule(Party.OWNER, UNDER_WAY, None, DISCLOSE_REASONS),
    Deed.WITHDRAW: Rule(Party.REQUESTER, frozenset(State) - {State.WITHDRAWN}, State.WITHDRAWN),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One deed. *number* counts this party's events from 1; *seen* is how many of the other's it knew."""

    by: Party
    number: int
    seen: int
    deed: Deed
    at: datetime
    reason: str | None = None
    outcome: str | None = None

    @property
    def place(self) -> tuple[Party, int]:
        return self.by, self.number


@dataclass(frozen=True, slots=True)
class Standing:
    """What the events amount to.

    Args:
        due_at: when an answer is owed; None before the request.
        overtaken: the places of events that came too late to change anything.
        holder: who holds the case; a transfer's moves when arrival is confirmed.
        disclosing: the second step was begun.
    """

    state: State = State.DRAFT
    due_at: datetime | None = None
    overtaken: frozenset[tuple[Party, int]] = frozenset()
    holder: Party = Party.REQUESTER
    disclosing: bool = False

    def overdue(self, at: datetime) -> bool:
        """Not acknowledged or not answered by `due_at`."""
        return self.state in UNANSWERED and self.due_at is not None and at >= self.due_at


def refusal(standing: Standing, event: Event) -> str | None:
    """Why *event* may not happen now, as a code; None when it may."""
    rule = RULES[event.deed]
    if event.by is not rule.by:
        return "referral.not_yours"
    if standing.state not in rule.sources:
        return "referral.not_allowed"
    if event.deed is Deed.ACCEPT and standing.overdue(event.at):
        return "referral.overdue"
    if event.deed is Deed.CONFIRM and not standing.overdue(event.at):
        return "referral.not_overdue"
    if event.deed is Deed.DISCLOSE and standing.disclosing:
        return "referral.not_allowed"
    return _codes_refused(rule, event)


def allowed(standing: Standing, party: Party, at: datetime) -> tuple[Deed, ...]:
    """What a person of *party* may do now; what a node does by itself is not among it."""

    def may(deed: Deed) -> bool:
        rule = RULES[deed]
        sample = next(iter(sorted(rule.reasons)), None) if rule.needs_reason else None
        return deed not in BY_ITSELF and refusal(standing, Event(party, 0, 0, deed, at, sample)) is None

    return tuple(filter(may, Deed))


def _codes_refused(rule: Rule, event: Event) -> str | None:
    if rule.needs_reason and event.reason is None:
        return "referral.reason_needed"
    if event.reason is not None and event.reason not in rule.reasons:
        return "referral.unknown_reason"
    if event.outcome is not None and event.outcome not in rule.outcomes:
        return "referral.unknown_outcome"
    return None


def stand(events: Iterable[Event], kind: Kind, priority: Priority) -> Standing:
    """What a set of events amounts to; their order and repetitions do not matter."""
    standing = Standing()
    for event in merge(events):
        if refusal(standing, event) is None:
            standing = _after(standing, event, kind, priority)
        else:
            standing = _with(standing, overtaken=standing.overtaken | {event.place})
    return standing


def merge(events: Iterable[Event]) -> list[Event]:
    """Both chains in one order: an event after all that it knew, and of two that did not know each other the owner's first."""
    chains: dict[Party, dict[int, Event]] = {Party.REQUESTER: {}, Party.OWNER: {}}
    for event in events:
        chains[event.by].setdefault(event.number, event)
    asked, done = (sorted(chain.values(), key=lambda one: one.number) for chain in chains.values())
    merged: list[Event] = []
    while asked and done:
        first = asked if done[0].seen >= asked[0].number and asked[0].seen < done[0].number else done
        merged.append(first.pop(0))
    return merged + asked + done


def _after(standing: Standing, event: Event, kind: Kind, priority: Priority) -> Standing:
    state = RULES[event.deed].to or standing.state
    due_at = event.at + priority.span if event.deed in {Deed.REQUEST, Deed.CONFIRM} else standing.due_at
    holder = Party.OWNER if kind is Kind.TRANSFER and _arrived(event) else standing.holder
    disclosing = standing.disclosing or event.deed is Deed.DISCLOSE
    return Standing(state, due_at, standing.overtaken, holder, disclosing)


def _arrived(event: Event) -> bool:
    """Work that was begun, or done without a beginning being noted, says that the person arrived."""
    return event.deed is Deed.START or (event.deed is Deed.COMPLETE and event.outcome in _ARRIVED)


def _with(standing: Standing, *, overtaken: frozenset[tuple[Party, int]]) -> Standing:
    return Standing(standing.state, standing.due_at, overtaken, standing.holder, standing.disclosing)
