"""How long matching takes and whom it finds: `python -m tests.benchmarks.matching [--postgres] [how many people …]`.

Synthetic people alone: half of the names from the table of common names, half made up after the patterns of Arabic
names (fa'il, fa'iil, maf'ul …), in Arabic or Latin letters, in two to four parts, with a year of birth, a sex and a
district. Each question is a person who is filed, in another spelling, up to a year off, two of ten from another district.
Told are the processor's seconds, as the machine may have other work; with PostgreSQL those of its processes too.
`shares` is how many of those asked for share an opened drawer with the question, `short` how many are on the short
list, `scored` how many get the full score, `found` how many of them score enough; `others` is how many more candidates
a question has.
"""

from __future__ import annotations

import random
import resource
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from importlib.resources import files
from itertools import accumulate, product
from pathlib import Path

import psycopg
from sqlalchemy import text

from connector.filing import Filing, InMemory
from connector.keys import MasterKey
from connector.ledger.database import Database
from connector.ledger.drawers import Drawers
from connector.ledger.flow import Ledger
from connector.matching import Interval, PersonFacts, score_people
from tests import postgres

QUESTIONS = 300
LEAST = 0.5
_MOST = 60
_SAME_DISTRICT = 0.8
Name = tuple[Sequence[str], Sequence[str]]  # spellings in Arabic, in Latin letters
_CONSONANTS = [
    ("ب", "b"), ("ت", "t"), ("ج", "j dj g"), ("ح", "h"), ("خ", "kh"), ("د", "d"), ("ر", "r"), ("ز", "z"), ("س", "s ss"),
    ("ش", "sh ch"), ("ع", "a"), ("غ", "gh"), ("ف", "f"), ("ق", "q k"), ("ك", "k"), ("ل", "l"), ("م", "m"), ("ن", "n"),
]  # fmt: skip
_PATTERNS = [  # Arabic, and Latin spellings: 1 2 3 are the consonants of the root
    ("1ا23", "1a2i3 1aa2i3 1a2e3"),
    ("12ي3", "1a2i3 1a2ee3 1a2iy3"),
    ("م12و3", "ma12ou3 ma12u3 ma12oo3"),
    ("123ان", "1a23an 1e23an 1a23ane"),
    ("12و3ي", "1a2ou3i 1a2u3y 1a2oo3i"),
    ("ال12ا3ي", "al1a2a3i el1a2a3i al-1a2aa3y"),
]


def names(dice: random.Random, made_up: int) -> tuple[list[Name], list[float]]:
    """Names, and the sums of their weights: the common ones by their class, and many rare ones."""
    known: list[Name] = []
    weights: list[float] = []
    for line in files("connector.matching").joinpath("common_names.tsv").read_text("utf-8").splitlines():
        rank, _, arabic, latin = line.split("\t")
        if arabic and latin:
            known.append((arabic.split(), latin.split()))
            weights.append(0.08 / 3 ** int(rank))
    common = sum(weights)
    for root in dice.sample(list(product(_CONSONANTS, _CONSONANTS, _CONSONANTS, _PATTERNS)), made_up):
        *consonants, (arabic, latin) = root
        known.append(([_written(arabic, consonants, dice)], [_written(one, consonants, dice) for one in latin.split()]))
        weights.append(common / made_up)
    return known, list(accumulate(weights))


def _written(pattern: str, root: Sequence[tuple[str, str]], dice: random.Random) -> str:
    for place, (arabic, latin) in enumerate(root, 1):
        letter = dice.choice(latin.split()) if pattern.isascii() else arabic
        pattern = pattern.replace(str(place), letter)
    return pattern


def person(dice: random.Random, pool: tuple[list[Name], list[float]]) -> tuple[list[Name], PersonFacts]:
    chosen = dice.choices(pool[0], cum_weights=pool[1], k=dice.choice((2, 3, 3, 4)))
    return chosen, told(dice, chosen, dice.randrange(1950, 2022), dice.choice(("male", "female")), dice.randrange(200))


def told(dice: random.Random, chosen: list[Name], year: int, sex: str, district: int) -> PersonFacts:
    script = dice.randrange(2)
    written = " ".join(dice.choice(one[script]) for one in chosen)
    place = ("SY", f"SY{district // 10:02}", f"SY{district:04}")
    return PersonFacts(names=(written,), birth=Interval(date(year, 1, 1), date(year, 12, 31)), sex=sex, places=(place,))


def retold(dice: random.Random, chosen: list[Name], facts: PersonFacts) -> PersonFacts:
    """The same person as another clerk wrote them down."""
    assert facts.birth is not None
    assert facts.sex is not None
    year = facts.birth.earliest.year + dice.randint(-1, 1)
    district = int(facts.places[0][2][2:]) if dice.random() < _SAME_DISTRICT else dice.randrange(200)
    return told(dice, chosen, year, facts.sex, district)


@dataclass(frozen=True)
class Question:
    """A person who is filed, by the number of their submission, as somebody else tells of them."""

    submission: int
    filed: PersonFacts
    asked: PersonFacts


class Crowd:
    """*count* people, always the same, and questions for some of them."""

    def __init__(self, count: int) -> None:
        self._dice, self._count = random.Random(count), count
        self._pool = names(self._dice, 20_000)
        self.questions: list[Question] = []

    def __iter__(self) -> Iterator[tuple[int, PersonFacts]]:
        every = max(1, self._count // QUESTIONS)
        for submission in range(1, self._count + 1):
            chosen, facts = person(self._dice, self._pool)
            if submission % every == 0 and len(self.questions) < QUESTIONS:
                self.questions.append(Question(submission, facts, retold(self._dice, chosen, facts)))
            yield submission, facts


def measure(count: int) -> str:
    """The embedded tier."""
    filing, crowd, before = InMemory(), Crowd(count), resident()
    building = 0.0
    for submission, facts in crowd:
        begun = time.thread_time()
        filing.file(submission, [("sought", 1, facts)])
        building += time.thread_time() - begun
    grown, times = resident() - before, asked(filing, crowd, time.thread_time)
    stages = _stages(filing, crowd)
    return f"{count:>9} people  built in {building:6.1f} s  {times}  {resident():5.0f} MB ({grown:.0f} of people)  {stages}"


def measure_postgres(count: int) -> str:
    """The second tier: the same rows as filing them one by one makes, loaded at once; then some are filed one by one."""
    server = postgres.Server(durable=True)
    try:
        ledger = Ledger(Database(server.database()), MasterKey(secrets.token_bytes(32)), lambda: datetime.now(UTC))
        filing, crowd = Drawers(ledger), Crowd(count)
        begun = time.perf_counter()
        _load(ledger, filing, crowd, count)
        loaded = time.perf_counter() - begun
        clock = partial(_with_server, server)
        asked(filing, crowd, clock)  # what is asked often is in memory, as on a server that runs
        times = asked(filing, crowd, clock)
        begun = clock()
        for number, one in enumerate(crowd.questions, 1):
            filing.file(number, [("sought", 1, one.asked)])
        each = (clock() - begun) / len(crowd.questions) * 1000
        with ledger.database.reading() as connection:
            size = connection.execute(text(_SIZE)).scalar_one() / 1e6
        ledger.database.close()
        return (
            f"{count:>9} people  loaded in {loaded:.0f} s  filing one {each:.1f} ms  {times}  {size:.0f} MB on the disk"
        )
    finally:
        server.close()


def _with_server(server: postgres.Server) -> float:
    """Seconds of the processor: of the whole process, and of PostgreSQL's for its connections."""
    master = server._process.pid
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    spent = sum(int(Path(f"/proc/{one}/schedstat").read_text().split()[0]) for one in children)
    return time.process_time() + spent / 1e9


_SIZE = "SELECT pg_total_relation_size('drawers') + pg_total_relation_size('filed_people')"
_SUBMISSIONS = """
    INSERT INTO submissions (record_id, server, form_id, root_id, ord, instance_id, version, state, presence,
        approved_version, touched, first_at, changed_at)
    SELECT 'r' || one, 'kobo', 'tracing_request', 'r' || one, one, '', 1, 'live', 'listed', 0, 0, 0, 0
    FROM generate_series(1, :count) AS one
"""


def _load(ledger: Ledger, filing: Drawers, crowd: Crowd, count: int) -> None:
    ledger.database.write(lambda connection: connection.execute(text(_SUBMISSIONS), {"count": count}))
    dsn = ledger.database.url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as two, psycopg.connect(dsn) as three:
        keys = one.cursor().copy("COPY data_keys (record_id, wrapped, key_id) FROM STDIN")
        people = two.cursor().copy("COPY filed_people (submission_id, role, number, drawers, sealed) FROM STDIN")
        rows = three.cursor().copy("COPY drawers (drawer, person) FROM STDIN")
        with keys as keys_in, people as people_in, rows as rows_in:
            for submission, facts in crowd:
                key, record_id = ledger.master.new_data_key(), f"r{submission}"
                keys_in.write_row((record_id, ledger.master.wrap(key, record_id), ledger.master.key_id))
                hashed, sealed = filing.row(key, record_id, "sought", 1, facts)
                people_in.write_row((submission, "sought", 1, hashed.tobytes(), sealed))
                for drawer in hashed:
                    rows_in.write_row((drawer, submission))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE drawers, filed_people")


def asked(filing: Filing, crowd: Crowd, clock: Callable[[], float]) -> str:
    took, found, others = [], 0, 0
    for one in crowd.questions:
        begun = clock()
        places = [place.submission for place, _ in filing.search(one.asked, LEAST, _MOST)]
        took.append(clock() - begun)
        found += one.submission in places
        others += len(places) - (one.submission in places)
    many = len(crowd.questions)
    slowest = f"query p50/p99 {_of(took, 0.5):.0f}/{_of(took, 0.99):.0f} ms"
    return f"{slowest}  found {found / many:.3f}  others {others / many:.2f}"


def _stages(filing: InMemory, crowd: Crowd) -> str:
    """Where those who are not found are lost."""
    index = filing._index
    shares = short = scored = enough = 0
    for one in crowd.questions:
        person = filing._first[one.submission] - 1
        shares += person in index._shared(one.asked)
        ordered = [number for number, _ in index.likely(one.asked)]
        short += person in ordered
        scored += person in ordered[:60]
        enough += score_people(one.asked, one.filed).value >= LEAST
    parts = {"shares": shares, "short": short, "scored": scored, "would score enough": enough}
    return "  ".join(f"{name} {value / len(crowd.questions):.3f}" for name, value in parts.items())


def resident() -> float:
    """Megabytes of the process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _of(seconds: list[float], share: float) -> float:
    """The milliseconds that *share* of the questions stayed within."""
    return sorted(seconds)[int(len(seconds) * share)] * 1000


if __name__ == "__main__":
    second = "--postgres" in sys.argv
    for wanted in [int(one) for one in sys.argv[1:] if one.isdigit()] or [10_000, 100_000, 1_000_000]:
        print(measure_postgres(wanted) if second else measure(wanted), flush=True)
