"""Records come from forms of every country: what a pack offers is read, and nothing that no pack offers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.errors import TransformError
from connector.model import Submission
from connector.transforms.registry import to_record
from connector.transforms.service_delivery import ServiceDelivery

SENT = datetime(2026, 11, 20, tzinfo=UTC)


def _record(**answers: str) -> ServiceDelivery:
    given = {"interview_date": "2026-11-20", "codes_only": "yes", "be_sex": "female", **answers}
    record = to_record(Submission("kobo", "service_delivery", "r", "i", 1, None, SENT, given))
    assert isinstance(record, ServiceDelivery)
    return record


def test_services_of_a_country_are_read() -> None:
    """Shelter is in the catalogue of one pack, prevention in that of another, housing in the shared one."""
    assert ("shelter", "prevention", "housing") == _record(service_code="shelter prevention housing").services


def test_a_branch_that_was_typed_is_read() -> None:
    """Its three digits are in no list, because no branch of that pack has a code yet."""
    assert "311" == _record(branch_code="311", office_phone="+98 21 000 000", org_code="IR-RCS").branch


@pytest.mark.parametrize(
    ("question", "answer"), [("service_code", "detention_reason"), ("branch_code", "the one by the river")]
)
def test_what_no_pack_offers_is_refused(question: str, answer: str) -> None:
    """A code that stands in no list, and words where a code is typed."""
    with pytest.raises(TransformError) as raised:
        _record(**{question: answer})
    assert ("answer.unknown_choice", False) == (raised.value.code, answer in str(raised.value))
