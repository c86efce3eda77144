"""The workbook: what the office sees when it opens the file."""

from __future__ import annotations

import csv
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openpyxl import load_workbook

from connector.errors import Misconfigured
from connector.model import Receipt
from tests.conftest import eventually
from tests.targets.benches import WorkbookBench, target_config
from tests.targets.releases import KARIM, MADE_AT, SALMA, release, request, root, stamp, withdrawal

PHOTO = b"\xff\xd8\xff the bytes of a picture"


def test_the_sheet_is_in_the_language_of_the_society(tmp_path: Path) -> None:
    """An Arabic office gets a right-to-left sheet with Arabic headings, and choices as the form calls them."""
    bench = WorkbookBench(tmp_path)
    receipt = bench.target.deliver(release())
    sheet = load_workbook(bench.folder / str(receipt.external_id)).worksheets[0]
    headings = [cell.value for cell in sheet[1]]
    row = dict(zip(headings, [cell.value for cell in sheet[2]], strict=True))

    assert "bench-2026-11.xlsx" == receipt.external_id
    assert "طلب بحث عن شخص" == sheet.title
    assert sheet.sheet_view.rightToLeft
    assert "الأخ" == row["الشخص المبحوث عنه – صلة القرابة بمقدم الطلب"]
    assert "1995-01-01/1995-12-31" == row["الشخص المبحوث عنه – تاريخ الميلاد"]
    assert "+96170123456" == row["مقدم الطلب – رقم الهاتف"]


@pytest.mark.parametrize(
    "answer", ['=HYPERLINK("http://x","y")', "+1+1", "-1+1", "@SUM(A1)", "#N/A", "12", "'quoted", "1e5"]
)
def test_an_answer_never_becomes_a_formula(tmp_path: Path, answer: str) -> None:
    """Whatever somebody's name begins with, the cell is text in .xlsx, is defused in .csv, and survives a rewrite."""
    bench = WorkbookBench(tmp_path, language="en")
    named = request(sought=[{**KARIM, "name": {"full": answer}}])
    bench.target.deliver(release(named))
    bench.target.deliver(release(of=stamp(2)))
    sheet = load_workbook(bench.folder / "bench-2026-11.xlsx").worksheets[0]
    column = [cell.value for cell in sheet[1]].index("Sought person – Full name")
    cell = sheet[2][column]
    [kept] = [row["sought[].name.full"] for row in bench.rows() if row["record"] == root(1)]

    assert (answer, "s") == (cell.value, cell.data_type)
    assert not kept.startswith(("=", "+", "-", "@"))
    assert answer in {kept, kept.removeprefix("'")}


def test_characters_that_no_workbook_holds_do_no_harm(tmp_path: Path) -> None:
    """A control character in an answer is left out of the .xlsx, and the file opens."""
    bench = WorkbookBench(tmp_path, language="en")
    bench.target.deliver(release(request(sought=[{**KARIM, "marks": "scar\x0b\x00 left"}])))
    sheet = load_workbook(bench.folder / "bench-2026-11.xlsx").worksheets[0]

    assert "scar left" in [cell.value for cell in sheet[2]]


def test_a_text_that_does_not_fit_is_told(tmp_path: Path) -> None:
    """A cell holds 32 767 characters: what was cut off is named in the receipt, never silently."""
    bench = WorkbookBench(tmp_path)
    long = request(sought=[{**KARIM, "separation": {"circumstances": "ا" * 40_000}}])

    assert Receipt("bench-2026-11.xlsx", ("sought[].separation.circumstances",)) == bench.target.deliver(release(long))


def test_each_person_looked_for_has_a_line(tmp_path: Path) -> None:
    """Two people sought are two lines with the same key; the enquirer stands in both."""
    bench = WorkbookBench(tmp_path)
    bench.target.deliver(release(request(sought=[KARIM, {**KARIM, "name": {"full": "ليلى"}}])))

    assert [(root(1), "1", "كريم يوسف الحمصي"), (root(1), "2", "ليلى")] == [
        (row["record"], row["line"], row["sought[].name.full"]) for row in bench.rows()
    ]
    assert 1 == len({row["enquirer.name.full"] for row in bench.rows()})


def test_a_withdrawal_blanks_the_line_and_leaves_its_key(tmp_path: Path) -> None:
    """After a withdrawal the line says so and holds nothing else; photo and printable page are gone."""
    bench = WorkbookBench(tmp_path, case_files=True, language="en")
    bench.target.deliver(release(photo=PHOTO))
    stored = sorted(path.parent.name for path in bench.folder.glob("*/*"))
    bench.target.deliver(withdrawal(stamp(version=2)))

    [row] = bench.rows()
    assert ["case-files", "files"] == stored
    assert {"record": root(1), "line": "1", "version": "2", "state": "withdrawn", "received": "2026-11-21"} == {
        column: text for column, text in row.items() if text
    }
    assert [] == list(bench.folder.glob("*/*"))


def test_an_older_version_never_comes_back(tmp_path: Path) -> None:
    """A late repeat of version 1 after version 2 changes nothing."""
    bench = WorkbookBench(tmp_path)
    bench.target.deliver(release(request({"urgency": "life_risk"}), stamp(version=2)))
    bench.target.deliver(release())

    assert ["2"] == [row["version"] for row in bench.rows()]


def test_a_record_stays_in_the_month_in_which_it_came(tmp_path: Path) -> None:
    """An edit in the next month updates the line where it is, also after a restart; a new record begins the new month."""
    bench = WorkbookBench(tmp_path)
    bench.target.deliver(release())
    again = WorkbookBench(tmp_path)
    december = MADE_AT.replace(month=12)
    edited = again.target.deliver(release(of=stamp(version=2, at=december)))
    new = again.target.deliver(release(of=stamp(2, at=december)))

    assert ("bench-2026-11.xlsx", "bench-2026-12.xlsx") == (edited.external_id, new.external_id)
    assert [("2",), ("1",)] == [(row["version"],) for row in again.rows()]


def test_a_full_workbook_is_followed_by_another(tmp_path: Path) -> None:
    """With three lines a file, seven records are in three files; an edit finds its own."""
    bench = WorkbookBench(tmp_path, rows=3)
    books = [bench.target.deliver(release(of=stamp(number))).external_id for number in range(1, 8)]

    assert ["bench-2026-11"] * 3 + ["bench-2026-11-2"] * 3 + ["bench-2026-11-3"] == [str(book)[:-5] for book in books]
    assert "bench-2026-11-2.xlsx" == bench.target.deliver(release(of=stamp(5, version=2))).external_id


def test_nobody_else_may_look(tmp_path: Path) -> None:
    """Folder 0700, files 0600, also where the folder was there before."""
    (tmp_path / "books").mkdir(mode=0o755)
    bench = WorkbookBench(tmp_path, case_files=True)
    bench.target.deliver(release(photo=PHOTO))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [bench.folder, *bench.folder.rglob("*")]}

    assert {0o700, 0o600} == modes
    assert 0o700 == stat.S_IMODE(bench.folder.stat().st_mode)


def test_deliveries_wait_for_one_rewrite_together(tmp_path: Path) -> None:
    """The first is written at once; those that come before the interval is over are written together, and none is
    acknowledged before the file has its name."""
    bench = WorkbookBench(tmp_path, rewrite_every="700ms")
    bench.target.deliver(release())
    began = time.monotonic()
    threads = [
        threading.Thread(target=bench.target.deliver, args=(release(of=stamp(number)),)) for number in range(2, 12)
    ]
    for thread in threads:
        thread.start()
    book = bench.folder / "bench-2026-11.xlsx"
    before = book.stat().st_ino
    for thread in threads:
        thread.join()

    assert time.monotonic() - began >= 0.6
    assert 11 == bench.count()
    assert before != book.stat().st_ino
    eventually(lambda: "workbook" not in {thread.name for thread in threading.enumerate()})


def test_a_stop_waits_for_no_rewrite(tmp_path: Path) -> None:
    """Deliveries that wait for the next minute are written and acknowledged at once when the process is to end."""
    bench = WorkbookBench(tmp_path, rewrite_every="10m")
    bench.target.deliver(release())
    with ThreadPoolExecutor(8) as pool:
        receipts = [pool.submit(bench.target.deliver, release(of=stamp(number))) for number in range(2, 10)]
        eventually(lambda: "workbook" in {thread.name for thread in threading.enumerate()})
        before = [one.done() for one in receipts]
        bench.target.hurry()
        books = {one.result(timeout=10).external_id for one in receipts}

    assert not any(before)
    assert {"bench-2026-11.xlsx"} == books
    assert 9 == bench.count()


def test_two_processes_on_one_folder_lose_nothing(tmp_path: Path) -> None:
    """Two nodes that write into the same folder keep each other's lines."""
    one, other = WorkbookBench(tmp_path), WorkbookBench(tmp_path)
    for number in range(1, 7):
        (one if number % 2 else other).target.deliver(release(of=stamp(number)))

    assert 6 == one.count()


def test_it_is_for_the_own_society_alone(tmp_path: Path) -> None:
    """A workbook for anybody else is refused before anything is served."""
    with pytest.raises(Misconfigured) as refused:
        target_config(tmp_path, type="workbook", folder="books", recipient="icrc")

    assert "own_society" in refused.value.next_step


def test_the_csv_opens_as_utf_8(tmp_path: Path) -> None:
    """The .csv carries its mark, keys as its header, and the same text as the workbook."""
    bench = WorkbookBench(tmp_path)
    bench.target.deliver(release(request(SALMA)))
    data = (bench.folder / "bench-2026-11.tracing_request.csv").read_bytes()
    [row] = csv.DictReader(data.decode("utf-8-sig").splitlines())

    assert data.startswith(b"\xef\xbb\xbf")
    assert "الأخ" == row["sought[].relation"]
