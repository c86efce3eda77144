"""R26: nationality, religion, ethnicity and legal status change nothing of the way that a request takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.model import Submission
from connector.transforms.consent import read_cautions, read_consent
from connector.transforms.registry import RECORDS
from connector.transforms.values import Entry
from forms.tables import load
from tests.conftest import FillIn, Node
from tests.people import request

_STATUS = re.compile(r"nationalit|citizen|religio|confession|ethnic|tribe_of|legal_status|stateless|refugee_status")
_TARGETS: dict[str, dict[str, Any]] = {
    "national": {}, "icrc": {"recipient": "icrc"}, "partner": {"recipient": "national_society", "society": "TR-RC"},
    "ngo": {"recipient": "ngo", "agency": "nrc", "release": "auto"},
}  # fmt: skip


def _without_ids(body: dict[str, Any]) -> Any:
    """What a target received, less what differs between any two requests and the nationality itself."""
    if isinstance(body, dict):
        return {key: _without_ids(value) for key, value in body.items() if key not in _DIFFERS}
    return [_without_ids(one) for one in body] if isinstance(body, list) else body


_DIFFERS = {"id", "sent_at", "given_at", "nationality", "case_code"}


def test_nationality_changes_nothing_of_the_way(node: Node, fill_in: FillIn) -> None:
    """The same request of people of no, one and two nationalities: the same receivers, states, reasons and fields."""
    node.targets = _TARGETS
    ways = []
    for nationality in (None, ["SY"], ["IQ", "AF"]):
        said = {"enq_more": ["nationality"], **({"enq_nationality": nationality} if nationality else {})}
        submission = node.take_in(fill_in(request(said)))
        root = submission["meta/rootUuid"].removeprefix("uuid:")
        case = node.flow.ledger.case(root)
        assert case is not None
        mine = [row for row in node.rows(None) if row.root_id == root]
        states = sorted((str(row.target), row.state, row.error, row.attempts) for row in mine)
        got = {
            name: [_without_ids(body) for body in node.received(name) if body["id"] == case.record_id]
            for name in _TARGETS
        }
        ways.append((states, got))
    assert ways[0] == ways[1] == ways[2]
    assert ways[0][1]["national"]


@pytest.mark.parametrize("form_id", sorted(RECORDS))
def test_no_question_of_status_is_consent_or_caution(form_id: str) -> None:
    """Whatever is answered to a question of nationality, religion, ethnicity or legal status, consent and cautions of
    the record are the same: nothing waits, goes or stays because of it."""
    form = load(form_id)
    asked = [name for name in form.questions if _STATUS.search(name)]
    submission = Submission("kobo", form_id, "r", "i", 1, None, datetime(2026, 11, 21, tzinfo=UTC), {})
    base = {"c_collect": "yes", "info_notice_given": "yes", "consent_giver": "subject", "search_danger": "no"}
    plain = Entry({**base}, {})
    told = Entry({**base, **dict.fromkeys(asked, ("SY",))}, {})
    assert read_consent(form, submission, plain) == read_consent(form, submission, told)
    assert read_cautions(form, submission, plain) == read_cautions(form, submission, told)
