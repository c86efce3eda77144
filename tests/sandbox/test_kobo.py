"""What tests and the demo may ask of the sandbox beyond the recorded exchanges."""

from __future__ import annotations

import json

import pytest
import requests
from requests.auth import HTTPDigestAuth

from connector.sandbox.content import ImportRefused
from connector.sandbox.kobo import KoboSandbox, serve
from connector.sandbox.submissions import Rejected
from tests.sandbox.conftest import SHEET, Small, new_uuid, record, sheet


def test_a_submission_is_listed_with_its_identity(small: Small) -> None:
    """What `submit` returns is what the data list gives."""
    sent = small.kobo.submit(small.uid, record("Hala", "aaaa"), user="owner")
    assert sent["_uuid"] == "aaaa"
    assert [sent] == small.rows()


def test_an_edit_keeps_what_identifies_and_changes_the_uuid(small: Small) -> None:
    """`_id`, rootUuid, time and validation stay; `_uuid` and the answers change."""
    before = small.kobo.submit(small.uid, record("Hala", "one"), user="owner")
    small.call("PATCH", f"/data/{before['_id']}/validation_status/", json=_validation("approved"))
    small.clock.forward(days=1)
    after = small.kobo.submit(small.uid, record("Huda", "two", deprecatedID="uuid:one"), user="owner")
    kept = ("_id", "meta/rootUuid", "_submission_time")
    assert {key: before[key] for key in kept} == {key: after[key] for key in kept}
    assert (after["_uuid"], after["who"], after["_validation_status"]["uid"]) == (  # type: ignore[index]
        "two",
        "Huda",
        "validation_status_approved",
    )


@pytest.mark.parametrize(("deprecated", "status"), [("nobody", 404), ("one", 410)])
def test_an_edit_of_another_version_is_refused(small: Small, deprecated: str, status: int) -> None:
    """Only the present version may be replaced."""
    small.kobo.submit(small.uid, record("Hala", "one"), user="owner")
    small.kobo.submit(small.uid, record("Huda", "two", deprecatedID="uuid:one"), user="owner")
    with pytest.raises(Rejected) as refused:
        small.kobo.submit(small.uid, record("Hoda", "three", deprecatedID=f"uuid:{deprecated}"), user="owner")
    assert refused.value.status == status


def test_files_may_follow_in_further_posts(small: Small) -> None:
    """The same XML with a new file adds the file; without one it is a duplicate."""
    entry = "<relatives><rel_name>A</rel_name><rel_photo>a.jpg</rel_photo></relatives>"
    xml = record("Hala", inside=entry + entry.replace("a.jpg", "b.jpg"))
    small.kobo.submit(small.uid, xml, {"a.jpg": b"A"}, "owner")
    second = small.kobo.submit(small.uid, xml, {"b.jpg": b"B"}, "owner")
    assert [_file(one) for one in second["_attachments"]] == [  # type: ignore[attr-defined]
        ("a.jpg", "relatives[1]/rel_photo"),
        ("b.jpg", "relatives[2]/rel_photo"),
    ]
    with pytest.raises(Rejected) as refused:
        small.kobo.submit(small.uid, xml, {"b.jpg": b"B"}, "owner")
    assert refused.value.status == 202


def test_a_second_file_of_the_same_name_is_stored_apart(small: Small) -> None:
    """The entry keeps the answer's name, the stored name gets a suffix, and the new bytes are served."""
    photo = "<relatives><rel_photo>a.jpg</rel_photo></relatives>"
    small.kobo.submit(small.uid, record(uuid="one", inside=photo), {"a.jpg": b"old"}, "owner")
    edit = record(uuid="two", inside=photo, deprecatedID="uuid:one")
    (entry,) = small.kobo.submit(small.uid, edit, {"a.jpg": b"new"}, "owner")["_attachments"]  # type: ignore[misc]
    assert (entry["media_file_basename"], entry["filename"].endswith("/a.jpg")) == ("a.jpg", False)  # type: ignore[index]
    served = small.call("GET", f"/data/1/attachments/{entry['uid']}/")  # type: ignore[index]
    assert served.data == b"new"


def test_a_partial_permission_filters_rows(small: Small) -> None:
    """Whoever holds it sees the rows that meet its condition, and only those, in lists and one by one."""
    for name in ("field", "other"):
        small.kobo.add_user(name, token=name * 8)
        small.kobo.grant(small.uid, name, "add_submissions")
        small.kobo.submit(small.uid, record(name), user=name)
    small.kobo.grant(small.uid, "field", "view_submissions", rows={"_submitted_by": "field"})
    listed = small.call("GET", "/data/", "field" * 8).json
    assert (listed["count"], [row["who"] for row in listed["results"]]) == (1, ["field"])  # type: ignore[index]
    assert [small.call("GET", f"/data/{number}/", "field" * 8).status_code for number in (1, 2)] == [200, 404]
    held = small.call("GET", "/", "field" * 8).json["effective_permissions"]  # type: ignore[index]
    assert {one["codename"] for one in held} == {"add_submissions", "view_asset", "partial_submissions"}


def test_a_narrowed_permission_looks_like_deletion(small: Small) -> None:
    """After narrowing, rows are missing from the list although they are still there."""
    small.kobo.add_user("reader", token="r" * 40)
    small.kobo.grant(small.uid, "reader", "view_submissions")
    small.kobo.submit(small.uid, record(), user="owner")
    counts = [small.call("GET", "/data/", "r" * 40).json["count"]]  # type: ignore[index]
    small.kobo.grant(small.uid, "reader", "view_submissions", rows={"_submitted_by": "reader"})
    counts.append(small.call("GET", "/data/", "r" * 40).json["count"])  # type: ignore[index]
    assert (counts, len(small.kobo.submissions(small.uid))) == ([1, 0], 1)


def test_without_permission_nothing_is_there(small: Small) -> None:
    """A revoked account is told 404, not 403."""
    small.kobo.add_user("reader", token="r" * 40)
    small.kobo.grant(small.uid, "reader", "validate_submissions")
    assert small.call("GET", "/data/", "r" * 40).status_code == 200
    small.kobo.revoke(small.uid, "reader")
    assert small.call("GET", "/data/", "r" * 40).status_code == 404


def test_the_public_submits_only_where_it_may(small: Small) -> None:
    """`AnonymousUser` needs add_submissions; its submissions have no sender."""
    with pytest.raises(Rejected) as refused:
        small.kobo.submit(small.uid, record())
    small.kobo.grant(small.uid, "AnonymousUser", "add_submissions")
    assert (refused.value.status, small.kobo.submit(small.uid, record())["_submitted_by"]) == (403, None)


def test_validation_comes_along_only_when_named(small: Small) -> None:
    """With `fields`, `_validation_status` is empty unless it is among them."""
    small.kobo.submit(small.uid, record(), user="owner")
    small.call("PATCH", "/data/1/validation_status/", json=_validation("on_hold"))
    assert [row["_validation_status"] for row in small.rows(fields='["_id"]')] == [{}]
    (named,) = small.rows(fields='["_validation_status"]')
    assert named["_validation_status"]["label"] == "On Hold"  # type: ignore[index]


def test_deleting_frees_the_identity(small: Small) -> None:
    """A deleted instanceID may come again, under a new `_id` and the same rootUuid."""
    xml = record(uuid=new_uuid())
    first = small.kobo.submit(small.uid, xml, user="owner")
    small.kobo.delete(small.uid, str(first["meta/rootUuid"]).removeprefix("uuid:"))
    assert small.rows() == []
    again = small.kobo.submit(small.uid, xml, user="owner")
    assert (again["meta/rootUuid"], again["_id"]) == (first["meta/rootUuid"], 2)


def test_old_submissions_keep_their_repeats_after_a_new_version(small: Small) -> None:
    """Both versions of a form are accepted and read, and the version uid changes."""
    entry = "<relatives><rel_name>A</rel_name></relatives>"
    before = small.kobo.republish(small.uid, sheet((SHEET[0], ("text", "fresh", "Fresh", None))))
    sent = small.kobo.submit(small.uid, record(inside=entry), user="owner")
    assert sent["relatives"] == [{"relatives/rel_name": "A"}]
    assert small.call("GET", "/").json["deployed_version_id"] == before  # type: ignore[index]


def test_publishing_takes_the_title_and_refuses_what_is_no_form(small: Small) -> None:
    """The settings sheet's title names the project; a broken workbook is refused."""
    uid = small.kobo.publish("owner", "file name", sheet(form_title="A title"), {"places.csv": b"name\n"})
    listed = {one["uid"]: one["name"] for one in _assets(small)}
    assert listed[uid] == "A title"
    with pytest.raises(ImportRefused):
        small.kobo.publish("owner", "x", b"no workbook")


def test_an_import_may_take_a_while() -> None:
    """With `import_polls` a task is `processing` that many times."""
    kobo = KoboSandbox(import_polls=2)
    client, headers = kobo.app.test_client(), {"Authorization": f"Token {kobo.add_user('owner')}"}
    form = {"library": "false", "base64Encoded": "base64,", "name": "x"}
    started = client.post("/api/v2/imports/", data=form, headers=headers).json
    polls = [client.get(started["url"], headers=headers).json["status"] for _ in range(3)]  # type: ignore[index]
    assert polls == ["processing", "processing", "error"]


def test_a_phone_logs_in_by_digest_and_finds_its_form(small: Small) -> None:
    """Form list, form, manifest and media are reached as ODK Collect reaches them."""
    kobo = small.kobo
    kobo.add_user("phone", "secret")
    uid = kobo.publish("owner", "With media", sheet(), {"places.csv": b"name\nA\n"})
    kobo.grant(uid, "phone", "add_submissions")
    with serve(kobo) as running, requests.Session() as session:
        session.auth = HTTPDigestAuth("phone", "secret")
        listing = session.get(f"{running.url}/formList")
        assert f"<formID>{uid}</formID>" in listing.text
        pk = listing.text.partition("/forms/")[2].partition("/")[0]
        form = session.get(f"{running.url}/forms/{pk}/form.xml").text
        assert (f'id="{uid}"' in form, "formhub/uuid" in form) == (True, True)
        manifest = session.get(f"{running.url}/xformsManifest/{pk}").text
        media = manifest.partition("<downloadUrl>")[2].partition("<")[0]
        assert session.get(media).content == b"name\nA\n"
        session.auth = HTTPDigestAuth("phone", "wrong")
        assert session.get(f"{running.url}/formList").status_code == 401


def test_documents_can_be_loaded_in_bulk(small: Small) -> None:
    """`load` stores many rows at once; pages by `_id` find each of them once."""
    identity = [{"_uuid": f"u{n}", "meta/rootUuid": f"uuid:u{n}", "who": f"name {n}"} for n in range(2500)]
    small.kobo.load(small.uid, identity)
    seen: list[str] = []
    last = 0
    while rows := small.rows(query=json.dumps({"_id": {"$gt": last}}), limit="1000", fields='["_id"]'):
        seen += [str(row["_uuid"]) for row in rows]
        last = int(str(rows[-1]["_id"]))
    assert seen == [one["_uuid"] for one in identity]


def test_encrypted_envelopes_keep_their_prefixes(small: Small) -> None:
    """Of an encrypted submission only the envelope's keys are told, media listed when there are several."""
    envelope = (
        '<data encrypted="yes" id="x" xmlns="http://www.opendatakit.org/xforms/encrypted">'
        '<base64EncryptedKey>QUJD</base64EncryptedKey><orx:meta xmlns:orx="http://openrosa.org/xforms">'
        "<orx:instanceID>uuid:e1</orx:instanceID></orx:meta><media><file>a.enc</file></media>"
        "<media><file>b.enc</file></media><encryptedXmlFile>submission.xml.enc</encryptedXmlFile></data>"
    )
    sent = small.kobo.submit(small.uid, envelope.encode(), {"submission.xml.enc": b"x"}, "owner")
    assert sent["orx:meta/orx:instanceID"] == "uuid:e1"
    assert sent["media"] == [{"media/file": "a.enc"}, {"media/file": "b.enc"}]
    assert [_file(one) for one in sent["_attachments"]] == [("submission.xml.enc", "")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("xml", [b"<data", b"<!DOCTYPE a><data/>", b"<data>\x07</data>"])
def test_dangerous_xml_is_refused(small: Small, xml: bytes) -> None:
    """What is not well formed, has a DOCTYPE or control characters is answered 400."""
    files = {"xml_submission_file": (_stream(xml), "s.xml")}
    headers = {"Authorization": f"Token {small.token}"}
    assert small.kobo.app.test_client().post("/submission", data=files, headers=headers).status_code == 400


def test_a_server_in_trouble(small: Small) -> None:
    """Faults meet the form server too: an answer that gets lost after the submission was taken in."""
    small.kobo.faults.next(r"/data/$", status=429, headers={"Retry-After": "3"})
    small.kobo.faults.next("/submission", status=502, after=True)
    limited = small.call("GET", "/data/")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    xml = record().replace(b"id='x'", f"id='{small.uid}'".encode())
    headers = {"Authorization": f"Token {small.token}"}
    posts = [
        small.kobo.app.test_client().post(
            "/submission", data={"xml_submission_file": (_stream(xml), "s.xml")}, headers=headers
        )
        for _ in range(2)
    ]
    assert ([post.status_code for post in posts], len(small.rows())) == ([502, 202], 1)


def test_what_was_asked_is_counted(small: Small) -> None:
    """Every request is noted with who made it."""
    small.rows(limit="1")
    small.call("GET", "/data/", "bad token")
    noted = [(one.method, one.path.rpartition("assets/")[2], one.query, one.user) for one in small.kobo.requests]
    path = f"{small.uid}/data/"
    assert noted == [("GET", path, "limit=1", "owner"), ("GET", path, "", None)]


def _validation(status: str) -> dict[str, str]:
    return {"validation_status.uid": f"validation_status_{status}"}


def _file(entry: dict[str, object]) -> tuple[object, object]:
    return entry["media_file_basename"], entry["question_xpath"]


def _assets(small: Small) -> list[dict[str, object]]:
    headers = {"Authorization": f"Token {small.token}"}
    return small.kobo.app.test_client().get("/api/v2/assets/", headers=headers).json["results"]  # type: ignore[index, no-any-return]


def _stream(content: bytes) -> object:
    from io import BytesIO

    return BytesIO(content)
