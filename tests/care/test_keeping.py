"""R9, R16: what the form's policy keeps for a time is taken out of the record when it is over, and stays away."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connector.errors import KeyUnavailable
from connector.ledger.schema import versions
from connector.model import Answers, Submission
from connector.purging import purge
from connector.transforms import keeping
from connector.transforms.family_visit import FamilyVisit
from connector.transforms.registry import from_json, to_record
from forms.policy import findings, policy
from forms.tables import load
from tests.conftest import Node
from tests.transforms.test_family_visit import BASE

PAPERS = ("Suad Kamal", "X-998877")
AGREED = {
    "v_relation": "mother", "v_share_permit": "yes", "v_name_full_native": PAPERS[0], "v_doc_type": "passport",
    "v_doc_no": PAPERS[1], "v_sex": "female",
}  # fmt: skip


def visit(day: str | None = "2026-11-21") -> Submission:
    entry = {f"visit/visitor/v_item/{name}": value for name, value in AGREED.items()}
    answers: Answers = {**BASE, "visit/visitor": (entry,), **({"visit/went/visit_date": day} if day else {})}
    return Submission("kobo", "family_visit", "r", "i", 1, None, datetime(2026, 11, 21, tzinfo=UTC), answers)


def stored(node: Node) -> str:
    """Everything of the visit that can still be opened."""
    case = node.flow.ledger.case("r")
    assert case is not None
    opened = [node.flow.ledger.record(case.id, case.version), node.flow.ledger.raw(case.id, case.version)]
    return "".join(one.decode() for one in opened if one is not None)


def keep(node: Node, one: Submission) -> None:
    node.flow.keep_all("kobo", [one])


@pytest.fixture(name="visits")
def _visits(node: Node) -> Node:
    node.targets = {"national": {"accepts": ["family_visit"]}}
    return node


@pytest.mark.parametrize("day", ["2026-11-21", None], ids=["after the visit", "after arrival"])
def test_visitors_papers_go_thirty_days_after_the_visit(visits: Node, day: str | None) -> None:
    """R9: on day 30 they are there, on day 31 nothing of them is: neither in the record nor in the answers as read."""
    now = visits.clock().date()
    visits.clock.forward(days=(date(2026, 11, 21) - now).days)
    keep(visits, visit(day))
    visits.clock.forward(days=30)
    assert 0 == purge(visits.flow, "test").papers
    assert all(one in stored(visits) for one in PAPERS)
    visits.clock.forward(days=1)
    assert 1 == purge(visits.flow, "test", dry_run=True).papers
    assert 1 == purge(visits.flow, "test").papers
    assert not [one for one in (*PAPERS, "passport") if one in stored(visits)]
    assert "mother" in stored(visits)
    assert 0 == purge(visits.flow, "test").papers


def test_what_was_let_go_does_not_come_back(visits: Node) -> None:
    """Read again from the form server after its time, the papers are not kept anew."""
    now = visits.clock().date()
    visits.clock.forward(days=(date(2026, 11, 21) - now).days)
    keep(visits, visit())
    visits.clock.forward(days=31)
    purge(visits.flow, "test")
    keep(visits, visit())
    assert not [one for one in PAPERS if one in stored(visits)]


def test_older_versions_go_with_it(visits: Node) -> None:
    """No version of the submission holds them, and what is left opens with its key as before."""
    keep(visits, visit("2026-12-24"))
    keep(visits, Submission(**{**_fields(visit()), "instance_id": "i2"}))
    visits.clock.forward(days=60)
    purge(visits.flow, "test")
    with visits.flow.ledger.database.reading() as connection:
        rows = connection.execute(select(versions.c.version, versions.c.raw, versions.c.record)).all()
    assert [(1, None, True), (2, None, False)] == [(row.version, row.raw, row.record is None) for row in rows]
    assert json.loads(stored(visits))["visitors"]


def _fields(one: Submission) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Submission.__slots__}


def test_the_rest_of_the_record_is_as_it_was() -> None:
    """Only the classes whose time is over are taken out."""
    record, rules = to_record(visit()), policy("family_visit")
    gone = keeping.over(record, rules, date(2026, 1, 1), date(2026, 12, 22))
    left = keeping.without(record, gone)
    assert isinstance(left, FamilyVisit)
    assert isinstance(record, FamilyVisit)
    assert left.visitors[0].relation == record.visitors[0].relation == "mother"
    assert (left.consent, left.permit, left.visit) == (record.consent, record.permit, record.visit)
    assert left == from_json("family_visit", left.model_dump_json(exclude_defaults=True).encode())
    assert frozenset() == keeping.over(record, rules, date(2026, 1, 1), date(2026, 12, 21))


@pytest.mark.parametrize(
    "line",
    ['"identity.permit" = 30', '"identity.permit" = { days = 0, after = "visit_date" }', '"nothing" = { days = 3, after = "visit_date" }',
     '"identity.permit" = { days = 30, after = "no_such" }', '"identity.permit" = { days = 30 }'],
)  # fmt: skip
def test_a_time_that_cannot_be_read_is_a_fault(tmp_path: Path, line: str) -> None:
    """It would keep papers for ever: `silah forms check` refuses the form, and nothing leaves by that policy."""
    import shutil

    from forms.tables import FORMS

    shutil.copytree(FORMS, tmp_path / "forms", ignore=shutil.ignore_patterns("xlsx", "__pycache__"))
    file = tmp_path / "forms" / "family_visit" / "policy.toml"
    text = file.read_text(encoding="utf-8")
    before = next(one for one in text.splitlines() if one.startswith('"identity.permit" = {'))
    file.write_text(text.replace(before, line), encoding="utf-8")
    assert "keep_faulty" in [one.code for one in findings(load("family_visit", tmp_path / "forms"))]


def test_an_unreadable_key_stops_the_purge_and_nothing_else(visits: Node) -> None:
    """R32: what cannot be opened cannot be shortened, and it is said."""
    keep(visits, visit())
    visits.clock.forward(days=60)
    with visits.flow.ledger.database.reading() as connection:
        assert connection.execute(select(versions.c.record)).scalar()
    from sqlalchemy import update

    broken = update(versions).values(record=b"x" * 40)
    visits.flow.ledger.database.write(lambda connection: connection.execute(broken) and None)
    with pytest.raises(KeyUnavailable):
        purge(visits.flow, "test")
