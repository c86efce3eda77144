"""ODK Central as a form server: against a compatible server on loopback, and against recorded answers of a real one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import responses

from connector import config as configuration
from connector.errors import Misconfigured, NotASubmission, ServerError
from connector.model import AttachmentRef, Bell, Listed, Review, Submission
from connector.sandbox.central import CentralSandbox, serve
from connector.sandbox.web import RunningServer
from connector.servers import Rights
from connector.servers import central as adapter
from connector.servers.central import Central
from tests.sandbox.central_replay import load

FORM = "tracing_request"
XFORM = """<h:html xmlns="http://www.w3.org/2002/xforms" xmlns:h="http://www.w3.org/1999/xhtml"><h:head>
<h:title>Tracing</h:title><model><instance><data id="tracing" version="{version}"><who><name/><age/></who>
{sought}<photo/><meta><instanceID/></meta></data></instance><bind nodeset="/data/who/age" type="decimal"/>
<bind nodeset="/data/photo" type="binary"/></model></h:head><h:body>{body}</h:body></h:html>"""
RECORD = """<data id="tracing" version="{version}"><who><name>{name}</name><age>34.50</age></who>{sought}
<photo>{photo}</photo><meta><instanceID>uuid:{uuid}</instanceID>{replaces}</meta></data>"""


def xform(version: str = "1", *, repeat: bool = True) -> bytes:
    """A form with a group, a photo and, unless told otherwise, a repeat."""
    sought = "<sought><alias/></sought>" if repeat else ""
    body = '<group ref="/data/sought"><repeat nodeset="/data/sought"/></group>' if repeat else ""
    return XFORM.format(version=version, sought=sought, body=body).encode()


def record(
    number: int, name: str = "Salma", *, photo: str = "", replaces: int | None = None, version: str = "1"
) -> bytes:
    """A filled-in form, the *number* of which makes its id."""
    old = f"<deprecatedID>uuid:{uuid(replaces)}</deprecatedID>" if replaces else ""
    sought = "<sought><alias>Abu Karim</alias></sought>" if version == "1" else ""
    text = RECORD.format(name=name, uuid=uuid(number), photo=photo, replaces=old, version=version, sought=sought)
    return text.encode()


def envelope(number: int, replaces: int | None = None) -> bytes:
    """What stands for an encrypted record."""
    old = f"<deprecatedID>uuid:{uuid(replaces)}</deprecatedID>" if replaces else ""
    text = f"<meta><instanceID>uuid:{uuid(number)}</instanceID>{old}</meta>"
    head = '<data id="tracing" version="1" encrypted="yes" xmlns="http://opendatakit.org/submissions">'
    return f"{head}{text}<encryptedXmlFile>submission.xml.enc</encryptedXmlFile></data>".encode()


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class Field:
    """A sandbox with a published form, our account (which may read) and a person who reviews."""

    sandbox: CentralSandbox
    url: str
    project: int
    account: int
    reviewer: int
    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC))

    def central(self, **changes: object) -> Central:
        """Our adapter, logged in as `connector@example.org`."""
        server = {
            "type": "central", "url": self.url, "email": "connector@example.org", "password_env": "CENTRAL_PASSWORD",
            "forms": {FORM: f"{self.project}/tracing"}, **changes,
        }  # fmt: skip
        data = {"society": "SY-RC", "database": "sqlite://", "servers": {"central": server}}
        return Central("central", configuration.parse(data, Path("silah.toml")).servers["central"])

    def submit(
        self, *args: object, later: float = 1.0, files: Mapping[str, bytes] | None = None, **more: object
    ) -> str:
        """A filled-in form *later* milliseconds after the one before; its root id, bare."""
        self.moment += timedelta(milliseconds=later)
        return self.sandbox.submit(self.project, record(*args, **more), files).removeprefix("uuid:")  # type: ignore[arg-type]

    def review(self, root: str, state: str, by: int | None = None) -> None:
        self.moment += timedelta(milliseconds=1)
        self.sandbox.review(self.project, "tracing", f"uuid:{root}", state, by or self.reviewer)


@pytest.fixture(name="place")
def _place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    monkeypatch.setenv("CENTRAL_PASSWORD", "practice")
    place: list[Field] = []
    sandbox = CentralSandbox(clock=lambda: place[0].moment if place else datetime.now(UTC))
    admin = sandbox.add_user("admin@example.org", admin=True)
    account = sandbox.add_user("connector@example.org")
    project = sandbox.add_project("Family links")
    sandbox.publish(project, xform())
    sandbox.grant(project, account, "viewer")
    with serve(sandbox) as running:
        place.append(Field(sandbox, running.url, project, account, admin))
        yield place[0]


def listed(central: Central) -> list[Listed]:
    return [one for page in central.listing(FORM) for one in page]


def only(central: Central) -> Submission:
    """The only submission there is, read by the number that the list gives it."""
    [one] = central.read(FORM, [row.order for row in listed(central)])
    return one


# The list


def test_the_list_is_ascending_over_pages(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every submission is listed once, oldest first, in pages whose numbers go up without a break."""
    monkeypatch.setattr(adapter, "_PAGE", 3)
    roots = [place.submit(number) for number in range(1, 9)]
    pages = list(place.central().listing(FORM))

    orders = [one.order for page in pages for one in page]
    assert roots == [one.root_id for page in pages for one in page]
    assert sorted(orders) == orders
    assert len(pages) > 2


def test_a_millisecond_is_never_cut(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """More submissions of one moment than a page holds are listed in one page, each with a number of its own."""
    monkeypatch.setattr(adapter, "_PAGE", 2)
    roots = [place.submit(number, later=0) for number in range(1, 8)]
    pages = list(place.central().listing(FORM))

    assert [sorted(roots)] == [sorted(one.root_id for one in page) for page in pages]
    assert 7 == len({one.order for one in pages[0]})


def test_what_is_committed_late_is_in_the_next_list(place: Field) -> None:
    """An upload that takes longer than a younger one appears behind it, and is missed by no cursor."""
    central = place.central()
    slow = place.sandbox.hold(place.project, record(1))
    fast = place.submit(2)
    assert [fast] == [one.root_id for one in listed(central)]

    place.sandbox.let_go(slow)
    assert [uuid(1), fast] == [one.root_id for one in listed(central)]


def test_rows_that_come_while_the_list_is_walked_are_in_it(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is asked for after the last page was dealt with: what is read meanwhile does not look vanished."""
    monkeypatch.setattr(adapter, "_PAGE", 3)
    place.submit(1)
    pages = place.central().listing(FORM)
    next(pages)
    place.submit(2)
    assert [uuid(2)] == [one.root_id for page in pages for one in page]


def test_deletions_between_pages_hide_nothing(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are cut by time, so that a row that goes moves no other one out of the list."""
    monkeypatch.setattr(adapter, "_PAGE", 3)
    roots = [place.submit(number) for number in range(1, 8)]
    pages = place.central().listing(FORM)
    seen = [one.root_id for one in next(pages)]
    place.sandbox.delete(place.project, "tracing", f"uuid:{roots[0]}")
    seen += [one.root_id for page in pages for one in page]
    assert roots == seen


def test_an_edit_keeps_its_place(place: Field) -> None:
    """An edit is another version of the same submission, under the same number."""
    central = place.central()
    root = place.submit(1)
    [before] = listed(central)
    place.submit(2, replaces=1)
    [after] = listed(central)

    assert (root, before.order) == (after.root_id, after.order)
    assert (uuid(1), uuid(2)) == (before.instance_id, after.instance_id)


def test_deleted_and_restored(place: Field) -> None:
    """What was deleted is not listed or read; what was restored is, under the same number."""
    central = place.central()
    root = place.submit(1)
    [before] = listed(central)
    place.sandbox.delete(place.project, "tracing", f"uuid:{root}")
    assert ([], [], None) == (listed(central), central.read(FORM, [before.order]), central.read_root(FORM, root))

    place.sandbox.restore(place.project, "tracing", f"uuid:{root}")
    assert [before] == listed(central)


def test_the_list_is_light(place: Field) -> None:
    """One question for a page and one for the end: no answers, no history, whatever was reviewed."""
    for number in range(1, 6):
        place.review(place.submit(number), "approved")
    central = place.central()
    place.sandbox.requests.clear()
    assert [Review("approved", None)] * 5 == [Review(one.review.state, one.review.by) for one in listed(central)]
    assert 3 == len(place.sandbox.requests)  # with the login


# One submission


def test_answers_are_those_of_the_xml(place: Field) -> None:
    """Answers are the texts that were sent, by path, repeats as lists; `meta` is none of them."""
    place.submit(1, photo="a.jpg", files={"a.jpg": b"photo"})
    one = only(place.central())

    expected = {
        "who/name": "Salma",
        "who/age": "34.50",
        "sought": ({"sought/alias": "Abu Karim"},),
        "photo": "a.jpg",
    }
    assert expected == one.answers
    assert (uuid(1), uuid(1), "1", False) == (one.root_id, one.instance_id, one.form_version, one.encrypted)
    assert place.moment.replace(microsecond=124000) == one.submitted_at


def test_scattered_numbers_are_read(place: Field) -> None:
    """Any of the listed numbers can be asked for, in any order; those that nobody has are left out."""
    roots = [place.submit(number) for number in range(1, 100)]
    central = place.central()
    orders = [one.order for one in listed(central)]

    read = central.read(FORM, [orders[90], orders[3], 5, *orders[10:60]])
    assert [roots[3], *roots[10:60], roots[90]] == [one.root_id for one in read]


def test_a_root_is_found_by_any_of_its_versions(place: Field) -> None:
    """A review's bell names a version: it leads to the submission, read in its current version."""
    root = place.submit(1)
    place.submit(2, "Salma Yousef", replaces=1)
    central = place.central()

    for name in (root, uuid(2)):
        found = central.read_root(FORM, name)
        assert found is not None
        assert (root, uuid(2), "Salma Yousef") == (found.root_id, found.instance_id, found.answers["who/name"])
    assert (None, None) == (central.read_root(FORM, uuid(9)), central.read_root(FORM, "o'clock"))


def test_a_file_belongs_to_its_version(place: Field) -> None:
    """Only files that have come are named; each is fetched for the version it was sent with, after an edit too."""
    place.submit(1, photo="a.jpg")
    central = place.central()
    assert () == only(central).attachments

    place.sandbox.add_file(place.project, "tracing", f"uuid:{uuid(1)}", "a.jpg", b"first photo")
    first = only(central)
    assert [("a.jpg", "image/jpeg")] == [(file.name, file.media_type) for file in first.attachments]

    place.submit(2, replaces=1, photo="b.jpg", files={"b.jpg": b"second photo"})
    second = only(central)
    both = [*first.attachments, *second.attachments]
    assert [b"first photo", b"second photo"] == [central.attachment(FORM, first.order, file) for file in both]


def test_files_in_storage_of_their_own(place: Field) -> None:
    """Only the storage that the admin wrote down is asked, with the signed address as it is and without our token."""
    asked: list[tuple[str, str, str | None]] = []

    def storage(environ: dict[str, str], start_response: Callable[..., object]) -> list[bytes]:
        asked.append((environ["PATH_INFO"], environ["QUERY_STRING"], environ.get("HTTP_AUTHORIZATION")))
        start_response("200 OK", [("Content-Type", "image/jpeg")])
        return [b"stored photo"]

    place.submit(1, photo="a.jpg", files={"a.jpg": b"photo"})
    with RunningServer(storage, "127.0.0.1", 0) as running:  # type: ignore[arg-type]
        place.sandbox.keep_files_at(f"{running.url}/bucket")
        one = only(place.central())
        told = place.central(files_url=f"{running.url}/bucket")
        assert b"stored photo" == told.attachment(FORM, one.order, one.attachments[0])
        with pytest.raises(ServerError) as caught:
            place.central().attachment(FORM, one.order, one.attachments[0])
        place.sandbox.keep_files_at(running.url.replace("http://", "https://") + "/bucket")
        with pytest.raises(ServerError) as inside:
            place.central().attachment(FORM, one.order, one.attachments[0])
    assert "central.files_elsewhere" == inside.value.code  # over TLS, to an address that is not public
    mark = hashlib.md5(b"photo", usedforsecurity=False).hexdigest()
    assert [(f"/bucket/{mark}", "signature=for-a-minute", None)] == asked
    assert ("central.files_elsewhere", True) == (caught.value.code, running.url in caught.value.next_step)


def test_an_encrypted_edit(place: Field) -> None:
    """An envelope's row does not show its version: it is asked for when there was an edit."""
    place.sandbox.submit(place.project, envelope(1))
    central = place.central()
    assert [(uuid(1), uuid(1))] == [(one.root_id, one.instance_id) for one in listed(central)]
    place.sandbox.submit(place.project, envelope(2, replaces=1))
    assert [(uuid(1), uuid(2))] == [(one.root_id, one.instance_id) for one in listed(central)]
    one = only(central)
    assert (uuid(2), True, "submission.xml.enc") == (one.instance_id, one.encrypted, one.answers["encryptedXmlFile"])


def test_a_group_that_became_a_repeat(place: Field) -> None:
    """Each record is read by the form that it was filled in with, whatever is published now."""
    place.submit(1)
    place.sandbox.publish(place.project, xform("2", repeat=False))
    place.submit(2, version="2")
    central = place.central()

    old, new = central.read(FORM, [one.order for one in listed(central)])
    assert ({"sought/alias": "Abu Karim"},) == old.answers["sought"]
    assert ("2", False) == (new.form_version, "sought" in new.answers)


def test_unreadable_xml_stops_nobody(place: Field) -> None:
    """What no parser takes becomes a submission that cannot be typed, and the others are read."""
    place.submit(1)
    place.submit(2)
    place.sandbox.faults.next(r"1\.xml", status=200, body=b"<data")
    central = place.central()
    first, second = central.read(FORM, [one.order for one in listed(central)])
    assert ({"(unreadable XML)": ""}, "Salma") == (first.answers, second.answers["who/name"])


# Reviews


@pytest.mark.parametrize(
    ("said", "state"), [("approved", "approved"), ("rejected", "not_approved"), ("hasIssues", "on_hold")]
)
def test_a_review_is_signed(place: Field, said: str, state: str) -> None:
    """Reading tells what was said, when, and by whom: the number of an account, which is ours or not."""
    place.review(place.submit(1), said)
    central = place.central()

    review = only(central).review
    assert (state, str(place.reviewer)) == (review.state, review.by)
    assert listed(central)[0].review == Review(state, None, review.at)
    assert str(place.account) == central.own_account()


def test_our_own_review_is_told_apart(place: Field) -> None:
    """What our own account said carries its number, so that it can be left out."""
    place.review(place.submit(1), "approved", by=place.account)
    central = place.central()
    assert central.own_account() == only(central).review.by


def test_an_edit_takes_the_review_away(place: Field) -> None:
    """Central calls an edited submission `edited`: an approval before it counts no more."""
    place.review(place.submit(1), "approved")
    place.submit(2, replaces=1)
    central = place.central()
    assert (Review(), Review()) == (only(central).review, listed(central)[0].review)


def test_on_hold_is_said_with_a_comment(place: Field) -> None:
    """What needs a person is marked under our own number and with a comment in four languages; then taken back."""
    place.sandbox.grant(place.project, place.account, "manager")
    root = place.submit(1)
    central = place.central()
    order = only(central).order
    central.set_on_hold(FORM, order, on_hold=True)
    assert ("on_hold", str(place.account)) == (central.review_of(FORM, order).state, central.review_of(FORM, order).by)

    central.set_on_hold(FORM, order, on_hold=False)
    assert Review() == central.review_of(FORM, order)
    mended, held = place.sandbox.comments(place.project, "tracing", f"uuid:{root}")
    assert ["صلة", "صله", "Silah "] == [name for name in ("صلة", "صله", "Silah ") if name in held and name in mended]


def test_taking_it_back_leaves_an_edit_visible(place: Field) -> None:
    """An edited submission is `edited` again when nothing needs a person any more."""
    place.sandbox.grant(place.project, place.account, "manager")
    place.submit(1)
    place.submit(2, replaces=1)
    central = place.central()
    order = only(central).order
    states = []
    for on_hold in (True, False):
        central.set_on_hold(FORM, order, on_hold=on_hold)
        states += [row.system.state for row in central._rows(FORM, None)]
    assert ["hasIssues", "edited"] == states


def test_a_viewer_cannot_say_it(place: Field) -> None:
    """The error names the role that is missing, and nothing was written."""
    root = place.submit(1)
    central = place.central()
    with pytest.raises(ServerError) as caught:
        central.set_on_hold(FORM, only(central).order, on_hold=True)
    assert ("central.may_not_review", True) == (caught.value.code, "Project Manager" in caught.value.next_step)
    assert [] == place.sandbox.comments(place.project, "tracing", f"uuid:{root}")
    with pytest.raises(ServerError) as gone:
        central.review_of(FORM, 5)
    assert "central.not_found" == gone.value.code


# Rights and sessions


def test_rights_are_all_or_nothing(place: Field) -> None:
    """Whoever may read sees everything; without the role, the form or the project, nothing."""
    assert Rights(whole=True, mark="read") == place.central().rights(FORM)
    assert Rights(whole=False, mark="none") == place.central(forms={FORM: "1/other"}).rights(FORM)
    assert Rights(whole=False, mark="none") == place.central(forms={FORM: "9/tracing"}).rights(FORM)
    place.sandbox.revoke(place.project, place.account)
    assert Rights(whole=False, mark="none") == place.central().rights(FORM)


def test_a_session_that_ended_is_renewed(place: Field) -> None:
    """Central ends every session after a day: one more login, and the question is asked again."""
    central = place.central()
    place.submit(1)
    assert 1 == len(listed(central))
    place.sandbox.end_sessions()
    assert 1 == len(listed(central))
    logins = [one for one in place.sandbox.requests if one.path == "/v1/sessions"]
    assert 2 == len(logins)


def test_a_token_instead_of_a_password(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was given is used as it is, and nothing renews it."""
    monkeypatch.setenv("CENTRAL_TOKEN", place.sandbox.log_in("connector@example.org"))
    central = place.central(email=None, password_env=None, token_env="CENTRAL_TOKEN")
    assert Rights(whole=True, mark="read") == central.rights(FORM)
    place.sandbox.end_sessions()
    with pytest.raises(ServerError) as caught:
        central.own_account()
    assert "central.unauthorized" == caught.value.code


def test_a_wrong_password(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to mend, and neither the password nor the address."""
    monkeypatch.setenv("CENTRAL_PASSWORD", "guessed-wrong")
    with pytest.raises(ServerError) as caught:
        place.central().own_account()
    assert ("central.unauthorized", False) == (caught.value.code, "guessed-wrong" in str(caught.value))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((403, "central.no_right"), (404, "central.not_found"), (429, "central.too_many")),
        *((307, "central.redirected"), (500, "central.server_error"), (200, "central.strange_answer")),
    ],
)
def test_what_a_status_means(place: Field, status: int, code: str) -> None:
    """Every refusal has a code of its own; what the answer said is in no error."""
    place.sandbox.faults.next("svc", status=status, body=b"Salma was here", headers={"Retry-After": "7"})
    with pytest.raises(ServerError) as caught:
        next(place.central().listing(FORM))
    assert (code, False) == (caught.value.code, "Salma" in str(caught.value))
    assert (timedelta(seconds=7) if status in {429, 500} else None) == caught.value.retry_after


def test_a_list_in_another_order_is_refused(place: Field) -> None:
    """A server that cannot sort would make submissions look vanished: nothing is taken from it."""
    newer = '{"__id": "b", "__system": {"submissionDate": "2026-11-21T12:00:01.000Z"}}'
    older = '{"__id": "a", "__system": {"submissionDate": "2026-11-21T12:00:00.000Z"}}'
    place.sandbox.faults.next("svc", status=200, body=f'{{"value": [{newer}, {older}]}}'.encode())
    with pytest.raises(ServerError) as caught:
        next(place.central().listing(FORM))
    assert "central.strange_answer" == caught.value.code


def test_a_dropped_connection(place: Field) -> None:
    """A server that is gone is told as such; it is tried again."""
    place.sandbox.faults.next("svc", drop_connection=True)
    with pytest.raises(ServerError) as caught:
        next(place.central().listing(FORM))
    assert ("central.cut", False) == (caught.value.code, caught.value.permanent)


def test_a_projects_number_in_any_digits(place: Field) -> None:
    """Whoever writes 1 in Arabic or Persian digits means 1."""
    assert [True, True] == [place.central(forms={FORM: f"{one}/tracing"}).rights(FORM).whole for one in "١۱"]


@pytest.mark.parametrize("written", ["tracing", "x/tracing", "3/", "/tracing"])
def test_where_a_form_is_has_to_be_written_whole(place: Field, written: str) -> None:
    """A form without its project's number is refused before anything is served, by key."""
    with pytest.raises(Misconfigured) as caught:
        place.central(forms={FORM: written})
    assert f"`servers.central.forms.{FORM}`" == caught.value.where


# Bells


def test_the_webhook_rings_before_anybody_can_read(place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new submission rings with its form and its root, an edit does not ring, a review rings without a form."""
    central = place.central()
    bells: list[tuple[Bell, bool]] = []

    def post(_: str, **sent: dict[str, str]) -> None:
        bell = central.bell(sent["json"])
        bells.append((bell, central.read_root(FORM, bell.root_id) is not None))

    monkeypatch.setattr(place.sandbox._hooks, "post", post)
    place.sandbox.hook("http://127.0.0.1:1/", "secret")
    root = place.submit(1)
    place.submit(2, replaces=1)
    place.review(root, "approved")

    new, review = Bell(FORM, root, root, None), Bell("", uuid(2), "", None)
    assert [(new, False), (review, True)] == bells


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "entity.update.version", "id": "x", "data": {"status": "open"}}, "webhook.not_a_submission"),
        ({"type": "submission.create", "id": "uuid:x", "data": {}}, "webhook.not_a_submission"),
        ({"type": "submission.create", "id": "", "data": {"xml": "<data id='tracing'/>"}}, "webhook.not_a_submission"),
        ({"_id": 1}, "webhook.not_a_submission"),
        ({"type": "submission.create", "id": "uuid:x", "data": {"xml": "<data id='b'/>"}}, "webhook.unknown_form"),
        ({"type": "submission.create", "id": "uuid:x", "data": {"xml": "<data"}}, "webhook.unknown_form"),
        (
            {
                "type": "submission.create",
                "id": "x",
                "data": {"xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><a id='tracing'/>"},
            },
            "webhook.unknown_form",
        ),
    ],
)
def test_other_bodies_are_refused(place: Field, body: dict[str, object], code: str) -> None:
    """Entity updates, other programs' bodies, other forms, and XML that nobody should read."""
    with pytest.raises(NotASubmission) as caught:
        place.central().bell(body)  # type: ignore[arg-type]
    assert code == caught.value.code


def test_recorded_bells(place: Field) -> None:
    """The bodies that a real central-webhook sent are understood."""
    central = place.central(forms={FORM: "1/rfl_tracing"})
    steps = load("09")
    created = central.bell(steps[0]["deliveries"][0]["body"])
    reviewed = central.bell(steps[3]["deliveries"][0]["body"])
    root = "5a23ec99-3308-4dbc-a48a-d03c072bf2bd"
    assert Bell(FORM, root, root, None) == created
    assert Bell("", "029d7a5e-ffce-4c87-b77f-1b0e00479db8", "", None) == reviewed


# Recorded answers


RECORDED = "https://central.example.org"


@pytest.fixture(name="recorded")
def _recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Central, responses.RequestsMock]]:
    """The adapter, and a stage on which recorded answers are given."""
    monkeypatch.setenv("CENTRAL_TOKEN", "token")
    server = {
        "type": "central", "url": RECORDED, "token_env": "CENTRAL_TOKEN",
        "forms": {FORM: "1/rfl_tracing", "family_call": "3/rfl_selfkey"},
    }  # fmt: skip
    data = {"society": "SY-RC", "database": "sqlite://", "servers": {"central": server}}
    with responses.RequestsMock() as stage:
        yield Central("central", configuration.parse(data, Path("silah.toml")).servers["central"]), stage


def give(stage: responses.RequestsMock, path: str, number: str, index: int) -> None:
    """*path* is answered as exchange *index* of the recording *number* was."""
    response = load(number)[index]["response"]
    body = response["body"]
    headers = {"Location": response["headers"]["Location"]} if "Location" in response["headers"] else {}
    if "json" in body:
        stage.add("GET", RECORDED + path, json=body["json"], status=response["status"], headers=headers)
    else:
        stage.add("GET", RECORDED + path, body=body["text"], status=response["status"], headers=headers)


def test_a_recorded_list(recorded: tuple[Central, responses.RequestsMock]) -> None:
    """Two rows of a real server, oldest first, and its empty answer as the end."""
    central, stage = recorded
    table = "/v1/projects/1/forms/rfl_tracing.svc/Submissions"
    give(stage, table, "04", 14)
    give(stage, table, "04", 12)
    first, second = listed(central)
    assert ("4a54ef78-06c6-49cd-9f39-df76185425a2", Review()) == (first.root_id, first.review)
    moments = [datetime(2026, 11, 21, 21, 13, *at, tzinfo=UTC) for at in ((29, 897000), (30, 53000))]
    assert [int(moment.timestamp() * 1000) for moment in moments] == [one.order >> 20 for one in (first, second)]


def test_a_recorded_edit(recorded: tuple[Central, responses.RequestsMock]) -> None:
    """The third version of a real submission, found by the id of its second."""
    central, stage = recorded
    forms = "/v1/projects/1/forms/rfl_tracing"
    root, second, third = (
        *("4a54ef78-06c6-49cd-9f39-df76185425a2", "c7e086bd-2fb0-4b0b-8ee7-27b89968e624"),
        "495d7b3a-aae0-4db0-bfe6-a568ea6fbb20",
    )
    give(stage, f"{forms}.svc/Submissions", "04", 12)
    give(stage, f"{forms}/submissions/uuid%3A{second}", "05", 15)
    give(stage, f"{forms}.svc/Submissions", "05", 24)
    give(stage, f"{forms}/submissions/uuid%3A{root}/versions/uuid%3A{third}.xml", "05", 16)
    give(stage, f"{forms}/versions/2026112101/fields", "02", 8)

    one = central.read_root(FORM, second)
    assert one is not None
    assert (root, third, "2026112101", Review()) == (one.root_id, one.instance_id, one.form_version, one.review)
    assert "appuser" == one.answers["enquirer/full_name"]
    assert ({"sought/name": "Ana", "sought/dob": "1990-01-01", "sought/marks": "scar tattoo"},) == one.answers["sought"]
    assert "-1.2833 36.8167 1700.0 5.0" == one.answers["last_seen"]


def test_a_recorded_review(recorded: tuple[Central, responses.RequestsMock]) -> None:
    """The history of a real submission says who approved it, below what happened later."""
    central, stage = recorded
    forms = "/v1/projects/1/forms/rfl_tracing"
    row = load("05")[24]["response"]["body"]["json"]["value"][0]
    system = {**row["__system"], "reviewState": "approved", "updatedAt": "2026-11-21T21:13:31.847Z"}
    stage.add("GET", f"{RECORDED}{forms}.svc/Submissions", json={"value": [{**row, "__system": system}]})
    place = f"{forms}/submissions/uuid%3A4a54ef78-06c6-49cd-9f39-df76185425a2"
    give(stage, f"{place}/versions/uuid%3A495d7b3a-aae0-4db0-bfe6-a568ea6fbb20.xml", "05", 16)
    give(stage, f"{place}/audits", "05", 30)
    give(stage, f"{forms}/versions/2026112101/fields", "02", 8)
    give(stage, "/v1/users/current", "01", 4)

    one = central.read_root(FORM, "4a54ef78-06c6-49cd-9f39-df76185425a2")
    assert one is not None
    assert Review("approved", "5", datetime(2026, 11, 21, 21, 13, 31, 847000, tzinfo=UTC)) == one.review
    assert "5" == central.own_account()


def test_a_recorded_encrypted_submission(recorded: tuple[Central, responses.RequestsMock]) -> None:
    """An envelope is read as such, with the names of the encrypted files and without a single answer."""
    central, stage = recorded
    root = "uuid%3A7a927715-43bc-4b58-8293-387c6e706439"
    forms = "/v1/projects/3/forms/rfl_selfkey"
    give(stage, f"{forms}.svc/Submissions", "07", 34)
    give(stage, f"{forms}/submissions/{root}/versions/{root}.xml", "07", 36)
    give(stage, f"{forms}/submissions/{root}/versions/{root}/attachments", "07", 14)

    one = central.read_root("family_call", "7a927715-43bc-4b58-8293-387c6e706439")
    assert one is not None
    assert (True, "submission.xml.enc") == (one.encrypted, one.answers["encryptedXmlFile"])
    names = ["pic1.jpg.enc", "submission.xml.enc", "v1.m4a.enc"]
    assert names == [file.name for file in one.attachments]
    assert isinstance(one.attachments[0], AttachmentRef)
