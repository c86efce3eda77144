"""What the service card promises: a catalogue that is data, services apart from people, and nobody named."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from connector.model import Submission
from connector.transforms.registry import to_record
from connector.transforms.service_delivery import ServiceDelivery
from forms.policy import IDENTIFYING, policy
from forms.tables import load


def test_the_catalogue_has_three_tracks_and_23_places() -> None:
    """13 services have a name and a track; ten codes are kept free and are not offered before they get theirs."""
    choices = load("service_delivery").choices
    tracks = Counter(one.filters["track"] for one in choices["service_code"].choices)
    assert {"basic_care": 4, "family_care": 4, "capacity": 5, "none": 10} == tracks
    assert {"basic_care", "family_care", "capacity"} == set(choices["service_track"].names)


def test_services_are_counted_apart_from_the_person() -> None:
    """Two codes on one card are two services to one person, who is known by the case code alone."""
    answers = {
        "interview/interview_date": "2026-11-20",
        "codes_only": "yes",
        "who/case_code": "10148273054",
        "who/be_sex": "female",
        "help/service_code": "housing financial",
    }
    sent = datetime(2026, 11, 20, tzinfo=UTC)
    record = to_record(Submission("kobo", "service_delivery", "r", "i", 1, None, sent, answers))
    assert isinstance(record, ServiceDelivery)
    assert (("housing", "financial"), "10148273054") == (record.services, record.case_code)
    assert record.consent.collected


def test_a_card_names_nobody() -> None:
    """No class of data that identifies, and three screens in all."""
    form = load("service_delivery")
    assert set() == IDENTIFYING & set(policy("service_delivery").class_of.values())
    assert ["interview", "who", "help"] == [row.name for row in form.rows if row["appearance"] == "field-list"]
