"""The two people of a candidate, as whoever looks may see them: the minimum, and nobody with restrictions but to their own."""

from __future__ import annotations

from dataclasses import dataclass

from connector.comparing import person_at, record_of
from connector.ledger.candidates import Candidate, Candidates, Place, has_likely_duplicate
from connector.ledger.flow import Case
from connector.ledger.values import DUPLICATE
from connector.matching import Reason
from connector.matching.facts import Person, is_unwanted
from connector.pipeline import Pipeline

MAY_SPEAK_UNSEEN = "supervisor"
OPEN = ("proposed", "confirmed_by_one")


@dataclass(frozen=True)
class Side:
    """One person of a candidate, with the record that tells of them."""

    place: Place
    case: Case
    case_code: str | None
    collector: str | None
    person: Person

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of theirs, in each script in which it was written down."""
        return self.person.facts.names

    def seen_by(self, user: str | None) -> bool:
        """A person with restrictions is seen by their own case worker alone: the user named like the form's collector."""
        return not self.person.restricted or (user is not None and user == self.collector)


Sides = tuple[Side, Side]


def sides(flow: Pipeline, one: Candidate) -> Sides | None:
    """Both people as the newest versions tell of them; None when one of them is not told of any more, or does not want
    contact with the other."""
    left, right = _side(flow, one.left), _side(flow, one.right)
    if left is None or right is None or is_unwanted(left.person, right.person):
        return None
    return left, right


def seen(both: Sides, user: str | None) -> bool:
    """Whether *user* may see both."""
    return all(side.seen_by(user) for side in both)


def may_be_double(flow: Pipeline, case: Case, user: str | None) -> bool:
    """Whether *case* may have been written down twice and nobody has ruled on it, as far as *user* may know of the other."""
    if not has_likely_duplicate(flow.ledger, case.id):
        return False
    pairs = [one for one in Candidates(flow.ledger).all(case.id) if one.kind == DUPLICATE and one.state in OPEN]
    return any((both := sides(flow, one)) is not None and seen(both, user) for one in pairs)


def confirm(flow: Pipeline, id_: str, user: str) -> str | None:
    """`Candidates.confirm`, of people who are still told of and of whom neither wants no contact with the other."""
    pairs = Candidates(flow.ledger)
    one = pairs.one(id_)
    return pairs.confirm(id_, user) if one is not None and sides(flow, one) is not None else "unknown"


def may_speak(both: Sides | None, user: str, role: str | None) -> bool:
    """Of people with restrictions their own case worker speaks, and a supervisor to whom they gave the id."""
    return both is None or seen(both, user) or role == MAY_SPEAK_UNSEEN


def sentence(code: str, language: str) -> str:
    """A reason in words."""
    return Reason(code, 0.0).sentence(language)


def _side(flow: Pipeline, place: Place) -> Side | None:
    case = Candidates(flow.ledger).case(place.submission)
    record = record_of(flow, case)
    person = person_at(record, place) if record is not None else None
    if record is None or person is None:
        return None
    code = getattr(record, "case_code", None)
    interview = getattr(record, "interview", None)
    collector = interview.collector if interview else None
    return Side(place, case, code if isinstance(code, str) else None, collector, person)
