"""`silah forms publish`: what reaches the server, what is refused, and that twice changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from connector.errors import Refused, ServerError
from connector.publishing import RING_FIELDS, read_note
from forms.errors import FormError
from tests.publishing.conftest import (
    CASES,
    COLOURS,
    EDITORS_TOKEN,
    FORM,
    HOOK_SECRET,
    READER,
    READERS_TOKEN,
    SURVEY,
    Office,
    settings,
)

AS_EDITOR = {"Authorization": f"Token {EDITORS_TOKEN}"}
RECORD = """<data id="x" version="1"><colour>red</colour><visit><visitors>2</visitors></visit>
<meta><instanceID>uuid:11111111-0000-4000-8000-000000000001</instanceID></meta></data>"""


def seen(office: Office, ref: str) -> dict[str, object]:
    answer = requests.get(f"{office.url}/api/v2/assets/{ref}/", headers=AS_EDITOR, timeout=10)
    return dict(answer.json())


def hooks(office: Office, ref: str) -> list[dict[str, object]]:
    answer = requests.get(f"{office.url}/api/v2/assets/{ref}/hooks/", headers=AS_EDITOR, timeout=10)
    return list(answer.json()["results"])


def test_a_new_form_is_deployed_with_media_and_hook(office: Office) -> None:
    """One command: project, media, deployment, a hook that sends ids alone, reading rights, and the line for silah.toml."""
    done = office.publish()

    project = seen(office, done.ref)
    assert "deployed" == project["deployment_status"]
    assert "Tiny form" == project["name"]
    assert {"places.csv", "cases.csv"} == {file["metadata"]["filename"] for file in project["files"]}  # type: ignore[index, attr-defined]
    (hook,) = hooks(office, done.ref)
    assert list(RING_FIELDS) == hook["subset_fields"]
    assert {"custom_headers": {"X-Silah-Token": HOOK_SECRET}} == hook["settings"]
    assert "http://127.0.0.1:9/webhooks/kobo/kobo" == hook["endpoint"]
    assert f'{FORM} = "{done.ref}"' == done.line


def test_the_reading_account_gets_no_more_than_it_needs(office: Office) -> None:
    """It reads and writes states; it can neither edit the form nor see the hook's secret."""
    ref = office.publish().ref

    held = office.publisher()._host.readers(ref)[READER]

    assert {"view_submissions", "validate_submissions", "view_asset"} == held


def test_twice_changes_nothing(office: Office) -> None:
    """A second publication finds nothing to do and sends nothing that could change anything."""
    office.publish()
    before = office.changing()

    again = office.plan()
    office.publisher().carry_out(again)

    assert () == again.steps
    assert before == office.changing()


def test_publishing_before_the_line_was_written_makes_no_second_project(office: Office) -> None:
    """A project is found again by the note in its description."""
    first = office.publish()
    office.forms = {}

    again = office.plan()

    assert again.project is not None
    assert (first.ref, ()) == (again.project.ref, again.steps)


def test_an_upgrade_keeps_every_record(office: Office) -> None:
    """A new question and a new choice come in place: the same project, the old records, the next version before devices."""
    ref = office.publish().ref
    office.kobo.submit(ref, RECORD.encode(), {}, "editor")
    before = office.kobo.submissions(ref)
    office.write(
        SURVEY + "text,remark,Anything else?,,\n", COLOURS + "colour,green,Green\n", settings=settings("2026112102")
    )

    plan = office.plan()
    done = office.publish()

    assert ref == done.ref
    assert before == office.kobo.submissions(ref)
    assert {"question_added", "choices_added", "version"} == {change.code for change in plan.changes}
    assert seen(office, ref)["version_id"] == seen(office, ref)["deployed_version_id"]


@pytest.mark.parametrize(
    ("survey", "choices", "code"),
    [
        (SURVEY.replace("integer,visitors,How many came?,,\n", "note,n,Nothing,,\n"), COLOURS, "question_removed"),
        (SURVEY.replace("visitors", "guests"), COLOURS, "question_renamed"),
        (SURVEY.replace("integer,visitors", "text,visitors"), COLOURS, "type_changed"),
        (SURVEY, COLOURS.replace("colour,blue,Blue\n", ""), "choices_narrowed"),
        (SURVEY.replace("_repeat", "_group"), COLOURS, "repeat_changed"),
    ],
)
def test_what_would_break_records_is_refused(office: Office, survey: str, choices: str, code: str) -> None:
    """Removed, renamed, asked otherwise, a choice gone, moved out of a repeat: shown, and done only when somebody insists."""
    ref = office.publish().ref
    live = seen(office, ref)["deployed_version_id"]
    office.write(survey, choices, settings=settings("2026112102"))
    before = office.changing()

    assert [code] == [change.code for change in office.plan().breaking]
    with pytest.raises(Refused, match=r"publish\.breaks"):
        office.publish()
    assert (before, live) == (office.changing(), seen(office, ref)["deployed_version_id"])

    office.publish(force=True)
    assert live != seen(office, ref)["deployed_version_id"]


def test_a_form_edited_on_the_server_is_not_overwritten(office: Office) -> None:
    """Somebody added a question in Kobo's form builder: publishing says so and stops."""
    ref = office.publish().ref
    asset = seen(office, ref)
    content = dict(asset["content"])  # type: ignore[call-overload]
    content["survey"] = [*content["survey"], {"type": "text", "name": "added", "label": ["Added", None, None, None]}]
    requests.patch(f"{office.url}/api/v2/assets/{ref}/", json={"content": content}, headers=AS_EDITOR, timeout=10)

    breaking = {change.code for change in office.plan().breaking}

    assert {"edited_on_server", "question_removed"} == breaking


def test_a_project_that_was_uploaded_by_hand_is_taken_over(office: Office) -> None:
    """What an admin uploaded in Kobo's page is upgraded in place, and what they wrote beside it stays."""
    from forms.compiler import build

    ref = office.kobo.publish("editor", FORM, build(FORM, "kobo", office.root / "out", office.root).read_bytes())
    requests.patch(
        f"{office.url}/api/v2/assets/{ref}/",
        json={"settings": {"description": "Branch North"}},
        headers=AS_EDITOR,
        timeout=10,
    )
    office.forms = {FORM: ref}

    plan = office.plan()
    office.publish()

    note = str(seen(office, ref)["settings"]["description"])  # type: ignore[index]
    assert () == plan.changes
    assert note.startswith("Branch North\nSilah: tiny")
    assert () == office.plan().steps


def test_a_list_that_the_connector_filled_is_never_emptied(office: Office) -> None:
    """Our table has the header of a case list alone; the cases on the server stay."""
    ref = office.publish().ref
    host = office.publisher()._host
    project = host.project(ref)
    assert project is not None
    old = next(file for file in project.media if file.name == "cases.csv")
    host.put_media(ref, "cases.csv", CASES.encode() + b"C1,A case\n", old)

    plan = office.plan()

    assert {} == plan.media
    assert ("redeploy it",) == plan.steps


def test_a_changed_list_is_replaced_and_reaches_devices(office: Office) -> None:
    """A new row of places.csv replaces the file and redeploys; the form itself is not sent again."""
    office.publish()
    (office.root / "media" / "places.csv").write_text("name,label\nP1,Here\nP2,There\nP3,Far\n")

    plan = office.plan()
    office.publish()

    assert ("replace places.csv", "redeploy it") == plan.steps
    assert () == office.plan().steps


@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"subset_fields": []},
        {"settings": {"custom_headers": {"X-Silah-Token": "old"}}},
        {"endpoint": "http://127.0.0.1:9/old"},
    ],
)
def test_a_hook_that_somebody_changed_is_mended(office: Office, change: dict[str, object]) -> None:
    """Switched off, sending answers, another secret, another address: one PATCH puts it right, and no second hook hangs."""
    ref = office.publish().ref
    (hook,) = hooks(office, ref)
    requests.patch(f"{office.url}/api/v2/assets/{ref}/hooks/{hook['uid']}/", json=change, headers=AS_EDITOR, timeout=10)

    plan = office.plan()
    office.publish()

    assert ("mend the hook",) == plan.steps
    assert [(True, list(RING_FIELDS))] == [(one["active"], one["subset_fields"]) for one in hooks(office, ref)]


def test_a_second_hook_to_our_door_is_switched_off(office: Office) -> None:
    """One that sends every answer to the same address is silenced; hooks to other addresses are left alone."""
    ref = office.publish().ref
    door = f"{office.public_url}/webhooks/kobo/kobo"
    for name, endpoint in (("by hand", door), ("other system", "http://127.0.0.1:9/elsewhere")):
        requests.post(
            f"{office.url}/api/v2/assets/{ref}/hooks/",
            json={"name": name, "endpoint": endpoint},
            headers=AS_EDITOR,
            timeout=10,
        )

    office.publish()

    assert {"Silah": True, "by hand": False, "other system": True} == {
        one["name"]: one["active"] for one in hooks(office, ref)
    }


def test_without_an_address_there_is_no_hook_and_it_is_said(office: Office) -> None:
    """Silah then only pulls; the plan says which keys are missing."""
    office.public_url = None

    plan = office.plan()
    done = office.publish()

    assert [] == hooks(office, done.ref)
    assert "public_url" in plan.notes[0]


def test_the_connectors_own_account_cannot_publish(office: Office) -> None:
    """It only reads: nothing is tried, and the way out is named."""
    office.publish()

    with pytest.raises(Refused, match="--token-env"):
        office.publisher(READERS_TOKEN).plan(FORM)


def test_a_form_with_findings_is_not_published(office: Office) -> None:
    """What the linter finds would reach devices: nothing is sent, every finding is in the error."""
    office.write(SURVEY + "text,extra,Extra?,,\n")
    (office.root / FORM / "policy.toml").write_text('purpose = "tracing"\n[classes]\n[questions]\n')

    with pytest.raises(FormError, match=r"forms\.not_publishable") as refused:
        office.plan()

    assert {"no_policy_line"} <= {finding.code for finding in refused.value.findings} or refused.value.findings
    assert 0 == office.changing()


REFUSALS = [
    (r"/imports/$", 401, b'{"detail":"Invalid token."}', "kobo.unauthorized"),
    (r"/imports/$", 404, b'{"detail":"Not found."}', "kobo.no_right"),
    (
        r"/imports/i",
        200,
        b'{"uid":"i","status":"error","messages":{"error":"Duplicate node name: a"}}',
        "kobo.import_refused",
    ),
    (r"/deployment/$", 400, b'{"error":"There has been a problem trying to replace ${nope}"}', "kobo.form_refused"),
    (r"/deployment/$", 405, b'{"detail":"Use PATCH to update an existing deployment"}', "kobo.already_deployed"),
    (r"/deployment/$", 500, b"<html>Server error</html>", "kobo.version_stale"),
    (r"/deployment/$", 503, b"", "kobo.server_error"),
]


@pytest.mark.parametrize(("path", "status", "body", "code"), REFUSALS)
def test_a_server_that_refuses_leaves_the_earlier_version_live(
    office: Office, path: str, status: int, body: bytes, code: str
) -> None:
    """What happened and what to do is said; the deployed version is the old one; the next try finishes the work."""
    ref = office.publish().ref
    live = seen(office, ref)["deployed_version_id"]
    office.write(SURVEY + "text,remark,Anything else?,,\n", settings=settings("2026112102"))
    office.kobo.faults.next(path, status=status, body=body)

    with pytest.raises(ServerError) as refused:
        office.publish()

    assert code == refused.value.code
    assert refused.value.next_step
    assert live == seen(office, ref)["deployed_version_id"]
    office.publish()
    assert live != seen(office, ref)["deployed_version_id"]
    assert () == office.plan().steps


def test_the_servers_own_words_reach_the_admin(office: Office) -> None:
    """An expression that does not compile is named as the server names it."""
    office.publish()
    office.write(SURVEY + "text,remark,Anything else?,,\n", settings=settings("2026112102"))
    office.kobo.faults.next(r"/deployment/$", status=400, body=json.dumps({"error": "no ${nope}"}).encode())

    with pytest.raises(ServerError, match=r"no \$\{nope\}.*earlier version stays live"):
        office.publish()


def test_a_lost_connection_is_picked_up(office: Office) -> None:
    """The import took effect but its answer was lost: publishing again makes no second project and ends the same."""
    office.publish()
    office.write(SURVEY + "text,remark,Anything else?,,\n", settings=settings("2026112102"))
    office.kobo.faults.next(r"/deployment/$", drop_connection=True, after=True)

    with pytest.raises(ServerError, match=r"kobo\.cut"):
        office.publish()

    assert () == office.plan().steps


def test_what_we_wrote_beside_a_project_can_be_read_again(office: Office) -> None:
    """The note names form, version, our tables and the server's content."""
    ref = office.publish().ref

    noted = read_note(str(seen(office, ref)["settings"]["description"]))  # type: ignore[index]

    assert noted is not None
    assert (FORM, False, "2026112101") == (noted.form, noted.training, noted.version)


def test_an_import_is_waited_for(office: Office) -> None:
    """The server reads the file in its own time."""
    office.publish()

    assert [1.0] == office.waits


def keys(folder: Path) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_a_form_can_be_encrypted_and_is_not_silently_opened_again(office: Office) -> None:
    """The society's public key goes into the form; publishing without it later is refused."""
    from connector.publishing import read_public_key

    _, public = keys(office.root)
    key = read_public_key(public)
    ref = office.publish(key=key).ref

    xform = requests.get(f"{office.url}/api/v2/assets/{ref}.xml", headers=AS_EDITOR, timeout=10).text
    assert f'base64RsaPublicKey="{key}"' in xform
    assert f'action="{office.url}/submission"' in xform
    assert () == office.plan(key=key).steps
    assert ["encryption_removed"] == [change.code for change in office.plan().breaking]


def test_a_private_key_is_refused(office: Office) -> None:
    """A private key must never come near a form server."""
    from connector.publishing import read_public_key

    private, _ = keys(office.root)

    with pytest.raises(Refused, match=r"publish\.private_key"):
        read_public_key(private)
