"""What every type of target promises, each against the system it writes to or a stub that behaves as that system does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.errors import TargetError
from tests.targets.benches import Bench, Dhis2Bench, EspoBench, HandoverBench, PrimeroBench, WorkbookBench
from tests.targets.releases import KARIM, MARKS, release, request, stamp, withdrawal

BENCHES: dict[str, Callable[[Path], Bench]] = {
    "workbook": WorkbookBench,
    "handover": HandoverBench,
    "primero": PrimeroBench,
    "dhis2": Dhis2Bench,
    "espocrm": EspoBench,
    "espocrm, signed": lambda home: EspoBench(home, signing_secret_file="secret"),
    "primero, by session": lambda home: PrimeroBench(home, login="session"),
}

REFUSING = BENCHES.keys() - {"workbook", "handover"}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each type of target in turn."""
    made = BENCHES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(name="refusing", params=sorted(REFUSING))
def _refusing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each type of target whose other side can refuse for good; a folder cannot."""
    made = BENCHES[request.param](tmp_path)
    yield made
    made.close()


def test_it_holds_what_was_delivered(bench: Bench) -> None:
    """After a delivery the other side holds the record, once."""
    bench.target.deliver(release())

    assert 1 == bench.count()
    held = bench.held(1)
    assert held is not None
    assert bench.identities == ("كريم يوسف الحمصي" in held)


def test_a_repeat_is_harmless(bench: Bench) -> None:
    """The same delivery again, with the same key, changes nothing and has the same receipt."""
    first = bench.target.deliver(release())
    before = bench.held(1)
    again = bench.target.deliver(release())

    assert (first, before, 1) == (again, bench.held(1), bench.count())


def test_a_repeat_that_knows_its_number_is_harmless(bench: Bench) -> None:
    """A delivery that carries the other side's own number, as every later one does, updates that record."""
    first = bench.target.deliver(release())
    bench.target.deliver(release(of=stamp(version=2, held_as=first.external_id)))

    assert 1 == bench.count()


def test_a_newer_version_replaces(bench: Bench) -> None:
    """The next version is the record afterwards, and nothing of the one before remains in what changed."""
    first = bench.target.deliver(release())
    changed = request(sought=[{**KARIM, "name": {"full": "نور يوسف"}, "sex": "female"}])
    bench.target.deliver(release(changed, stamp(version=2, held_as=first.external_id)))

    held = bench.held(1)
    assert held is not None
    assert 1 == bench.count()
    assert bench.identities == ("نور يوسف" in held)
    assert "كريم" not in held


def test_a_person_who_is_no_longer_looked_for_goes(bench: Bench) -> None:
    """Two people looked for, then one: the second one's data are gone."""
    both = request(sought=[KARIM, {**KARIM, "trace_no": "2", "name": {"full": "ليلى يوسف"}}])
    first = bench.target.deliver(release(both))
    before = bench.held(1)
    bench.target.deliver(release(of=stamp(version=2, held_as=first.external_id)))

    after = bench.held(1)
    assert before is not None
    assert after is not None
    assert bench.identities == ("ليلى" in before)
    assert "ليلى" not in after


def test_a_withdrawal_takes_it_back(bench: Bench) -> None:
    """After a withdrawal the other side holds nothing of the record in use; the others stay."""
    first = bench.target.deliver(release())
    bench.target.deliver(release(of=stamp(2)))
    bench.target.deliver(withdrawal(stamp(version=2, held_as=first.external_id)))

    assert bench.held(1) is None
    assert bench.held(2) is not None
    assert 1 == bench.count()


def test_a_withdrawal_is_harmless_twice_and_of_nothing(bench: Bench) -> None:
    """A withdrawal that is repeated, or of what was never delivered, succeeds and makes nothing."""
    bench.target.deliver(withdrawal(stamp(7)))
    first = bench.target.deliver(release())
    for _ in range(2):
        bench.target.deliver(withdrawal(stamp(version=2, held_as=first.external_id)))

    assert 0 == bench.count()


def test_consent_that_is_given_again_delivers_again(bench: Bench) -> None:
    """A record that was withdrawn and is released anew is there again, once."""
    first = bench.target.deliver(release())
    bench.target.deliver(withdrawal(stamp(version=2, held_as=first.external_id)))
    bench.target.deliver(release(of=stamp(version=3, held_as=first.external_id)))

    assert bench.held(1) is not None
    assert 1 == bench.count()


def test_what_may_pass_is_tried_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """While the other side is down the error is not permanent and tells no answer; afterwards there is one record."""
    caplog.set_level(logging.DEBUG)
    bench.down()
    with pytest.raises(TargetError) as failed:
        bench.target.deliver(release())
    bench.up()
    bench.target.deliver(release())

    assert not failed.value.permanent
    assert failed.value.next_step
    assert 1 == bench.count()
    told = f"{failed.value!r} {failed.value.__cause__!r} {caplog.text}"
    assert [] == [mark for mark in MARKS if mark in told]


def test_what_is_refused_is_parked(refusing: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal that repeating cannot mend is permanent, and tells no answer."""
    caplog.set_level(logging.DEBUG)
    refusing.refuse()
    with pytest.raises(TargetError) as failed:
        refusing.target.deliver(release())

    assert failed.value.permanent
    told = f"{failed.value!r} {failed.value.__cause__!r} {caplog.text}"
    assert [] == [mark for mark in MARKS if mark in told]


def test_many_at_once_are_each_there_once(bench: Bench) -> None:
    """Eight threads deliver twenty-four records: each is there once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bench.target.deliver(release(of=stamp(number))), range(1, 25)))

    assert 24 == bench.count()
    assert all(bench.held(number) is not None for number in range(1, 25))


def test_the_doctor_sees_both(bench: Bench) -> None:
    """`check` is well when a delivery could succeed, and says what to do when it could not; it delivers nothing."""
    well = bench.target.check()
    bench.down()
    ill = bench.target.check()
    bench.up()

    assert (True, False) == (well.ok, ill.ok)
    assert ill.code
    assert ill.next_step
    assert 0 == bench.count()
