"""What a verification promises: it stays in the own society, names nobody, and is decided by two."""

from __future__ import annotations

from forms.policy import policy
from forms.tables import load


def test_nothing_leaves_the_own_society() -> None:
    """Answers, risks and the decision are for those who look after the case; figures get the branch alone."""
    form = load("verification")
    assert {"own_society", "statistics"} == set().union(*policy("verification").recipients_of.values())
    counted = {name for name in form.questions if policy("verification").may_receive(name, "statistics")}
    assert {"branch_code", "org_code"} == counted


def test_nobody_is_named() -> None:
    """The case is found by its code: no question is of identity, contact or location."""
    classes = set(policy("verification").class_of.values())
    assert set() == classes & {"identity", "contact", "location", "photo"}


def test_two_colleagues_decide() -> None:
    """Both codes are required, and the second cannot be the first."""
    rows = {row.name: row for row in load("verification").rows}
    assert ["yes", "yes"] == [rows[name]["required"] for name in ("decided_by", "decided_by_second")]
    assert ". != ${decided_by}" in rows["decided_by_second"]["constraint"]
