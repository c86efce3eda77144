"""Primero: what it drops, what it cannot erase, and the ways in which it fails."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connector import disclosure
from connector.errors import TargetError
from connector.targets.primero import MAPPING, Primero
from connector.transforms.registry import RECORDS
from forms.tables import load
from tests.targets import stub_primero
from tests.targets.benches import PrimeroBench, target_config
from tests.targets.releases import KARIM, registration, release, request, root, stamp, withdrawal

PHOTO = b"\xff\xd8\xff the bytes of a picture"
SECTION = "tracing_request_subform_section"


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Any:
    made = PrimeroBench(tmp_path)
    yield made
    made.close()


def row(bench: PrimeroBench, number: int = 0) -> dict[str, Any]:
    return dict(bench.records[root(1)][SECTION][number])


def test_values_are_mapped_honestly(bench: PrimeroBench) -> None:
    """Primero has no son: it gets other_family; a sex it does not know is sent as nothing; a year is no date of birth."""
    bench.target.deliver(release(request(sought=[{**KARIM, "relation": "son", "sex": "other"}])))
    held = row(bench)

    assert ("other_family", None, None, None) == (
        held["relation"],
        held.get("sex"),
        held.get("date_of_birth"),
        held.get("age"),
    )
    assert ("2025-03-09", "migration") == (held["date_of_separation"], held["separation_cause"])
    assert (34, "primeromodule-cp") == (bench.records[root(1)]["relation_age"], bench.records[root(1)]["module_id"])


def test_what_it_has_no_field_for_stays_in_a_note(bench: PrimeroBench) -> None:
    """Where the form has our note, the relation as it was said and the story are kept in it."""
    bench.stub.forms["tracing_request"]["tracing_request_tracing_request"][SECTION]["silah_note"] = "textarea"
    receipt = bench.target.deliver(release(request(sought=[{**KARIM, "relation": "son"}])))

    assert "relation: son" in row(bench)["silah_note"]
    assert "born: 1995-01-01/1995-12-31" in row(bench)["silah_note"]
    assert ("silah_note",) == receipt.dropped  # the enquirer's form still has none


def test_what_it_drops_is_told(bench: PrimeroBench) -> None:
    """A field that the role's forms do not have is dropped with success: the receipt names it, inside rows too."""
    del bench.stub.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"]
    del bench.stub.forms["tracing_request"]["tracing_request_tracing_request"][SECTION]["telephone_last"]
    receipt = bench.target.deliver(release())

    assert {"relation_telephone", f"{SECTION}.telephone_last", "silah_note", f"{SECTION}.silah_note"} == set(
        receipt.dropped
    )


def test_the_doctor_compares_the_forms_of_the_role(bench: PrimeroBench) -> None:
    """`silah check` names the fields that the role lacks; the optional note is no fault."""
    well = bench.target.check()
    del bench.stub.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"]
    del bench.stub.forms["tracing_request"]["tracing_request_tracing_request"][SECTION]["sex"]
    ill = bench.target.check()

    assert well.ok
    assert (False, "target.fields_missing") == (ill.ok, ill.code)
    assert "relation_telephone" in ill.next_step
    assert f"{SECTION}.sex" in ill.next_step


def test_a_withdrawal_blanks_disables_and_says_so(bench: PrimeroBench) -> None:
    """Primero cannot erase: what we wrote is blanked, traces too, photos are deleted, the record disabled, and told."""
    first = bench.target.deliver(release(photo=PHOTO))
    receipt = bench.target.deliver(withdrawal(stamp(version=2, held_as=first.external_id)))
    everything = json.dumps([bench.records, bench.stub.traces], ensure_ascii=False)

    assert ("record: disabled, not erased",) == receipt.dropped
    assert [] == [word for word in ("كريم", "سلمى", "96170123456", "2025-03-09") if word in everything]
    assert {} == bench.stub.files
    assert not bench.records[root(1)]["record_state"]


def test_what_cannot_be_blanked_is_parked(bench: PrimeroBench) -> None:
    """When Primero keeps a field in spite of a withdrawal a person is told which, and the record is not called withdrawn."""
    bench.target.deliver(release())
    del bench.stub.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"]
    with pytest.raises(TargetError) as parked:
        bench.target.deliver(withdrawal(stamp(version=2)))

    assert ("target.not_removed", True) == (parked.value.code, parked.value.permanent)
    assert "relation_telephone" in parked.value.next_step


def test_what_case_workers_wrote_stays(bench: PrimeroBench) -> None:
    """Rows and fields that Primero's own people added are not touched by our next version."""
    bench.target.deliver(release())
    theirs = {"unique_id": "00000000-0000-4000-8000-000000000009", "name": "theirs"}
    bench.records[root(1)][SECTION].append(theirs)
    bench.records[root(1)]["status"] = "closed"
    bench.target.deliver(release(request(sought=[{**KARIM, "name": {"full": "نور"}}]), stamp(version=2)))

    assert ["نور", "theirs"] == [one["name"] for one in bench.records[root(1)][SECTION]]
    assert "closed" == bench.records[root(1)]["status"]


def test_photos_are_sent_once_and_go_with_the_record(bench: PrimeroBench) -> None:
    """A repeat sends no second copy; a version without the photo deletes it; what others added stays."""
    for _ in range(2):
        bench.target.deliver(release(photo=PHOTO))
    once = list(bench.stub.files.values())
    bench.records[root(1)]["photos"].append({"id": 99, "file_name": "from the case worker.jpg"})
    bench.target.deliver(release(of=stamp(version=2)))

    assert [PHOTO] == once
    assert {} == bench.stub.files
    assert ["from the case worker.jpg"] == [one["file_name"] for one in bench.records[root(1)]["photos"]]


@pytest.mark.parametrize(
    ("photo", "media_type", "code"),
    [
        (PHOTO, "audio/amr", "target.attachment_type"),
        (PHOTO, "image/webp", "target.attachment_type"),
        (bytes(20 * 1024 * 1024 + 1), "image/png", "target.attachment_size"),
    ],
)
def test_a_file_that_it_would_refuse_is_parked_first(
    bench: PrimeroBench, photo: bytes, media_type: str, code: str
) -> None:
    """Types and sizes that Primero refuses are found before anything is sent: no half record."""
    with pytest.raises(TargetError) as parked:
        bench.target.deliver(release(photo=photo, media_type=media_type))

    assert (code, True, 0) == (parked.value.code, parked.value.permanent, bench.count())
    assert [] == bench.stub.asked


def test_sound_goes_into_its_own_field(bench: PrimeroBench) -> None:
    """MP3 and M4A are `recorded_audio`, of the type audio, once."""
    for _ in range(2):
        bench.target.deliver(release(photo=PHOTO, media_type="audio/mp4"))

    assert [".m4a"] == [file["file_name"][-4:] for file in bench.records[root(1)]["recorded_audio"]]
    assert "photos" not in bench.records[root(1)]


def test_a_lost_answer_makes_no_second_record(bench: PrimeroBench) -> None:
    """The record is made and the connection drops before the answer: the repeat finds it, whole, once."""
    bench.stub.faults.next("/tracing_requests$", method="POST", drop_connection=True, after=True)
    with pytest.raises(TargetError) as lost:
        bench.target.deliver(release())
    bench.target.deliver(release())

    assert not lost.value.permanent
    assert (1, 1) == (bench.count(), len(bench.stub.traces))


@pytest.mark.parametrize(
    ("fault", "code", "permanent"),
    [
        ({"status": 503, "headers": {"Retry-After": "60"}}, "target.http_503", False),
        ({"status": 429, "headers": {"Retry-After": "60"}}, "target.http_429", False),
        ({"status": 500}, "target.http_500", False),
        ({"status": 403}, "target.http_403", True),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example"}}, "target.http_302", True),
        ({"status": 200, "body": b"<html>maintenance</html>"}, "target.not_json", False),
        ({"drop_connection": True}, "target.cut", False),
    ],
)
def test_each_failure_is_called_by_its_name(
    bench: PrimeroBench, fault: dict[str, Any], code: str, permanent: bool
) -> None:
    """Limits, faults and pages in place of JSON: tried again or parked, the wait that was asked for honoured, one record after."""
    bench.stub.faults.next(f"/tracing_requests/{root(1)}$", method="GET", **fault)
    with pytest.raises(TargetError) as failed:
        bench.target.deliver(release())
    bench.target.deliver(release())

    assert (code, permanent) == (failed.value.code, failed.value.permanent)
    assert ("headers" in fault and "Retry-After" in fault["headers"]) == (failed.value.retry_after is not None)
    assert 1 == bench.count()


def test_a_slow_answer_is_given_up(tmp_path: Path) -> None:
    """An answer that does not come in time is tried again."""
    bench = PrimeroBench(tmp_path, timeout="200ms")
    bench.stub.faults.next("/tracing_requests$", method="POST", delay_seconds=0.5)
    with pytest.raises(TargetError) as late:
        bench.target.deliver(release())
    bench.close()

    assert ("target.timeout", False) == (late.value.code, late.value.permanent)


def test_a_refused_field_is_named_and_never_its_value(bench: PrimeroBench) -> None:
    """422 parks the delivery and points at the fields."""
    bench.refuse()
    with pytest.raises(TargetError) as refused:
        bench.target.deliver(release())

    assert ("target.http_422", True) == (refused.value.code, refused.value.permanent)
    assert "/relation_telephone" in refused.value.where
    assert "96170" not in str(refused.value)


def test_a_wrong_password_does_not_lock_the_account(bench: PrimeroBench, tmp_path: Path) -> None:
    """After one 401 nothing more is tried for a minute: six would lock the account for half an hour."""
    (tmp_path / "password").write_text("changed")
    wrong = Primero("bench", _config(bench, tmp_path))
    codes = []
    for number in range(1, 10):
        with pytest.raises(TargetError) as refused:
            wrong.deliver(release(of=stamp(number)))
        codes.append((refused.value.code, refused.value.permanent))

    assert [("target.http_401", True)] * 9 == codes
    assert 1 == bench.stub.failures


def test_a_session_that_ended_is_begun_again_once(tmp_path: Path) -> None:
    """Another sign-in of the same user ends ours: one new sign-in, and the delivery succeeds."""
    bench = PrimeroBench(tmp_path, login="session")
    bench.target.deliver(release())
    bench.stub.sessions.clear()
    bench.target.deliver(release(of=stamp(2)))
    bench.close()

    assert (2, 2) == (bench.count(), bench.stub.sign_ins)


def test_a_record_that_was_removed_there_waits_for_a_person(bench: PrimeroBench) -> None:
    """What we delivered is gone at Primero: making it anew is a person's decision."""
    first = bench.target.deliver(release())
    bench.records.clear()
    with pytest.raises(TargetError) as missing:
        bench.target.deliver(release(of=stamp(version=2, held_as=first.external_id)))

    assert ("target.record_missing", True) == (missing.value.code, missing.value.permanent)


@pytest.fixture(name="cases")
def _cases(tmp_path: Path) -> Any:
    made = PrimeroBench(tmp_path, accepts=["child_registration"])
    yield made
    made.close()


def test_a_registered_child_is_a_case(cases: PrimeroBench) -> None:
    """Name in three parts, consent to the search, family, wishes and care: nothing but the note is dropped."""
    receipt = cases.target.deliver(registration())
    case = cases.stub.records["cases"][root(1)]
    family = {row["relation_name"]: row["relation"] for row in case["family_details_section"]}

    assert ("silah_note",) == receipt.dropped
    assert ("يوسف", "كريم", "الحلبي", None) == (
        case["name_first"],
        case["name_middle"],
        case["name_last"],
        case.get("date_of_birth"),
    )
    assert (True, True, "other", "unaccompanied") == (
        case["consent_for_tracing"], case["estimated"], case["interview_subject"], case["protection_status"],
    )  # fmt: skip
    assert {"ليلى حسن": "mother", "كريم الحلبي": "father", "نور": "sister", "سامي": "other_family"} == family
    assert ["kafala"] == [row["care_arrangements_type"] for row in case["care_arrangements_section"]]
    assert [("ليلى حسن", "first_choice")] == [
        (row["wishes_name"], row["wishes_preference_relocated"]) for row in case["child_preferences_section"]
    ]
    assert cases.target.check().ok


@pytest.mark.parametrize(
    ("wishes", "consent"),
    [
        ({"assent": "no", "tracing": "yes"}, False),
        ({"tracing": "no"}, False),
        ({"tracing": "undecided"}, None),
        ({"tracing": "yes"}, True),
    ],
)
def test_a_no_of_the_child_is_no_consent_to_the_search(
    cases: PrimeroBench, wishes: dict[str, str], consent: bool | None
) -> None:
    """Primero matches only with `consent_for_tracing`: a no of the child, or nothing decided, never becomes a yes."""
    cases.target.deliver(registration({"wishes": wishes}))

    assert consent == cases.stub.records["cases"][root(1)].get("consent_for_tracing")


def test_a_child_is_withdrawn_with_the_family(cases: PrimeroBench) -> None:
    """A parent who is no longer named is blanked by the next version; a withdrawal blanks all rows."""
    cases.target.deliver(registration())
    cases.target.deliver(registration({"father": None}, stamp(version=2)))
    family = [row.get("relation_name") for row in cases.stub.records["cases"][root(1)]["family_details_section"]]
    cases.target.deliver(disclosure.retract("child_registration", "child_protection", stamp(version=3)))
    left = json.dumps(cases.stub.records, ensure_ascii=False)

    assert ["ليلى حسن", None, "نور", "سامي"] == family
    assert [] == [word for word in ("يوسف", "الحلبي", "ليلى", "نور", "سامي", "هدى", "3000000") if word in left]
    assert not cases.stub.records["cases"][root(1)]["record_state"]


def test_consent_is_never_overridden() -> None:
    """Neither code nor mapping knows the key by which Primero passes over a missing consent."""
    folder = MAPPING.parent

    assert [] == [
        file.name
        for file in folder.iterdir()
        if file.is_file() and "consent_overridden" in file.read_text(encoding="utf-8")
    ]


def test_the_mapping_covers_every_choice() -> None:
    """Each relation and cause that the form knows has its line, and no line is for a choice that does not exist."""
    values = tomllib.loads(MAPPING.read_text(encoding="utf-8"))["values"]
    form = load("tracing_request")
    unsaid = {"pnts", "nr", "unknown"}

    assert set(values["relation"]) == {choice.name for choice in form.choices_of("s_relation")} - unsaid
    assert set(values["separation_cause"]) == {choice.name for choice in form.choices_of("s_separation_cause")} - unsaid
    assert set(values["relation"].values()) <= set(stub_primero._RELATION)
    assert set(values["separation_cause"].values()) <= set(stub_primero._CAUSE)
    assert "tracing_request" in RECORDS


def _config(bench: PrimeroBench, home: Path) -> Any:
    return target_config(
        home,
        type="primero",
        url=bench.server.url,
        module=stub_primero.MODULE,
        username_file="user",
        password_file="password",
    )


def test_the_doctor_compares_the_choices(bench: PrimeroBench) -> None:
    """A choice that the mapping sends and a form or a lookup lacks would refuse the whole record: `check` names it."""
    well = bench.target.check()
    bench.stub.genders.remove("female")
    trace = bench.stub.forms["tracing_request"]["tracing_request_tracing_request"]["tracing_request_subform_section"]
    trace["relation"]["one of"].remove("aunt")
    ill = bench.target.check()

    assert well.ok
    assert "target.choices_missing" == ill.code
    for named in ("tracing_request_subform_section.relation: aunt", "tracing_request_subform_section.sex: female"):
        assert named in ill.next_step


def test_the_doctor_names_the_line_whose_type_is_refused(bench: PrimeroBench) -> None:
    """A field that takes dates, numbers or ticks alone: the line of the mapping that makes something else, and the mend."""
    bench.stub.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"] = "date_field"
    ill = bench.target.check()

    assert "target.type_refused" == ill.code
    assert re.search(r"`relation_telephone` \(\S+primero_mapping\.toml, line \d+\)", ill.next_step)
    assert 'as = "day"' in ill.next_step


def test_what_would_be_dropped_is_told_beforehand(bench: PrimeroBench) -> None:
    """`preview` asks the role's forms: fields that they lack are named, and nothing is written."""
    del bench.stub.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"]
    told = bench.target.foretell(release())
    bench.target.deliver(release())

    assert ["relation_telephone", "silah_note", "tracing_request_subform_section.silah_note"] == list(told)
    assert 1 == bench.count()
