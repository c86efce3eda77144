"""DHIS2: numbers that are right after repeats, edits and withdrawals, and nothing but numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Misconfigured, TargetError
from connector.model import Recipient
from connector.targets.dhis2 import Dhis2
from tests.targets.benches import Dhis2Bench, target_config
from tests.targets.releases import KARIM, MADE_AT, MARKS, SALMA, release, request, root, stamp, withdrawal
from tests.targets.stub_dhis2 import COMBINATIONS, PEOPLE, REQUESTS, UNIT

FEMALE, MALE, OTHER = COMBINATIONS["female"], COMBINATIONS["male"], COMBINATIONS["*"]


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Iterator[Dhis2Bench]:
    made = Dhis2Bench(tmp_path)
    yield made
    made.close()


def cell(bench: Dhis2Bench, element: str, combination: str, period: str = "202611") -> str | None:
    return bench.stub.values.get((element, period, UNIT, combination))


def test_each_record_is_counted_once(bench: Dhis2Bench) -> None:
    """Three requests, one delivered twice, of which one looks for two people: three and four."""
    two = request(sought=[KARIM, {**KARIM, "sex": "female"}])
    for number, record in [(1, None), (2, None), (2, None), (3, two)]:
        bench.target.deliver(release(record, stamp(number), Recipient.STATISTICS))

    assert ("3", "3", "1") == (cell(bench, REQUESTS, FEMALE), cell(bench, PEOPLE, MALE), cell(bench, PEOPLE, FEMALE))


def test_an_edit_moves_the_number(bench: Dhis2Bench) -> None:
    """The sex was wrong: one fewer there, one more here, in the month in which the record was first counted."""
    bench.target.deliver(release())
    corrected = request(sought=[{**KARIM, "sex": "nr"}])
    bench.target.deliver(release(corrected, stamp(version=2, at=MADE_AT.replace(month=12))))

    assert ("0", "1") == (cell(bench, PEOPLE, MALE), cell(bench, PEOPLE, OTHER))
    assert {"202611"} == {period for _, period, _, _ in bench.stub.values}


def test_a_withdrawal_counts_no_longer(bench: Dhis2Bench) -> None:
    """The numbers are those without the record."""
    for number in (1, 2):
        bench.target.deliver(release(of=stamp(number)))
    bench.target.deliver(withdrawal(stamp(version=2)))

    assert ("1", "1") == (cell(bench, REQUESTS, FEMALE), cell(bench, PEOPLE, MALE))


def test_a_restart_counts_on(bench: Dhis2Bench, tmp_path: Path) -> None:
    """The tally outlives the process, and two processes share it."""
    bench.target.deliver(release())
    settings = {
        "url": bench.server.url,
        "token_file": "token",
        "folder": "tally",
        "mapping": "dhis2.toml",
        "recipient": "statistics",
    }
    other = Dhis2("bench", target_config(tmp_path, type="dhis2", **settings))
    other.deliver(release(of=stamp(2)))
    bench.target.deliver(release(of=stamp(3)))

    assert 3 == bench.count()


def test_a_lost_tally_is_made_again_from_the_receipts(bench: Dhis2Bench, tmp_path: Path) -> None:
    """The folder was lost with its disk: what the ledger was told of each record makes the totals whole, withdrawn ones
    stay out, and the next delivery counts on."""
    two = request(sought=[KARIM, {**KARIM, "sex": "female"}])
    told = [(root(1), 1, bench.target.deliver(release(two)).external_id)]
    bench.target.deliver(release(of=stamp(2)))
    told.append((root(2), 2, bench.target.deliver(withdrawal(stamp(2, version=2))).external_id))
    (bench.folder / "tally.jsonl").unlink()
    table = {"url": bench.server.url, "token_file": "token", "folder": "tally", "mapping": "dhis2.toml"}
    again = Dhis2("bench", target_config(tmp_path, type="dhis2", recipient="statistics", **table), lambda: told)
    again.deliver(release(of=stamp(3)))

    assert ("2", "2", "1") == (cell(bench, REQUESTS, FEMALE), cell(bench, PEOPLE, MALE), cell(bench, PEOPLE, FEMALE))


def test_a_line_that_was_cut_off_is_counted_again(bench: Dhis2Bench, tmp_path: Path) -> None:
    """Power fails while the tally is written: the half line is no line, and the repeat makes it whole."""
    bench.target.deliver(release())
    tally = bench.folder / "tally.jsonl"
    tally.write_bytes(tally.read_bytes() + b'["half')
    bench.target.deliver(release(of=stamp(2)))

    assert [root(1), root(2)] == [json.loads(line)[0] for line in tally.read_text().splitlines()]
    assert 2 == bench.count()


def test_a_lost_answer_counts_nothing_twice(bench: Dhis2Bench) -> None:
    """The number is there and the connection drops: the repeat sends the same number."""
    bench.stub.faults.next("/dataValueSets", drop_connection=True, after=True)
    with pytest.raises(TargetError) as lost:
        bench.target.deliver(release())
    bench.target.deliver(release())

    assert not lost.value.permanent
    assert 1 == bench.count()


def test_nothing_but_numbers_leaves(bench: Dhis2Bench) -> None:
    """Even of a release that holds a whole person, only identifiers of DHIS2 and numbers are sent, and kept in the tally."""
    bench.target.deliver(release(request(SALMA)))
    sent = b"".join(bench.stub.bodies)
    values = json.loads(sent)["dataValues"]

    assert [{"dataElement", "period", "orgUnit", "categoryOptionCombo", "value"}] * 2 == [
        set(value) for value in values
    ]
    kept = sent + (bench.folder / "tally.jsonl").read_bytes()
    assert [] == [
        mark for mark in (*MARKS, "10100000016") if mark.encode() in kept or json.dumps(mark)[1:-1].encode() in kept
    ]


def test_a_mapping_that_would_send_an_answer_is_stopped(tmp_path: Path) -> None:
    """A line without a value list would send an answer as if it were an identifier: parked, nothing is sent."""
    bench = Dhis2Bench(tmp_path)
    text = (
        (tmp_path / "dhis2.toml")
        .read_text()
        .replace('from = "enquirer.sex", values = "sex"', 'from = "enquirer.name.full"')
    )
    (tmp_path / "dhis2.toml").write_text(text)
    settings = {
        "url": bench.server.url,
        "token_file": "token",
        "folder": "tally",
        "mapping": "dhis2.toml",
        "recipient": "statistics",
    }
    with pytest.raises(TargetError) as parked:
        Dhis2("bench", target_config(tmp_path, type="dhis2", **settings)).deliver(release())
    bench.close()

    assert ("target.not_a_uid", True) == (parked.value.code, parked.value.permanent)
    assert [] == bench.stub.bodies


def test_it_is_for_statistics_alone(tmp_path: Path) -> None:
    """A DHIS2 target for anybody who may receive people is refused before anything is served."""
    with pytest.raises(Misconfigured) as refused:
        Dhis2Bench(tmp_path, recipient="own_society")

    assert "statistics" in refused.value.next_step


def test_a_branch_without_a_unit_is_parked(bench: Dhis2Bench) -> None:
    """A record of a branch that the mapping does not know waits for a person."""
    with pytest.raises(TargetError) as parked:
        bench.target.deliver(release(request({"interview": {"branch": "102"}})))

    assert ("target.no_org_unit", True) == (parked.value.code, parked.value.permanent)


@pytest.mark.parametrize("wrapped", [True, False])
def test_values_that_are_ignored_are_no_success(bench: Dhis2Bench, wrapped: bool) -> None:
    """A closed month is ignored with a summary, in the old shape or the new: the delivery is parked and not tallied."""
    bench.stub.wrapped = wrapped
    bench.stub.closed.add("202611")
    with pytest.raises(TargetError) as parked:
        bench.target.deliver(release())
    bench.stub.closed.clear()
    bench.target.deliver(release())

    assert ("target.values_refused", True) == (parked.value.code, parked.value.permanent)
    assert 1 == bench.count()


@pytest.mark.parametrize(
    ("fault", "code", "permanent"),
    [
        ({"status": 503, "headers": {"Retry-After": "60"}}, "target.http_503", False),
        ({"status": 401}, "target.http_401", True),
        ({"status": 200, "body": b"<html>login</html>"}, "target.not_json", False),
        ({"status": 200, "body": b"{}"}, "target.not_json", False),
        ({"drop_connection": True}, "target.cut", False),
    ],
)
def test_each_failure_is_called_by_its_name(
    bench: Dhis2Bench, fault: dict[str, Any], code: str, permanent: bool
) -> None:
    """Tried again or parked; afterwards the number is right."""
    bench.stub.faults.next("/dataValueSets", **fault)
    with pytest.raises(TargetError) as failed:
        bench.target.deliver(release())
    bench.target.deliver(release())

    assert (code, permanent, 1) == (failed.value.code, failed.value.permanent, bench.count())


def test_the_doctor_asks_for_each_element(bench: Dhis2Bench) -> None:
    """`silah check` names a data element that is not there."""
    bench.stub.elements.remove(PEOPLE)
    health = bench.target.check()

    assert (False, "target.element_missing") == (health.ok, health.code)
    assert PEOPLE in health.next_step
