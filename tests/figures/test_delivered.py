"""Services that were delivered already, counted in bulk: 59 000 rows, people apart from services and by situation."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from openpyxl import Workbook

from connector import config as configuration
from connector.app import open_ledger
from connector.errors import Refused
from connector.figures.delivered import COLUMNS
from connector.ledger.flow import Ledger
from connector.recording import record_delivered
from connector.reporting import figures
from connector.setup import new_key

_DAY = "2023-05-04"
ROWS: Sequence[Sequence[str]] = [
    ("1", _DAY, "501", "housing", "p1", "prisoner", "male", "18-59", ""),
    ("2", _DAY, "501", "financial", "p1", "prisoner", "male", "18-59", "3"),
    ("3", _DAY, "501", "housing", "p2", "family", "female", "0-4", "1"),
    ("4", _DAY, "501", "housing", "p3", "released", "", "", ""),
    ("5", _DAY, "501", "medical", "", "", "", "", "2"),
]


class Office:
    """One ledger and its configuration."""

    def __init__(self, folder: Path) -> None:
        list(new_key(folder / "keys" / "master.key"))
        text = 'society = "SA-RCA"\ndatabase = "sqlite:///silah.db"\nmaster_key_file = "keys/master.key"\n'
        (folder / "silah.toml").write_text(text, encoding="utf-8")
        self.config = configuration.load(folder / "silah.toml")
        self.ledger: Ledger = open_ledger(self.config)

    def counts(self, *, public: bool = False) -> dict[tuple[str, str], int | None]:
        """(service, unit) -> all of it."""
        from datetime import date

        found: dict[tuple[str, str], int | None] = {}
        for row in figures(self.config, self.ledger, date(2023, 1, 1), date(2023, 12, 31), public=public).rows:
            before = found.get((row.service, row.unit), 0)
            found[row.service, row.unit] = None if None in {before, row.count} else (before or 0) + (row.count or 0)
        return found


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    one = Office(tmp_path)
    yield one
    one.ledger.database.close()


def _table(file: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> Path:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([columns, *rows])
    return file


def test_services_and_people_are_counted_apart(office: Office, tmp_path: Path) -> None:
    """Eight services, three people; prisoners, released and families each apart."""
    assert 5 == record_delivered(office.ledger, _table(tmp_path / "done.csv", ROWS), "tarahum", "test")
    counts = office.counts()
    events = {service: number for (service, unit), number in counts.items() if unit == "events"}
    people = {service: number for (service, unit), number in counts.items() if unit == "people"}
    assert {"service_delivery.housing": 3, "service_delivery.financial": 3, "service_delivery.medical": 2} == events
    assert {
        "service_delivery": 3, "service_delivery.housing": 3, "service_delivery.financial": 1, "beneficiary.prisoner": 1,
        "beneficiary.family": 1, "beneficiary.released": 1,
    } == people  # fmt: skip


def test_the_same_row_again_replaces_itself(office: Office, tmp_path: Path) -> None:
    """Imported twice, and corrected: no service is counted double; another list's row of that number is another."""
    file = _table(tmp_path / "done.csv", ROWS)
    for _ in range(2):
        record_delivered(office.ledger, file, "tarahum", "test")
    record_delivered(office.ledger, _table(file, [(*ROWS[0][:-1], "4")]), "tarahum", "test")
    assert 6 == office.counts()["service_delivery.housing", "events"]
    record_delivered(office.ledger, _table(file, [ROWS[0]]), "another list", "test")
    assert 7 == office.counts()["service_delivery.housing", "events"]


def test_a_workbook_holds_the_same(office: Office, tmp_path: Path) -> None:
    """Days as cells of a day, numbers as numbers: the same counts as from the .csv."""
    from datetime import datetime

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    for id_, _, *rest in ROWS:
        sheet.append([int(id_), datetime(2023, 5, 4), *[one or None for one in rest]])  # noqa: DTZ001 (a cell has no zone)
    book.save(tmp_path / "done.xlsx")
    record_delivered(office.ledger, tmp_path / "done.xlsx", "tarahum", "test")
    by_workbook = office.counts()
    record_delivered(office.ledger, _table(tmp_path / "done.csv", ROWS), "tarahum", "test")
    assert by_workbook == office.counts()


def test_other_columns_are_not_read(office: Office, tmp_path: Path) -> None:
    """A list with names in it leaves none of them anywhere."""
    rows = [(*row, "Canary Name") for row in ROWS]
    record_delivered(office.ledger, _table(tmp_path / "done.csv", rows, (*COLUMNS, "name")), "tarahum", "test")
    office.ledger.database.settle()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("silah.db*"))
    assert b"Canary" not in kept
    assert b"p1" not in kept  # people are a keyed hash


def test_small_situations_are_hidden(office: Office, tmp_path: Path) -> None:
    """Published, a small group of the released is hidden, and so is what would give it away by subtraction."""
    rows = [
        (str(number), _DAY, "501", "housing" if number % 2 else "medical", f"p{number}", kind, "male", "18-59", "")
        for number, kind in enumerate(["prisoner"] * 20 + ["family"] * 30 + ["released"] * 2)
    ]
    record_delivered(office.ledger, _table(tmp_path / "done.csv", rows), "tarahum", "test")
    people = {service: n for (service, unit), n in office.counts(public=True).items() if unit == "people"}
    situations = [people[f"beneficiary.{one}"] for one in ("prisoner", "family", "released")]
    assert people["beneficiary.released"] is None
    assert situations.count(None) + (people["service_delivery"] is None) >= 2


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (("6", "04.05.2023", "501", "housing", "", "", "", "", ""), "delivered.bad_row"),
        (("6", _DAY, "501", "housing", "Ali Hasan", "", "", "", ""), "delivered.bad_row"),
        (("6", _DAY, "501", "housing", "", "guard", "", "", ""), "delivered.bad_row"),
        (("6", _DAY, "501", "housing", "", "", "", "", "0"), "delivered.bad_row"),
        (("1", _DAY, "501", "housing", "", "", "", "", ""), "delivered.twice"),
    ],
)
def test_a_bad_row_counts_nothing(office: Office, tmp_path: Path, row: Sequence[str], code: str) -> None:
    """The row and the column are named, no cell is repeated, and nothing of the file was counted."""
    with pytest.raises(Refused, match=code.replace(".", r"\.")) as refused:
        record_delivered(office.ledger, _table(tmp_path / "done.csv", [*ROWS, row]), "tarahum", "test")
    assert "row 7" in str(refused.value)
    assert "Ali" not in str(refused.value)
    assert {} == office.counts()


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("done.pdf", b"x", "delivered.unknown_format"),
        ("done.csv", b"id,day\n1,2023-05-04\n", "delivered.no_column"),
        ("done.csv", b"id,day,branch,service\n\xff\xfe\n", "delivered.unreadable"),
        ("done.xlsx", b"no workbook", "delivered.unreadable"),
    ],
)
def test_a_file_that_is_no_table(office: Office, tmp_path: Path, name: str, data: bytes, code: str) -> None:
    """Refused with a code."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Refused, match=code.replace(".", r"\.")):
        record_delivered(office.ledger, tmp_path / name, "tarahum", "test")


def test_a_year_of_a_committee(office: Office, tmp_path: Path) -> None:
    """6 000 rows go in at a pace at which 59 000 take a minute or two; docs/referrals.md has the measured 59 000."""
    kinds, sexes = ("prisoner", "released", "family"), ("male", "female", "")
    rows = [
        (str(n), f"2023-{n % 12 + 1:02d}-15", str(501 + n % 15), f"service_{n % 23}", f"p{n * 2 // 3}", kinds[n % 3],
         sexes[n % 3], "18-59", "")
        for n in range(6000)
    ]  # fmt: skip
    begun = time.monotonic()
    assert 6000 == record_delivered(office.ledger, _table(tmp_path / "done.csv", rows), "tarahum", "test")
    assert time.monotonic() - begun < 60
    counts = office.counts()
    assert 6000 == sum(number or 0 for (_, unit), number in counts.items() if unit == "events")
