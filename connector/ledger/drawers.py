"""The index of people on PostgreSQL: drawers by a keyed hash of what a name sounds like, and facts sealed beside them.

Nothing of a name is in the database in clear: a drawer is 64 bits of HMAC-SHA-256 with a key of the ledger, and what is
compared is sealed with the data key of the submission, so that it ends with that key, in backups too. Any process may
file and ask; filing a submission again gives the same.
"""

from __future__ import annotations

import hashlib
import hmac
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Select, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from connector.keys import DataKey
from connector.ledger.candidates import Place
from connector.ledger.flow import Ledger
from connector.ledger.schema import data_keys, filed_people, meta, submissions
from connector.ledger.schema import drawers as drawer_rows
from connector.matching.index import against, keys_of, packed, the_best, unpacked
from connector.matching.people import PersonFacts, Score

_UNTIL = "filed_until"
_MOST_OF_ONE_DRAWER = 4_000
_MOST_ROWS = 20_000  # looked at for one question, the rarest drawers first
_MOST_OPENED = 200  # of those who share most: unsealed, and ordered by sex and birth
_NOTHING_FILED = "-1:0"

# LIMIT inside keeps the planner at the index whatever it believes of the table: a question reads few rows.
_SHORT_LIST = text("""
    WITH asked AS (
        SELECT one.drawer, many.people
        FROM unnest(:asked) AS one (drawer)
        CROSS JOIN LATERAL (
            SELECT count(*) AS people
            FROM (SELECT 1 FROM drawers WHERE drawers.drawer = one.drawer LIMIT :most_of_one + 1) AS seen
        ) AS many
        WHERE many.people BETWEEN 1 AND :most_of_one
    ), opened AS (
        SELECT drawer, people, sum(people) OVER (ORDER BY people, drawer) AS so_far FROM asked
    )
    SELECT inside.person, sum(ln(1 + CAST(:everybody AS double precision) / opened.people)) AS shared
    FROM opened
    CROSS JOIN LATERAL (
        SELECT drawers.person FROM drawers WHERE drawers.drawer = opened.drawer LIMIT :most_of_one
    ) AS inside
    WHERE opened.so_far <= :most
    GROUP BY inside.person
    ORDER BY shared DESC, inside.person
    LIMIT :short_list
""").bindparams(bindparam("asked", type_=ARRAY(BigInteger)))


class Drawers:
    """The index of one ledger on PostgreSQL."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._key = ledger.derive("drawers of people")

    def until(self) -> tuple[int, int]:
        """Up to where changes were filed, as `Candidates.changes` takes it."""
        with self._ledger.database.reading() as connection:
            kept = connection.execute(select(meta.c.value).where(meta.c.key == _UNTIL)).scalar()
        at, _, last = (kept or _NOTHING_FILED).partition(":")
        return int(at), int(last)

    def reached(self, until: tuple[int, int]) -> None:
        """Notes up to where changes were filed."""
        self._ledger.database.write(lambda connection: _note(connection, f"{until[0]}:{until[1]}"))

    def file(self, submission: int, people: Sequence[tuple[str, int, PersonFacts]]) -> None:
        """Puts *people* (role, number, facts) of a submission in the place of those it had; nobody, once it was erased."""
        self._ledger.database.write(lambda connection: self._file(connection, submission, people))

    def _file(self, connection: Connection, submission: int, people: Sequence[tuple[str, int, PersonFacts]]) -> None:
        forget_people(connection, submission)
        wrapped = (
            select(data_keys.c.wrapped, data_keys.c.record_id)
            .join(submissions, submissions.c.record_id == data_keys.c.record_id)
            .where(submissions.c.id == submission)
        )
        kept = connection.execute(wrapped).first()
        if kept is None:
            return
        key = self._ledger.master.unwrap(kept.wrapped, kept.record_id)
        for role, number, facts in people:
            hashed, sealed = self.row(key, kept.record_id, role, number, facts)
            row = insert(filed_people).values(
                submission_id=submission, role=role, number=number, drawers=hashed.tobytes(), sealed=sealed
            )
            person = connection.execute(row.returning(filed_people.c.id)).scalar_one()
            if hashed:
                connection.execute(insert(drawer_rows), [{"drawer": one, "person": person} for one in hashed])

    def row(self, key: DataKey, record_id: str, role: str, number: int, facts: PersonFacts) -> tuple[array[int], bytes]:
        """What is kept of a person: the drawers, and the facts sealed."""
        hashed = array("q", sorted(self._hashed(facts)))
        return hashed, key.seal(packed(facts), _context(record_id, role, number))

    def search(self, facts: PersonFacts, least: float, most: int) -> list[tuple[Place, Score]]:
        """The people who score at least *least* with *facts*, the best first, at most *most* of them."""
        asked = sorted(self._hashed(facts, asking=True))
        if not asked:
            return []
        with self._ledger.database.reading() as connection:
            shared = {row.person: row.shared for row in self._short_list(connection, asked)}
            rows = connection.execute(_sealed(list(shared))).all()
        places, known = (
            {row.id: Place(row.submission_id, row.role, row.number) for row in rows},
            dict(self._opened(rows)),
        )
        ordered = sorted(known, key=lambda person: (_against(facts, known[person]) - shared[person], person))
        found = the_best(facts, ((person, known[person]) for person in ordered), least, most)
        return [(places[one.person], one.score) for one in found]

    def _short_list(self, connection: Connection, asked: Sequence[int]) -> Sequence[Row[Any]]:
        everybody = connection.execute(select(func.max(filed_people.c.id))).scalar() or 0  # nearly: a count reads all
        told = {
            "asked": asked, "everybody": everybody, "most_of_one": _MOST_OF_ONE_DRAWER, "most": _MOST_ROWS,
            "short_list": _MOST_OPENED,
        }  # fmt: skip
        return connection.execute(_SHORT_LIST, told).all()

    def _opened(self, rows: Sequence[Row[Any]]) -> Iterator[tuple[int, PersonFacts]]:
        for row in rows:
            key = self._ledger.master.unwrap(row.wrapped, row.record_id)
            yield row.id, unpacked(key.open(row.sealed, _context(row.record_id, row.role, row.number)))

    def _hashed(self, facts: PersonFacts, *, asking: bool = False) -> set[int]:
        keys = (hmac.digest(self._key, key.encode(), hashlib.sha256) for key in keys_of(facts, asking=asking))
        return {int.from_bytes(digest[:8], "big", signed=True) for digest in keys}


def forget_people(connection: Connection, submission: int) -> None:
    """Nobody of this submission is filed any more."""
    mine = filed_people.c.submission_id == submission
    for row in connection.execute(select(filed_people.c.id, filed_people.c.drawers).where(mine)).all():
        filed = drawer_rows.c.drawer.in_(array("q", row.drawers).tolist())
        connection.execute(delete(drawer_rows).where(filed, drawer_rows.c.person == row.id))
    connection.execute(delete(filed_people).where(mine))


def _sealed(people: Sequence[int]) -> Select[Any]:
    return (
        select(filed_people, submissions.c.record_id, data_keys.c.wrapped)
        .join(submissions, submissions.c.id == filed_people.c.submission_id)
        .join(data_keys, data_keys.c.record_id == submissions.c.record_id)
        .where(filed_people.c.id.in_(people))
    )


def _against(asked: PersonFacts, known: PersonFacts) -> float:
    birth = known.birth
    return against(asked, known.sex, *((birth.earliest.toordinal(), birth.latest.toordinal()) if birth else (0, 0)))


def _context(record_id: str, role: str, number: int) -> str:
    return f"{record_id}:{role}:{number}:filed"


def _note(connection: Connection, until: str) -> None:
    if not connection.execute(update(meta).where(meta.c.key == _UNTIL).values(value=until)).rowcount:
        connection.execute(insert(meta).values(key=_UNTIL, value=until))
