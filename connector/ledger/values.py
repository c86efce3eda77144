"""What the ledger takes and gives: frozen values, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import uuid5

from connector.figures.facts import Fact
from connector.model import SILAH, Action, Bell, Review, Submission


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt: its opaque id, and whether this version was new."""

    receipt: str
    new: bool


@dataclass(frozen=True, slots=True)
class DueReceipt:
    """A bell that has to be followed by a read-back."""

    id: str
    server: str
    bell: Bell
    attempts: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a submission while the server's list is compared with it."""

    id: int
    root_id: str
    instance_id: str
    order: int
    presence: str
    parked: bool
    review: Review


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission that was read: its answers and its Record as JSON, or the fault that parks it.

    *digest* is the same as long as the answers and the files that have arrived are the same. *approved* is whether a
    person approved it on the form server.
    """

    submission: Submission
    digest: str
    approved: bool
    raw: bytes
    record: bytes | None
    fault: tuple[str, str] | None = None
    facts: tuple[Fact, ...] = ()  # what it counts as in the figures
    consent_until: date | None = None  # the last day of the consent, where there is one
    collector: str | None = None  # who took it down, as a code


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come, with all that the gate needs to decide on it."""

    id: str
    submission_id: int
    record_id: str
    root_id: str
    server: str
    form_id: str
    version: int
    target: str
    action: Action
    revision: int
    attempts: int
    content: str | None
    made_at: datetime
    tried_at: datetime | None
    external_id: str | None
    touched: int
    approved: bool
    spoken_of: bool  # somebody released it by name, or took consent back
    merged: bool  # two people confirmed that another record is of the same person
    sealed: bytes | None = field(repr=False)
    wrapped: bytes | None = field(repr=False)

    @property
    def key(self) -> str:
        """The delivery's key: the same over all attempts, another one when what may go changed."""
        return delivery_key(self.record_id, self.version, self.target, self.action, self.revision)


@dataclass(frozen=True, slots=True)
class Approval:
    """Who said that a version may go: on the form server, or by name in Silah."""

    form_server: bool
    users: frozenset[str]
    withdrawn: frozenset[str]


@dataclass(frozen=True, slots=True)
class Case:
    """One submission as the command line shows it."""

    id: int
    record_id: str
    server: str
    form_id: str
    root_id: str
    order: int
    version: int
    state: str
    presence: str
    parked: str | None
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of `silah queue list`."""

    id: str
    root_id: str
    form: str
    target: str | None
    action: str
    state: str
    attempts: int
    error: str | None
    next_at: datetime | None
    version: int
    status: int | None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Where the submissions of one form are; each counts once (contract §5)."""

    server: str
    form: str
    on_server: int
    delivered: int = 0
    withheld: int = 0
    waiting: int = 0
    parked: int = 0
    stopped: str | None = None

    @property
    def here(self) -> int:
        return self.delivered + self.withheld + self.waiting + self.parked

    @property
    def missing(self) -> int:
        return self.on_server - self.here


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts for the metrics. *sweeps*: (server, form) -> (when the last one ended in ms, whether it was stopped)."""

    receipts: Mapping[str, int]
    attempts: int
    unreadable: int
    sweeps: Mapping[tuple[str, str], tuple[int, bool]]


DUPLICATE = "duplicate"  # the kind of a pair of records of one person

Routes = Callable[[str], Sequence[str]]


def delivery_key(record_id: str, version: int, target: str, action: str, revision: int) -> str:
    return str(uuid5(SILAH, f"{record_id}:{version}:{target}:{action}:{revision}"))
