"""What every form server promises the flow (`connector.servers.FormServer`), on each of them alike.

The servers here are the sandboxes, which are themselves held against recordings of the real ones, exchange by exchange
(tests/sandbox/test_contract.py and test_central_contract.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import openpyxl
import pytest
import requests

from connector import config as configuration
from connector.app import SERVERS
from connector.errors import NotASubmission, ServerError
from connector.sandbox.central import CentralSandbox
from connector.sandbox.central import serve as serve_central
from connector.sandbox.kobo import KoboSandbox
from connector.sandbox.kobo import serve as serve_kobo
from connector.servers import FormServer
from tests.servers.test_central import record, uuid, xform

FORM = "tracing_request"
PHOTO = b"\xff\xd8\xff a picture"


class Place(Protocol):
    """A form server with one form, our account, and a person who reviews; what people do there."""

    server: FormServer
    sandbox: Any

    def send(self, xml: bytes, files: Mapping[str, bytes] | None = None) -> None: ...
    def review(self, number: int, state: str) -> None: ...
    def delete(self, number: int) -> None: ...
    def narrow(self) -> None:
        """Our account may no longer see the form."""

    def bell(self, number: int) -> Any:
        """The body of its webhook for a submission."""

    def close(self) -> None: ...


def _adapter(kind: str, table: Mapping[str, Any]) -> FormServer:
    data = {"society": "SY-RC", "database": "sqlite://", "servers": {"here": {"type": kind, **table}}}
    return SERVERS[kind]("here", configuration.parse(data, Path("silah.toml")).servers["here"])


class KoboPlace:
    """KoboToolbox."""

    def __init__(self) -> None:
        self.sandbox = KoboSandbox()
        self.token = self.sandbox.add_user("owner")
        self.sandbox.add_user("reader", token="0" * 40)
        self.asset = self.sandbox.publish("owner", "Tracing", _workbook())
        self.sandbox.grant(self.asset, "reader", "view_submissions", "validate_submissions")
        self.running = serve_kobo(self.sandbox)
        self.server = _adapter("kobo", {"url": self.running.url, "token_env": "HERE", "forms": {FORM: self.asset}})

    def _row(self, number: int) -> dict[str, Any]:
        rows = self.sandbox.submissions(self.asset)
        return next(row for row in rows if row["meta/rootUuid"] == f"uuid:{uuid(number)}")

    def send(self, xml: bytes, files: Mapping[str, bytes] | None = None) -> None:
        self.sandbox.submit(self.asset, xml, files or {}, "owner")

    def review(self, number: int, state: str) -> None:
        row = self._row(number)["_id"]
        url = f"{self.running.url}/api/v2/assets/{self.asset}/data/{row}/validation_status/"
        said = {"approved": "approved", "not_approved": "not_approved", "on_hold": "on_hold"}[state]
        headers = {"Authorization": f"Token {self.token}"}
        body = {"validation_status.uid": f"validation_status_{said}"}
        requests.patch(url, json=body, headers=headers, timeout=5).raise_for_status()

    def delete(self, number: int) -> None:
        self.sandbox.delete(self.asset, uuid(number))

    def narrow(self) -> None:
        self.sandbox.revoke(self.asset, "reader")

    def bell(self, number: int) -> Any:
        row = self._row(number)
        return {key: row[key] for key in ("_id", "_uuid", "meta/rootUuid", "_xform_id_string")}

    def close(self) -> None:
        self.sandbox.close()
        self.running.close()


class CentralPlace:
    """ODK Central."""

    def __init__(self) -> None:
        self.sandbox = CentralSandbox()
        self.reviewer = self.sandbox.add_user("reviewer@example.org", admin=True)
        self.account = self.sandbox.add_user("reader@example.org")
        self.project = self.sandbox.add_project("Family links")
        self.sandbox.publish(self.project, xform())
        self.sandbox.grant(self.project, self.account, "manager")
        self.running = serve_central(self.sandbox)
        table = {"url": self.running.url, "email": "reader@example.org", "password_env": "HERE_PASSWORD"}
        self.server = _adapter("central", {**table, "forms": {FORM: f"{self.project}/tracing"}})

    def send(self, xml: bytes, files: Mapping[str, bytes] | None = None) -> None:
        self.sandbox.submit(self.project, xml, files)

    def review(self, number: int, state: str) -> None:
        said = {"approved": "approved", "not_approved": "rejected", "on_hold": "hasIssues"}[state]
        self.sandbox.review(self.project, "tracing", f"uuid:{uuid(number)}", said, self.reviewer)

    def delete(self, number: int) -> None:
        self.sandbox.delete(self.project, "tracing", f"uuid:{uuid(number)}")

    def narrow(self) -> None:
        self.sandbox.revoke(self.project, self.account)

    def bell(self, number: int) -> Any:
        return {"type": "submission.create", "id": f"uuid:{uuid(number)}", "data": {"xml": record(number).decode()}}

    def close(self) -> None:
        self.running.close()


PLACES: dict[str, Callable[[], Place]] = {"kobo": KoboPlace, "central": CentralPlace}


def _workbook() -> bytes:
    """The same form as `xform()` makes, as KoboToolbox takes it."""
    book = openpyxl.Workbook()
    survey = book.active
    survey.title = "survey"
    for row in (
        ("type", "name", "label"), ("begin_group", "who", "Who"), ("text", "name", "Name"), ("decimal", "age", "Age"),
        ("end_group", None, None), ("begin_repeat", "sought", "Sought"), ("text", "alias", "Alias"),
        ("end_repeat", None, None), ("image", "photo", "Photo"),
    ):  # fmt: skip
        survey.append(row)
    book.create_sheet("settings").append(("form_title", "version"))
    book["settings"].append(("Tracing", "1"))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.fixture(name="place", params=sorted(PLACES))
def _place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Each form server in turn."""
    monkeypatch.setenv("HERE", "0" * 40)
    monkeypatch.setenv("HERE_PASSWORD", "practice")
    made = PLACES[request.param]()
    yield made
    made.close()


def _orders(place: Place) -> dict[str, int]:
    return {one.root_id: one.order for page in place.server.listing(FORM) for one in page}


def test_every_type_of_server_is_here() -> None:
    """A new form server is held to the same promises."""
    assert set(SERVERS) == set(PLACES)


def test_the_list_is_whole_ascending_and_light(place: Place) -> None:
    """Every submission stands in the list once, in ascending order, and the list is the same while nothing changes."""
    for number in (1, 2, 3):
        place.send(record(number))
    first = [one for page in place.server.listing(FORM) for one in page]
    again = [one for page in place.server.listing(FORM) for one in page]

    assert [uuid(1), uuid(2), uuid(3)] == sorted(one.root_id for one in first)
    assert [one.order for one in first] == sorted({one.order for one in first})
    assert first == again


def test_an_empty_form_has_an_empty_list(place: Place) -> None:
    """No page, and no error."""
    assert [] == list(place.server.listing(FORM))


def test_reading_gives_answers_by_their_paths(place: Place) -> None:
    """Questions by their full path, numbers as they were typed, a repeat as its entries; nothing of the server's own."""
    place.send(record(1, "سلمى"))
    [one] = place.server.read(FORM, list(_orders(place).values()))

    assert {"who/name": "سلمى", "who/age": "34.50"} == {k: v for k, v in one.answers.items() if k.startswith("who/")}
    [entry] = one.answers["sought"]
    assert "Abu Karim" in dict(entry).values()
    assert (uuid(1), False) == (one.root_id, one.encrypted)
    assert [] == [key for key in one.answers if key.startswith(("_", "meta/"))]


def test_what_is_gone_is_left_out_and_the_rest_is_read(place: Place) -> None:
    """A deleted submission is neither in the list nor among what is read."""
    for number in (1, 2):
        place.send(record(number))
    orders = list(_orders(place).values())
    place.delete(1)

    assert [uuid(2)] == list(_orders(place))
    assert [uuid(2)] == [one.root_id for one in place.server.read(FORM, orders)]
    assert place.server.read_root(FORM, uuid(1)) is None


def test_an_edit_is_another_version_of_the_same(place: Place) -> None:
    """Root and place in the list stay, the version's id changes, and the new answers are read."""
    place.send(record(1))
    before = place.server.read_root(FORM, uuid(1))
    place.send(record(9, "Leila", replaces=1))
    after = place.server.read_root(FORM, uuid(1))

    assert before is not None
    assert after is not None
    assert (before.root_id, before.order) == (after.root_id, after.order)
    assert before.instance_id != after.instance_id
    assert "Leila" == after.answers["who/name"]


def test_an_edit_shows_in_the_list(place: Place) -> None:
    """Without reading a submission the list tells that it is another version."""
    place.send(record(1))
    [[before]] = list(place.server.listing(FORM))
    place.send(record(9, "Leila", replaces=1))
    [[after]] = list(place.server.listing(FORM))

    assert (before.root_id, before.order) == (after.root_id, after.order)
    assert before.instance_id != after.instance_id


def test_a_file_is_fetched_as_it_was_sent(place: Place) -> None:
    """The photo's bytes, by the reference that the submission has; what has not arrived is not among them."""
    place.send(record(1, photo="face.jpg"), {"face.jpg": PHOTO})
    place.send(record(2, photo="late.jpg"))
    with_file, without = (place.server.read_root(FORM, uuid(number)) for number in (1, 2))
    assert with_file is not None
    assert without is not None
    [file] = with_file.attachments

    assert "face.jpg" == file.name
    assert PHOTO == place.server.attachment(FORM, with_file.order, file)
    assert () == without.attachments


@pytest.mark.parametrize("state", ["approved", "not_approved", "on_hold"])
def test_a_review_is_read_with_who_gave_it(place: Place, state: str) -> None:
    """What a person says is read in our words, and is not ours."""
    place.send(record(1))
    place.review(1, state)
    one = place.server.read_root(FORM, uuid(1))

    assert one is not None
    assert state == one.review.state
    assert one.review.by
    assert one.review.by != place.server.own_account()
    assert state == place.server.review_of(FORM, one.order).state


def test_on_hold_is_ours_and_can_be_taken_away(place: Place) -> None:
    """Our mark is known as ours, and afterwards nothing stands there."""
    place.send(record(1))
    [order] = _orders(place).values()
    place.server.set_on_hold(FORM, order, on_hold=True)
    marked = place.server.review_of(FORM, order)
    place.server.set_on_hold(FORM, order, on_hold=False)

    assert ("on_hold", place.server.own_account()) == (marked.state, marked.by)
    assert place.server.review_of(FORM, order).state is None


def test_rights_are_told(place: Place) -> None:
    """Whole while we may see everything; another mark, and not whole, when that was taken."""
    before = place.server.rights(FORM)
    place.narrow()
    after = place.server.rights(FORM)

    assert before.whole
    assert not after.whole
    assert before.mark != after.mark


def test_a_bell_gives_ids_alone(place: Place) -> None:
    """The form and the submission that a webhook names; a body that names none is refused."""
    place.send(record(1))
    bell = place.server.bell(place.bell(1))

    assert (FORM, uuid(1)) == (bell.form_id, bell.root_id or uuid(1))
    with pytest.raises(NotASubmission):
        place.server.bell({"hello": "there"})


def test_what_goes_wrong_is_told_in_codes(place: Place) -> None:
    """A server that is ill, and one that hangs up: an error with a code and what to do, and afterwards all is read."""
    place.send(record(1))
    codes = []
    for fault in ({"status": 500}, {"status": 429, "headers": {"Retry-After": "9"}}, {"drop_connection": True}):
        place.sandbox.faults.next(".", **fault)
        with pytest.raises(ServerError) as failed:
            _orders(place)
        codes.append((failed.value.code.partition(".")[2], bool(failed.value.next_step)))

    assert [("server_error", True), ("too_many", True), ("cut", True)] == codes
    assert [uuid(1)] == list(_orders(place))


def test_a_page_in_the_place_of_an_answer_is_no_empty_list(place: Place) -> None:
    """A proxy's page is an error: taken for an empty list it would make everything look gone."""
    place.send(record(1))
    _orders(place)
    place.sandbox.faults.next("(?i)data|submissions", status=200, body=b"<html>")
    with pytest.raises(ServerError) as failed:
        _orders(place)

    assert failed.value.code.endswith(".strange_answer")
