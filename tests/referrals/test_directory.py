"""The directory as data: what is not offered, not for this person or full is refused before it is sent or accepted."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from connector.errors import Refused
from connector.ledger.directory import OWN
from connector.referrals.directory import COLUMNS, Service, ages, read_directory
from connector.referrals.handover import LANGUAGES, handover_page
from tests.referrals.nodes import CANARIES, Pair

SECRET = "Canary Street 5"
ROWS = [
    {
        "code": "shelter", "name": "إيواء", "track": "basic_care", "branch": "301", "status": "active", "accepts_referrals": "yes",
        "min_age": "18", "max_age": "", "serves_sex": "female", "places": "1", "agreement": "MoU 12", "agreement_until": "2099-12-31",
    },
    {"code": "education_service", "name": "Education", "status": "inactive"},
]  # fmt: skip
HSDS = {
    "services": [
        {
            "id": "1", "name": "إيواء", "status": "active", "minimum_age": 18, "program": {"name": "basic_care"},
            "attributes": [{"taxonomy_term": {"code": "shelter", "taxonomy": "silah"}}, {"taxonomy_term": {"code": "BH-180", "taxonomy": "211"}}],
            "capacities": [{"available": 1}], "service_at_locations": [{"location": {"addresses": [{"address_1": SECRET}]}}],
            "phones": [{"number": "+962 6 000 0000"}],
        }
    ]
}  # fmt: skip


def csv_file(folder: Path) -> Path:
    path = folder / "services.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.DictWriter(out, [*COLUMNS, "address"], restval="")
        writer.writeheader()
        writer.writerows([{**row, "address": SECRET} for row in ROWS])
    return path


def xlsx_file(folder: Path) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append([*COLUMNS, "address"])
    for row in ROWS:
        sheet.append([*[row.get(column) for column in COLUMNS], SECRET])
    book.save(folder / "services.xlsx")
    return folder / "services.xlsx"


def hsds_file(folder: Path) -> Path:
    path = folder / "services.json"
    path.write_text(json.dumps(HSDS), encoding="utf-8")
    return path


@pytest.mark.parametrize("make", [csv_file, xlsx_file, hsds_file])
def test_a_directory_is_read_from_what_people_have(tmp_path: Path, make: Any) -> None:
    """HSDS 3, a table in CSV, a spreadsheet: the same service; its address is nowhere."""
    found = read_directory(make(tmp_path))
    shelter = found[0]

    assert ("shelter", "إيواء", "basic_care", 18, 1, True) == (
        shelter.code, shelter.name, shelter.track, shelter.min_age, shelter.places, shelter.active,
    )  # fmt: skip
    assert SECRET not in repr(found)
    assert [True, False][: len(found)] == [one.active for one in found]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.csv", "code,name,min_age\nshelter,Shelter,young\n", "directory.bad_row"),
        ("a.csv", "code,name\nshelter,A\nshelter,B\n", "directory.twice"),
        ("a.csv", "code,name\nCall Zahra,A\n", "directory.bad_row"),
        ("a.json", '{"services": [{"name": "x"}]}', "directory.unreadable"),
        ("a.json", "[", "directory.unreadable"),
        ("a.ods", "", "directory.unknown_format"),
    ],
)
def test_a_bad_directory_is_refused_whole(tmp_path: Path, name: str, text: str, code: str) -> None:
    """The row and the column are named; nothing is taken."""
    (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(Refused) as error:
        read_directory(tmp_path / name)

    assert code == error.value.code


@pytest.mark.parametrize(
    ("service", "changes", "code"),
    [
        ({}, {"services_requested": ["financial"]}, "directory.no_such_service"),
        ({"active": False}, {}, "directory.closed"),
        ({"places": 0}, {}, "directory.no_places"),
        ({"serves_sex": "male"}, {}, "directory.not_eligible"),
        ({"min_age": 60}, {}, "directory.not_eligible"),
        ({"max_age": 17}, {}, "directory.not_eligible"),
        ({"agreement_until": date(2020, 1, 1)}, {}, "directory.agreement_over"),
        ({"min_age": 18, "serves_sex": "female", "places": 3, "agreement_until": date(2099, 1, 1)}, {}, None),
    ],
)
def test_a_partners_directory_is_looked_up_before_sending(
    pair: Pair, service: dict[str, Any], changes: dict[str, Any], code: str | None
) -> None:
    """Not offered, closed, full, not for this person, agreement over: refused here, nothing is kept or sent."""
    partner = pair.sender.exchange.referrals.partner("shelter")
    offered = Service.model_validate({"code": "psychosocial_service", "name": "Somebody to talk to", **service})
    pair.sender.exchange.directory.replace(partner.fingerprint, [offered], "test")
    if code is None:
        pair.new(**changes)
        return

    with pytest.raises(Refused) as error:
        pair.new(**changes)

    assert code == error.value.code
    assert [] == pair.sender.exchange.referrals.rows()


def test_a_full_house_accepts_nobody_until_a_place_is_free(pair: Pair) -> None:
    """One place, two referrals: the second acceptance is refused and the state stays; once the first ended it is taken."""
    one_place = [Service(code="psychosocial_service", name="Somebody to talk to", places=1)]
    pair.receiver.exchange.directory.replace(OWN, one_place, "test")
    first, second = pair.delivered(), pair.delivered()
    pair.receiver.do(first, "accept")
    free = [left for _, left in pair.receiver.exchange.referrals.free_places()]

    with pytest.raises(Refused) as error:
        pair.receiver.do(second, "accept")

    assert [0] == free
    assert "directory.no_places" == error.value.code
    assert "received" == pair.receiver.state(second)

    pair.receiver.do(first, "complete", outcome="completed_full")
    pair.receiver.do(second, "accept")

    assert "accepted" == pair.receiver.state(second)


def test_without_a_directory_nothing_is_refused(pair: Pair) -> None:
    """Knowing nothing of a partner is no reason not to ask."""
    referral_id = pair.delivered(services_requested=["financial"])
    pair.receiver.do(referral_id, "accept")

    assert "accepted" == pair.receiver.state(referral_id)


@pytest.mark.parametrize(("group", "expected"), [("18-59", (18, 59)), ("60+", (60, 200)), ("nr", (0, 200))])
def test_age_groups_are_ranges(group: str, expected: tuple[int, int]) -> None:
    """What is not recorded is anybody."""
    assert expected == ages(group)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_handover_list_tells_codes_and_times_and_no_name(pair: Pair, language: str) -> None:
    """Open referrals only, late ones marked, who took over; right to left where it is read so; nothing personal."""
    late, done = pair.delivered(), pair.new()
    pair.sender.do(done, "cancel")
    pair.sender.exchange.referrals.take_over(late, "noura<b>")
    pair.clock.forward(hours=80)
    page = handover_page(pair.sender.exchange.referrals.rows(), datetime.now(UTC) + timedelta(hours=80), language)

    assert 1 == page.count('<tr class="late">')
    assert 2 == page.count("<tr")
    assert ('dir="rtl"' in page) == (language in {"ar", "fa"})
    assert "noura&lt;b&gt;" in page
    assert not any(word in page for word in CANARIES.values())
