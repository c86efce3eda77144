"""What the officer sees of records that rest on another basis than consent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

from connector.model import Submission
from tests.care.desk import office_of
from tests.conftest import Node

_SAID = {
    "branch_code": "101", "collector_code": "V-07", "interview_date": "2026-11-20", "enq_given": "سلمى",
    "basis_reason": "She cannot be asked and is in danger", "basis_approved_by": "S-01",
}  # fmt: skip


def _take_in(node: Node, **changed: str) -> None:
    answers = {key: value for key, value in (_SAID | changed).items() if value}
    root = str(uuid4())
    sent = datetime(2026, 11, 20, tzinfo=UTC)
    node.flow.keep_all("kobo", [Submission("kobo", "tracing_request", root, root, 1, None, sent, answers)])


def test_other_bases_are_counted_by_codes(node: Node) -> None:
    """R12: how many records rest on which other basis, by form, month, branch and the approver's role; those with a
    consent are in no count, and no reason, name or code of a colleague is in the report."""
    _take_in(node, legal_basis="vital_interest")
    _take_in(node, legal_basis="vital_interest")
    _take_in(node, legal_basis="best_interests", basis_approved_by="S-99")
    _take_in(node, legal_basis="public_interest", basis_approved_by="")
    _take_in(node, legal_basis="consent")
    with office_of(node) as office:
        office.employ("Huda", "supervisor", collector="S-01")
        status, told = office.silah("audit", "bases", "--json")
    assert 0 == status, told
    found = json.loads(told)
    month = f"{node.clock():%Y-%m}"
    expected = [
        ("best_interests", "not_a_user", "yes", 1), ("public_interest", "nobody", "no", 1),
        ("vital_interest", "supervisor", "yes", 2),
    ]  # fmt: skip
    assert [
        {"basis": basis, "form": "tracing_request", "month": month, "branch": "101", "approver": approver,
         "complete": complete, "records": count} for basis, approver, complete, count in expected
    ] == found["counts"]  # fmt: skip
    assert (5, 0) == (found["looked_at"], found["unreadable"])
    assert not [word for word in (_SAID["enq_given"], _SAID["basis_reason"], "V-07", "S-01", "Huda") if word in told]
