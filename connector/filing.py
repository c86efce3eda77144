"""Where people are filed to be found again: in memory on the embedded tier, in the ledger's blind drawers on PostgreSQL."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

from connector.ledger.candidates import Place
from connector.ledger.drawers import Drawers
from connector.ledger.flow import Ledger
from connector.matching.facts import Role
from connector.matching.index import Index
from connector.matching.people import PersonFacts, Score

Filed = tuple[str, int, PersonFacts]
"""Role, number among those of the role, what is compared."""
_ROLES = tuple(str(role) for role in Role)


class Filing(Protocol):
    """People by what their names sound like. A moment is (UTC milliseconds, id of a submission)."""

    def until(self) -> tuple[int, int]:
        """Up to which change people were filed."""

    def reached(self, until: tuple[int, int]) -> None:
        """Notes it."""

    def file(self, submission: int, people: Sequence[Filed]) -> None:
        """Puts the people of a submission in the place of those it had."""

    def search(self, facts: PersonFacts, least: float, most: int) -> list[tuple[Place, Score]]:
        """The people who score at least *least* with *facts*, the best first, at most *most* of them."""


def filing_of(ledger: Ledger) -> Filing:
    """The one of the ledger's tier."""
    return InMemory() if ledger.database.embedded else Drawers(ledger)


class InMemory:
    """An index that lives as long as the process, and where its people stand: numbers in arrays. For one thread."""

    def __init__(self) -> None:
        self._index = Index()
        self._submission, self._role, self._number = array("Q"), array("B"), array("H")
        self._first = array("I")  # by submission: its first person, counted from 1; the others of it follow
        self._until = (-1, 0)

    def until(self) -> tuple[int, int]:
        return self._until

    def reached(self, until: tuple[int, int]) -> None:
        self._until = until

    def file(self, submission: int, people: Sequence[Filed]) -> None:
        self._forget(submission)
        for role, number, facts in people:
            person = self._index.add(facts)
            self._submission.append(submission)
            self._role.append(_ROLES.index(role))
            self._number.append(number)
            if not self._first[submission]:
                self._first[submission] = person + 1

    def _forget(self, submission: int) -> None:
        if submission >= len(self._first):
            self._first.extend([0] * (submission - len(self._first) + 1))
        first, self._first[submission] = self._first[submission], 0
        person = first - 1
        while first and person < len(self._submission) and self._submission[person] == submission:
            self._index.remove(person)
            person += 1

    def search(self, facts: PersonFacts, least: float, most: int) -> list[tuple[Place, Score]]:
        return [(self._place(one.person), one.score) for one in self._index.search(facts, least, most)]

    def _place(self, person: int) -> Place:
        return Place(self._submission[person], _ROLES[self._role[person]], self._number[person])
