"""R12: which records rest on another basis than a person's consent, counted for the data protection officer.

Codes and counts alone: by basis, form, month of arrival (UTC), branch, and the role of the supervisor who agreed. Such a
count is small and stays in the house. Every record is opened for it: about a second for a thousand.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from connector.errors import Damaged
from connector.ledger.care import Care
from connector.ledger.flow import Case, Ledger
from connector.ledger.posts import Posts
from connector.transforms.record import Record
from connector.transforms.registry import RECORDS, from_json
from forms.tables import load

log = logging.getLogger("silah.bases")

CONSENT = "consent"
NOBODY, NOT_A_USER, NOT_RECORDED = "nobody", "not_a_user", "not_recorded"
_QUESTION = "legal_basis"


@dataclass(frozen=True, slots=True, order=True)
class OtherBasis:
    """What one count is of. *approver*: a role of Silah; `not_a_user` for a code that is no user's, `nobody` when no
    code was written. *complete* no: reason or approver is missing, and nothing of it leaves."""

    basis: str
    form: str
    month: str
    branch: str
    approver: str
    complete: str


@dataclass(frozen=True, slots=True)
class Bases:
    """The counts, in order; how many records were looked at; how many could not be opened and are in no count."""

    counts: tuple[tuple[OtherBasis, int], ...]
    looked_at: int
    unreadable: int


def bases(ledger: Ledger) -> Bases:
    """Counts every record that is here, in its newest version, of the forms that ask for the basis; erased ones are gone."""
    roles = Posts(ledger).roles_by_code()
    counts: Counter[OtherBasis] = Counter()
    looked_at = unreadable = 0
    for case, came_in in _cases(ledger):
        try:
            record = _record(ledger, case)
        except (Damaged, ValidationError) as error:
            log.warning("%s: a record could not be looked at for its basis", type(error).__name__)
            unreadable += 1
            continue
        looked_at += record is not None
        if record is not None and record.consent.basis != CONSENT:
            counts[_what(record, came_in, roles)] += 1
    return Bases(tuple(sorted(counts.items())), looked_at, unreadable)


def _cases(ledger: Ledger) -> Iterator[tuple[Case, datetime]]:
    for form in RECORDS:
        if _QUESTION in load(form).questions:
            yield from Care(ledger).live_of(form)


def _record(ledger: Ledger, case: Case) -> Record | None:
    stored = ledger.record(case.id, case.version)
    return from_json(case.form_id, stored) if stored is not None else None


def _what(record: Record, came_in: datetime, roles: dict[str, str]) -> OtherBasis:
    consent, code = record.consent, record.consent.approved_by
    approver = roles.get(code, NOT_A_USER) if code else NOBODY
    complete = "yes" if consent.basis_complete else "no"
    return OtherBasis(consent.basis, record.kind, f"{came_in:%Y-%m}", record.branch or NOT_RECORDED, approver, complete)
