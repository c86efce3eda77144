"""Looks for candidates: who of all records may be one person. Proposes pairs for people to look at; links and sends nothing.

People are filed (connector/filing.py) out of the sealed records: what is not filed yet at the start, in small steps so
that nothing else waits for it, then every change the ledger tells of. Who was erased, withdrawn or became somebody
else leaves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from connector.errors import SilahError
from connector.filing import Filing, filing_of
from connector.ledger.candidates import Candidate, Candidates, Change, Place, Proposal
from connector.ledger.values import DUPLICATE, Case
from connector.matching.facts import Person, Role, is_unwanted, people_of
from connector.matching.people import Score, score_people
from connector.pipeline import Pipeline
from connector.transforms.record import Record
from connector.transforms.registry import from_json

log = logging.getLogger("silah.comparing")

_LOOK_EVERY = 1.0  # seconds
_REST = 1.0  # rests for as long as it worked: intake goes first
_LEAST = 0.5
_MOST_ASKED = 60
_MOST_PROPOSED = 10  # for one person

_KNOWN = frozenset({Role.CHILD, Role.ENQUIRER, Role.SENDER, Role.TRAVELLER, Role.RELATIVE})
_PARENTS = frozenset({Role.MOTHER, Role.FATHER})
_FAMILY = _PARENTS | {Role.ENQUIRER, Role.SOUGHT, Role.SENDER, Role.ADDRESSEE}


def _kinds() -> Mapping[tuple[Role, Role], str]:
    """What it would mean if two people in these roles were one; what is not here is not compared."""
    kinds: dict[tuple[Role, Role], str] = {}
    for parent in _PARENTS:
        kinds |= {(parent, other): "family" for other in _FAMILY}
    for known in _KNOWN:
        kinds[Role.ADDRESSEE, known] = "addressee"
        kinds[Role.SOUGHT, known] = "found"
    kinds[Role.SOUGHT, Role.SOUGHT] = "sought_twice"
    kinds[Role.CHILD, Role.CHILD] = DUPLICATE
    return kinds | {(right, left): kind for (left, right), kind in kinds.items()}


KINDS = _kinds()


class Comparing:
    """The people of one ledger and what is found among them. For one thread.

    Args:
        pause: given seconds to rest after each record, so that other work goes first; may raise to end the work.
    """

    def __init__(self, flow: Pipeline, pause: Callable[[float], object] = lambda _: None) -> None:
        self._flow, self._ledger, self._pause = flow, flow.ledger, pause
        self._candidates = Candidates(flow.ledger)
        self._filing: Filing = filing_of(flow.ledger)
        self._built = False

    def is_building(self) -> bool:
        """Whether people whose records were compared before are still to be filed; on PostgreSQL by any process."""
        in_ledger = not self._ledger.database.embedded
        return not self._built and (not in_ledger or self._filing.until() < self._candidates.matched_until())

    def build(self) -> int:
        """Files everybody whose record was compared before; how many records."""
        done, until = 0, self._candidates.matched_until()
        while self._filing.until() < until:
            changes = self._candidates.changes(self._filing.until())
            before = [one for one in changes if _moment(one) <= until]
            if not before:
                break
            done += self._each(before, self._file)
        self._built = True
        return done

    def follow(self) -> int:
        """Files what changed since and proposes who may be one; how many records were looked at."""
        changes = self._candidates.changes(self._filing.until())
        done = self._each(changes, self._compare)
        if changes:
            self._candidates.reached(self._filing.until())
        return done

    def catch_up(self) -> None:
        """Builds, then follows until nothing is left."""
        self.build()
        while self.follow():
            pass

    def _each(self, changes: Sequence[Change], step: Callable[[Change], object]) -> int:
        """What was done when something goes wrong is noted all the same."""
        done = 0
        try:
            for change in changes:
                begun = time.monotonic()
                step(change)
                done += 1
                self._pause((time.monotonic() - begun) * _REST)
        finally:
            if done:
                self._filing.reached(_moment(changes[done - 1]))
        return done

    def _file(self, change: Change) -> tuple[Person, ...]:
        """Puts the people of a record in the place of those it had."""
        people = self._people(change)
        self._filing.file(change.case.id, [(str(one.role), one.number, one.facts) for one in people])
        return people

    def _people(self, change: Change) -> tuple[Person, ...]:
        record = self._record(change.case.id) if change.live else None
        return people_of(record) if record is not None else ()

    def _record(self, submission: int) -> Record | None:
        case = self._candidates.case(submission)
        try:
            stored = self._ledger.record(case.id, case.version)
            return from_json(case.form_id, stored) if stored is not None else None
        except (SilahError, ValueError) as error:  # a record of an older shape, or a key that is away
            log.warning("%s: a record could not be compared", type(error).__name__)
            return None

    def _compare(self, change: Change) -> None:
        people = self._file(change)
        found = self._duplicates(list(self._found(change.case.id, people)))
        self._candidates.propose(change.case.id, found)

    def _found(self, submission: int, people: tuple[Person, ...]) -> Iterator[Proposal]:
        for one in people:
            mine = Place(submission, str(one.role), one.number)
            proposed = 0
            for there, score in self._filing.search(one.facts, _LEAST, _MOST_ASKED):
                kind = KINDS.get((one.role, Role(there.role)))
                if kind is None or there.submission == submission or proposed == _MOST_PROPOSED:
                    continue
                if self._blocked(one, there):
                    continue
                proposed += 1
                yield _proposal(mine, there, kind, score)

    def _blocked(self, one: Person, there: Place) -> bool:
        """Whether one of them does not want contact with the other; nothing is kept of it."""
        record = self._record(there.submission)
        other = person_at(record, there) if record is not None else None
        return other is None or is_unwanted(one, other)

    def _duplicates(self, found: list[Proposal]) -> list[Proposal]:
        """Two requests for one person by one enquirer are one request."""
        return [self._as_duplicate(one) if one.kind == "sought_twice" else one for one in found]

    def _as_duplicate(self, one: Proposal) -> Proposal:
        enquirers = [
            person_at(record, Place(side.submission, "enquirer", 1))
            for side in (one.left, one.right)
            if (record := self._record(side.submission)) is not None
        ]
        known = [each.facts for each in enquirers if each is not None]
        if len(known) == len((one.left, one.right)) and score_people(known[0], known[1]).value >= _LEAST:
            return Proposal(one.left, one.right, DUPLICATE, one.strength, one.reasons)
        return one


class Watch:
    """Compares in the background of a serving process; of several processes on one database one does it.

    Args:
        enabled: False compares nothing and has nothing to make ready.
        here: False leaves it to another process; what PostgreSQL still lacks is told all the same.
    """

    def __init__(self, flow: Pipeline, *, enabled: bool, here: bool = True) -> None:
        self._flow, self._runs = flow, enabled and here
        self._tells = enabled and (here or not flow.ledger.database.embedded)
        self._comparing = Comparing(flow, self._pause)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="matching", daemon=True)

    def start(self) -> None:
        if self._runs:
            self._thread.start()

    def stop(self, seconds: float = 5) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def reasons(self) -> tuple[str, ...]:
        """What `/readyz` tells beside that it is ready: `matching.building` until everybody is filed."""
        return ("matching.building",) if self._tells and self._comparing.is_building() else ()

    def _run(self) -> None:
        with self._flow.ledger.database.alone("matching") as ours:
            while not self._stopping.is_set():
                if not (ours() and self._busy()):
                    self._stopping.wait(_LOOK_EVERY)

    def _busy(self) -> bool:
        try:
            return self._step()
        except _Stopped:
            return False
        except SilahError as error:
            log.warning("%s while matching: %s", error.code, error.next_step)
        except Exception as error:  # noqa: BLE001 (a thread must not die; the type tells, values may not be told)
            log.error("unexpected %s while matching", type(error).__name__)  # noqa: TRY400
        return False

    def _step(self) -> bool:
        self._comparing.build()
        return self._comparing.follow() > 0

    def _pause(self, seconds: float) -> None:
        """Rests, and as long as bells are due: what comes in goes first."""
        while not self._stopping.wait(seconds):
            if not self._flow.ledger.due_receipts(1):
                return
            seconds = _LOOK_EVERY
        raise _Stopped


class _Stopped(Exception):
    """The process ends."""


def person_at(record: Record, place: Place) -> Person | None:
    """The person of *record* at a place; None when the newest version does not tell of them."""
    return next((one for one in people_of(record) if (str(one.role), one.number) == (place.role, place.number)), None)


def record_of(flow: Pipeline, case: Case) -> Record | None:
    """The newest record of a submission; None when it was erased."""
    stored = flow.ledger.record(case.id, case.version)
    return from_json(case.form_id, stored) if stored is not None else None


def _moment(change: Change) -> tuple[int, int]:
    return change.at, change.case.id


def _proposal(mine: Place, there: Place, kind: str, score: Score) -> Proposal:
    left, right = sorted((mine, there), key=lambda place: (place.submission, place.role, place.number))
    codes = tuple(dict.fromkeys(reason.code for reason in score.reasons))
    return Proposal(left, right, kind, round(score.value * 1000), codes)


__all__ = ["KINDS", "Candidate", "Comparing", "Watch", "person_at", "record_of"]
