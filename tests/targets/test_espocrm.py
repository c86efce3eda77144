"""EspoCRM: look up, make or replace; and that its stand-in behaves as EspoCRM does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connector import disclosure
from connector.errors import TargetError
from tests.targets.benches import EspoBench
from tests.targets.releases import KARIM, release, request, root, stamp, whole, withdrawal
from tests.targets.stub_espocrm import KEY

PHOTO = b"\xff\xd8\xff the bytes of a picture"
REQUESTS, PEOPLE = "CTracingRequest", "CSoughtPerson"


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Iterator[EspoBench]:
    made = EspoBench(tmp_path)
    yield made
    made.close()


def ask(bench: EspoBench, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"X-Api-Key": KEY, **more.pop("headers", {})}
    return requests.request(method, f"{bench.server.url}/api/v1/{path}", headers=headers, timeout=5, **more)


# ---- the stand-in


def test_the_stand_in_drops_what_it_has_no_field_for(bench: EspoBench) -> None:
    """An unknown field is a success without data; a wrong type is 400 with its reason in a header and a page as body."""
    made = ask(bench, "POST", REQUESTS, json={"name": "1", "caseCode": "2", "nothing": "3"})
    wrong = ask(bench, "POST", REQUESTS, json={"name": "1", "inquiryDate": "20 November"})

    assert (200, "2", False) == (made.status_code, made.json()["caseCode"], "nothing" in made.json())
    assert (400, "Field validation failed", "<html>Error</html>") == (
        wrong.status_code,
        wrong.headers["X-Status-Reason"],
        wrong.text,
    )


def test_the_stand_in_has_no_upsert(bench: EspoBench) -> None:
    """The same again is a second record; with its duplicate check on it is 409 with the list of those found."""
    for _ in range(2):
        ask(bench, "POST", REQUESTS, json={"name": "1"})
    twice = bench.count()
    bench.stub.duplicates = True
    refused = ask(bench, "POST", REQUESTS, json={"name": "1"})
    skipped = ask(bench, "POST", REQUESTS, json={"name": "1"}, headers={"X-Skip-Duplicate-Check": "true"})

    assert (2, 409, "duplicate", 2) == (
        twice,
        refused.status_code,
        refused.headers["X-Status-Reason"],
        len(refused.json()),
    )
    assert 200 == skipped.status_code


def test_the_stand_in_keeps_what_is_deleted(bench: EspoBench) -> None:
    """A deleted record is not found any more, and its data are still in the table."""
    made = ask(bench, "POST", REQUESTS, json={"name": "1", "caseCode": "secret"}).json()
    deleted = ask(bench, "DELETE", f"{REQUESTS}/{made['id']}")

    assert ("true", 404) == (deleted.text, ask(bench, "GET", f"{REQUESTS}/{made['id']}").status_code)
    assert "secret" == bench.stub.records[REQUESTS][made["id"]]["caseCode"]


def test_the_stand_in_wants_its_key(bench: EspoBench) -> None:
    """Without the API key nothing is served."""
    assert 401 == ask(bench, "GET", REQUESTS, headers={"X-Api-Key": "another"}).status_code


# ---- the target


def test_people_looked_for_are_records_of_their_own(bench: EspoBench) -> None:
    """Each is linked to the request; lists are lists, times are UTC as EspoCRM writes them, dates are days."""
    given = request({"agreement": {"given_at": "2026-11-20T18:30:00+02:00", "review_on": "2027-11-20"}})
    bench.target.deliver(release(given))
    [held], [person] = bench.stub.live(REQUESTS), bench.stub.live(PEOPLE)

    assert ("2026-11-20 16:30:00", "2027-11-20", "2026-11-20") == (
        held["consentGivenAt"],
        held["consentReviewOn"],
        held["inquiryDate"],
    )
    assert (["ar", "en"], True, root(1)) == (held["enquirerLanguages"], held["enquirerPhoneSafe"], held["silahId"])
    assert (held["id"], "كريم يوسف الحمصي") == (person["tracingRequestId"], person["fullName"])
    assert "10100000016" == held["name"]


def test_what_it_drops_is_told(bench: EspoBench) -> None:
    """With the entities of docs/targets.md nothing is dropped; a field that one lacks is named in the receipt, those of
    linked records with their entity."""
    whole = bench.target.deliver(release(of=stamp(2))).dropped
    del bench.stub.fields[REQUESTS]["enquirerBorn"]
    del bench.stub.fields[PEOPLE]["circumstances"]

    assert () == whole
    assert ("CSoughtPerson.circumstances", "enquirerBorn") == bench.target.deliver(release()).dropped


@pytest.mark.parametrize("digest", ["raw", "hex"])
def test_requests_are_signed_as_the_version_wants(tmp_path: Path, digest: str) -> None:
    """With a secret every request carries an HMAC; raw bytes or hexadecimal is a setting."""
    bench = EspoBench(tmp_path, signing_secret_file="secret", hmac_digest=digest)
    bench.target.deliver(release(photo=PHOTO))
    bench.close()

    assert 1 == bench.count()


def test_a_lost_answer_makes_no_second_record(bench: EspoBench) -> None:
    """The record is made and the connection drops: the repeat finds it by our key."""
    bench.stub.faults.next(f"/{REQUESTS}$", method="POST", drop_connection=True, after=True)
    bench.stub.faults.next(f"/{PEOPLE}$", method="POST", drop_connection=True, after=True)
    for _ in range(2):
        with pytest.raises(TargetError):
            bench.target.deliver(release())
    bench.target.deliver(release())

    assert (1, 1) == (bench.count(), len(bench.stub.live(PEOPLE)))


def test_a_supposed_duplicate_waits_for_a_person(bench: EspoBench) -> None:
    """EspoCRM takes it for another's: nothing is forced, the delivery is parked with a reason and no name."""
    bench.stub.duplicates = True
    bench.target.deliver(release())
    with pytest.raises(TargetError) as parked:
        bench.target.deliver(release(of=stamp(2)))

    assert ("target.duplicate", True) == (parked.value.code, parked.value.permanent)
    assert 1 == bench.count()


def test_two_records_with_our_key_are_never_guessed_between(bench: EspoBench) -> None:
    """A key that is there twice parks the delivery: neither is overwritten."""
    for _ in range(2):
        ask(bench, "POST", REQUESTS, json={"name": "theirs", "silahId": root(1)})
    with pytest.raises(TargetError) as parked:
        bench.target.deliver(release())

    assert ("target.ambiguous", True) == (parked.value.code, parked.value.permanent)
    assert ["theirs", "theirs"] == [one["name"] for one in bench.stub.live(REQUESTS)]


def test_a_withdrawal_leaves_nothing_in_the_bin(bench: EspoBench) -> None:
    """What is deleted stays in EspoCRM's tables: it is blanked first; photos are deleted; what others linked stays."""
    first = bench.target.deliver(release(photo=PHOTO))
    theirs = ask(bench, "POST", PEOPLE, json={"name": "theirs", "tracingRequestId": first.external_id}).json()
    receipt = bench.target.deliver(withdrawal(stamp(version=2, held_as=first.external_id)))
    everything = json.dumps(bench.stub.records, ensure_ascii=False)

    assert () == receipt.dropped
    assert [] == [word for word in ("كريم", "سلمى", "96170123456", "عبور") if word in everything]
    assert {} == bench.stub.attachments
    assert [theirs["id"]] == [one["id"] for one in bench.stub.live(PEOPLE)]


def test_photos_are_sent_once_and_go_with_the_record(bench: EspoBench) -> None:
    """A repeat sends no second copy; a version without the photo deletes it; what others attached stays."""
    for _ in range(2):
        bench.target.deliver(release(photo=PHOTO))
    sent = [one["data"] for one in bench.stub.attachments.values()]
    [held] = bench.stub.live(REQUESTS)
    bench.stub.attachments["theirs"] = {"id": "theirs", "name": "scan of a letter.jpg", "data": b""}
    held["photosIds"].append("theirs")
    bench.target.deliver(release(of=stamp(version=2)))

    assert [PHOTO] == sent
    assert ["theirs"] == held["photosIds"]
    assert ["theirs"] == list(bench.stub.attachments)


@pytest.mark.parametrize(
    ("fault", "code", "permanent"),
    [
        ({"status": 503, "headers": {"Retry-After": "60"}}, "target.http_503", False),
        ({"status": 500, "body": b"<html>"}, "target.http_500", False),
        ({"status": 403, "headers": {"X-Status-Reason": "No access"}}, "target.http_403", True),
        ({"status": 400}, "target.http_400", True),
        ({"status": 200, "body": b"<html>login</html>"}, "target.not_json", False),
        ({"status": 200, "body": b"[]"}, "target.not_json", False),
        ({"drop_connection": True}, "target.cut", False),
    ],
)
def test_each_failure_is_called_by_its_name(
    bench: EspoBench, fault: dict[str, Any], code: str, permanent: bool
) -> None:
    """At the look-up and at the write: tried again or parked, and exactly one record afterwards."""
    for method in ("GET", "POST"):
        bench.stub.faults.next(f"/{REQUESTS}$", method=method, **fault)
        with pytest.raises(TargetError) as failed:
            bench.target.deliver(release())
        assert (code, permanent) == (failed.value.code, failed.value.permanent)
    bench.target.deliver(release())

    assert (1, 1) == (bench.count(), len(bench.stub.live(PEOPLE)))


def test_the_doctor_asks_for_each_entity(bench: EspoBench) -> None:
    """`silah check` finds a missing entity, and a missing key field."""
    del bench.stub.fields[PEOPLE]["silahId"]
    keyless = bench.target.check()
    del bench.stub.fields[PEOPLE]
    missing = bench.target.check()

    assert ((False, "target.http_400"), (False, "target.http_404")) == (
        (keyless.ok, keyless.code),
        (missing.ok, missing.code),
    )


def test_three_people_and_then_one(bench: EspoBench) -> None:
    """People who are no longer looked for are deleted, and blank in the bin."""
    bench.target.deliver(
        release(request(sought=[KARIM, {**KARIM, "name": {"full": "ليلى"}}, {**KARIM, "name": {"full": "نور"}}]))
    )
    bench.target.deliver(release(of=stamp(version=2)))

    assert ["كريم يوسف الحمصي"] == [one["fullName"] for one in bench.stub.live(PEOPLE)]
    assert "ليلى" not in json.dumps(bench.stub.records, ensure_ascii=False)


# ---- the other kinds of records


def documented_entities() -> dict[str, dict[str, str]]:
    """The entities as docs/targets.md tells an admin to make them: entity -> field -> type."""
    types = {"text": "varchar", "date": "date", "date-time": "datetime", "yes/no": "bool", "multi-enum": "multiEnum",
             "attachment-multiple": "attachmentMultiple", "enum": "varchar"}  # fmt: skip
    text = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    made: dict[str, dict[str, str]] = {}
    for entity, cell in re.findall(r"^\| `(C[A-Za-z]+)` \| (.*) \|$", text, re.MULTILINE):
        made[entity] = {"name": "required"}
        for part in cell.split("; "):
            kind, _, names = part.partition(":")
            link = re.match(r"link `(\w+)`", part)
            fields = [f"{link[1]}Id"] if link else re.findall(r"`(\w+)`", names)
            made[entity] |= dict.fromkeys(fields, "varchar" if link else types[kind])
    return made


@pytest.mark.parametrize("kind", ["tracing_request", "child_registration", "reunification", "family_message"])
def test_every_kind_fits_the_entities_that_the_documents_tell_to_make(tmp_path: Path, kind: str) -> None:
    """With every field filled in nothing is dropped and nothing refused; a repeat and an edit make no second record; a
    withdrawal leaves none."""
    bench = EspoBench(tmp_path, accepts=[kind])
    try:
        bench.stub.fields = documented_entities()
        bench.stub.records = {entity: {} for entity in bench.stub.fields}
        health = bench.target.check()
        receipt = bench.target.deliver(whole(kind))
        bench.target.deliver(whole(kind))
        counts = {entity: len(bench.stub.live(entity)) for entity in bench.stub.fields}
        bench.target.deliver(disclosure.retract(kind, "tracing", stamp(version=2, held_as=receipt.external_id)))
        left = {entity: len(bench.stub.live(entity)) for entity in bench.stub.fields}
    finally:
        bench.close()

    assert (True, ()) == (health.ok, receipt.dropped)
    assert max(counts.values()) >= 1
    assert 1 == counts[bench.target._mapping[kind].to]
    assert set(left.values()) == {0}
