"""The programmes of the source documents at their size: counted apart, at once, and by the year in which people count."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector.cli import main
from connector.config import load
from connector.figures.facts import Fact, facts_of
from connector.figures.report import compile_report
from connector.keys import new_master_file
from connector.ledger.figures import counted
from connector.ledger.flow import Ledger
from connector.model import Consent
from connector.transforms.dates import Calendar, to_gregorian
from connector.transforms.people import Interview
from connector.transforms.service_delivery import Beneficiary, ServiceDelivery

PEOPLE, TWICE = 40_120, 19_000  # so many people, of whom so many received two services
BRANCHES = tuple(str(101 + number) for number in range(15))
SECONDS = 20  # a machine that is shared; docs/figures.md has what was measured


def catalogue() -> list[tuple[str, str]]:
    """(service, track) of the form's own list."""
    path = Path(__file__).parents[2] / "forms" / "choices" / "service_code.csv"
    with path.open(encoding="utf-8") as lines:
        return [(row["name"], row["track"]) for row in csv.DictReader(lines) if row["track"] not in {"", "none"}]


def cards() -> Iterator[ServiceDelivery]:
    """A year of Tarahum: one card a person, fifteen branches, three tracks, sex and age as far as they were asked."""
    services = [name for name, _ in catalogue()]
    days = [Interview.model_construct(date=f"2023-{month:02d}-15") for month in range(1, 13)]
    sexes, ages = ("female", "male", None), ("0-4", "5-11", "12-17", "18-59", "60+")
    people = [Beneficiary.model_construct(sex=sex, age_group=age) for sex, age in product(sexes, ages)]
    consent = Consent(collected=True)
    for number in range(PEOPLE):
        first = services[number % len(services)]
        second = services[(number + 7) % len(services)]
        yield ServiceDelivery.model_construct(
            kind="service_delivery", branch=BRANCHES[number % 15], case_code=f"{101 + number % 15}{number:07d}0",
            consent=consent, interview=days[number % 12], beneficiary=people[number % 15],
            services=(first, second) if number < TWICE else (first,), times=1,
        )  # fmt: skip


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    new_master_file(tmp_path / "keys" / "master.key")
    text = 'society = "SA-RC"\ndatabase = "sqlite:///var/silah.db"\nmaster_key_file = "keys/master.key"\n'
    (tmp_path / "silah.toml").write_text(text, encoding="utf-8")
    return tmp_path


def keep(home: Path, batch: list[tuple[str, tuple[Fact, ...]]]) -> Ledger:
    from connector.app import open_ledger

    ledger = open_ledger(load(home / "silah.toml"))
    for begin in range(0, len(batch), 5000):
        some = batch[begin : begin + 5000]
        ledger.database.write(lambda connection, some=some: ledger.fact_book.keep(connection, some))
    return ledger


def test_tarahum_counts_services_apart_from_people(home: Path) -> None:
    """59 120 services to 40 120 people over three tracks and fifteen branches: each number comes out, people are never the
    sum of services, and it takes seconds, with the small numbers hidden as well."""
    ledger = keep(home, [(f"card {number}", facts_of(card, date(2023, 12, 31))) for number, card in enumerate(cards())])
    begun = time.monotonic()
    summed = counted(ledger.database, ledger.fact_book, date(2023, 1, 1), date(2023, 12, 31))
    report = compile_report(summed, (), date(2023, 1, 1), date(2023, 12, 31), public=False)
    took = time.monotonic() - begun
    public = compile_report(summed, (), date(2023, 1, 1), date(2023, 12, 31), public=True)
    print(
        f"{PEOPLE + TWICE:,} services, {len(report.rows):,} rows: {took:.1f} s; hidden as well: {time.monotonic() - begun:.1f} s"
    )
    ledger.database.close()
    track = dict(catalogue())
    services = {row.service: 0 for row in report.rows if row.unit == "events"}
    for row in report.rows:
        if row.unit == "events":
            services[row.service] += row.count or 0
    people = sum(row.count or 0 for row in report.rows if (row.service, row.unit) == ("service_delivery", "people"))
    tracks = {track[service.partition(".")[2]] for service in services}
    assert (sum(services.values()), people, len(tracks)) == (PEOPLE + TWICE, PEOPLE, 3)
    assert {row.branch for row in report.rows} == set(BRANCHES)
    assert len(public.rows) == len(report.rows)
    assert time.monotonic() - begun < SECONDS


def test_iran_counts_by_focal_point_and_solar_year(home: Path) -> None:
    """A year from Nowruz to Nowruz, each focal point for itself; the days beside it belong to the years beside it."""
    days = {
        "first": to_gregorian(Calendar.JALALI, 1403, 1, 1),
        "last": to_gregorian(Calendar.JALALI, 1404, 1, 1) - timedelta(days=1),
    }
    days |= {"before": days["first"] - timedelta(days=1), "after": days["last"] + timedelta(days=1)}
    keep(home, [
        (f"{name} {branch}", (Fact(day, branch, "family_message", "events", count=7),))
        for name, day in days.items()
        for branch in ("IR23", "IR30")
    ]).database.close()  # fmt: skip
    arguments = [
        "--config",
        str(home / "silah.toml"),
        "report",
        "--year",
        "1403",
        "--calendar",
        "jalali",
        "--format",
        "json",
    ]
    result = CliRunner().invoke(main, arguments)
    told = json.loads(result.stdout)
    assert (told["from"], told["to"]) == ("2024-03-20", "2025-03-20")
    assert [(row["branch"], row["count"]) for row in told["rows"]] == [("IR23", 14), ("IR30", 14)]


def test_a_year_that_no_calendar_has_is_refused(home: Path) -> None:
    """With the code and what to do."""
    for options in (["--year", "0", "--calendar", "jalali"], []):
        result = CliRunner().invoke(main, ["--config", str(home / "silah.toml"), "report", *options])
        assert (result.exit_code, "report.period" in result.stderr) == (1, True)
