"""Works out of records what an older version of Silah did not write: facts for figures, the end of consents, arrivals.

What is missing is found by itself and filled in small steps while a node serves; `silah report` finishes it first.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import date

from connector.disclosure import consent_until
from connector.errors import SilahError
from connector.figures.facts import collector_of, facts_of
from connector.ledger.derived import Counted, Derived
from connector.ledger.flow import Case, Ledger
from connector.transforms.record import Record
from connector.transforms.registry import from_json

log = logging.getLogger("silah.recounting")


def recount(ledger: Ledger, going_on: Callable[[], bool] = lambda: True) -> int:
    """Fills in whatever is missing, as long as *going_on* says; how many submissions were counted."""
    derived, after, done = Derived(ledger), 0, 0
    while going_on() and (cases := derived.uncounted(after)):
        derived.count([_counted(ledger, case, came_in.date()) for case, came_in in cases])
        after, done = cases[-1][0].id, done + len(cases)
    return done


def _counted(ledger: Ledger, case: Case, day: date) -> Counted:
    """A record that cannot be opened or read counts as nothing; its arrival does."""
    record = _record(ledger, case)
    collector = _collector(ledger, case, record)
    if record is None:
        return Counted(case, (), None, collector)
    return Counted(case, facts_of(record, day), consent_until(record.consent), collector)


def _record(ledger: Ledger, case: Case) -> Record | None:
    try:
        stored = ledger.record(case.id, case.version)
        return from_json(case.form_id, stored) if stored is not None else None
    except (SilahError, ValueError) as error:  # a record of an older shape, or a key that is away
        log.warning("%s: a record could not be counted", type(error).__name__)
        return None


def _collector(ledger: Ledger, case: Case, record: Record | None) -> str | None:
    """Of a form that could not be read the answers as they were tell, as long as they are kept."""
    if record is not None:
        interview = getattr(record, "interview", None)
        return interview.collector if interview else None
    raw = ledger.raw(case.id, case.version)
    return collector_of(json.loads(raw)["answers"]) if raw is not None else None
