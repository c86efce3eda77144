"""The stand-in for Primero behaves as Primero's code does, also in the eight places where its documents say otherwise."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.targets.stub_primero import MODULE, PASSWORD, USER, PrimeroStub

ID = "49da494a-d54e-592e-9f9d-917b8616e2a2"
ROW = "e053ecad-2560-5454-a4d9-67410b79af0f"
BASIC = (USER, PASSWORD)


class Client:
    """Calls a stub as a plain HTTP client would."""

    def __init__(self, stub: PrimeroStub, url: str) -> None:
        self.stub, self.url = stub, f"{url}/api/v2"
        self.http = requests.Session()

    def __call__(
        self, method: str, path: str, data: Any = None, *, auth: Any = BASIC, **more: Any
    ) -> requests.Response:
        body = None if data is None else {"data": data}
        return self.http.request(method, self.url + path, json=more.pop("json", body), auth=auth, timeout=5, **more)


@pytest.fixture(name="primero")
def _primero() -> Iterator[Client]:
    stub = PrimeroStub()
    with stub.serve() as server:
        client = Client(stub, server.url)
        yield client
        client.http.close()


def made(primero: Client, kind: str = "tracing_requests", **fields: Any) -> requests.Response:
    return primero("POST", f"/{kind}", {"id": ID, "module_id": MODULE, **fields})


def test_there_is_no_bearer_token(primero: Client) -> None:
    """1, 7: signing in answers with the user and two cookies, no token; a bearer token opens nothing."""
    signed_in = primero("POST", "/tokens", auth=None, json={"user": {"user_name": USER, "password": PASSWORD}})
    bearer = requests.get(f"{primero.url}/cases", headers={"Authorization": "Bearer x"}, timeout=5)

    assert {"id": 1, "user_name": USER, "group_permission": "all"} == signed_in.json()
    assert "Authorization" not in signed_in.headers
    assert {"_app_session", "CSRF-TOKEN"} == set(signed_in.cookies.keys())
    assert 401 == bearer.status_code


def test_errors_carry_a_status(primero: Client) -> None:
    """2: the key of an error is `status`, not `code`; a failed sign-in has another shape."""
    missing = primero("GET", f"/cases/{ID}").json()
    wrong = primero("POST", "/tokens", auth=None, json={"user": {"user_name": USER, "password": "no"}})

    assert (404, True) == (missing["errors"][0]["status"], "code" not in missing["errors"][0])
    assert (401, {"error"}) == (wrong.status_code, set(wrong.json()))


def test_a_row_is_removed_by_destroy(primero: Client) -> None:
    """3: `_destroy` removes a row, `_delete` is dropped as unknown; the trace stays as it was."""
    made(primero, tracing_request_subform_section=[{"unique_id": ROW, "name": "A"}])
    primero(
        "PATCH", f"/tracing_requests/{ID}", {"tracing_request_subform_section": [{"unique_id": ROW, "_delete": True}]}
    )
    kept = primero("GET", f"/tracing_requests/{ID}").json()["data"]["tracing_request_subform_section"]
    primero(
        "PATCH", f"/tracing_requests/{ID}", {"tracing_request_subform_section": [{"unique_id": ROW, "_destroy": True}]}
    )
    gone = primero("GET", f"/tracing_requests/{ID}").json()["data"]["tracing_request_subform_section"]

    assert ([{"unique_id": ROW, "name": "A"}], []) == (kept, gone)
    assert "A" == primero("GET", f"/traces/{ROW}").json()["data"]["name"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"attachment_type": None, "type": "image", "content_type": "image/jpeg"}, 422),
        ({"file_name": "a.gif"}, 422),
        ({"attachment_type": "audio", "field_name": "recorded_audio", "file_name": "a.amr"}, 422),
        ({"attachment_type": "audio", "field_name": "recorded_audio", "file_name": "a.m4a"}, 200),
        ({"field_name": "not_a_field"}, 403),
    ],
)
def test_attachments_go_by_type_and_name(primero: Client, changes: dict[str, Any], status: int) -> None:
    """4: `attachment_type` and `file_name` count; what is neither JPEG nor PNG, MP3 nor M4A is refused."""
    made(primero)
    picture = {
        "field_name": "photos",
        "attachment_type": "image",
        "file_name": "a.jpg",
        "attachment": base64.b64encode(b"x").decode(),
    }

    assert status == primero("POST", f"/tracing_requests/{ID}/attachments", {**picture, **changes}).status_code


def test_attachments_are_not_idempotent_and_limited(primero: Client) -> None:
    """The same file twice is there twice; more than 20 MB is refused; deleting destroys it."""
    made(primero)
    picture = {
        "field_name": "photos",
        "attachment_type": "image",
        "file_name": "a.jpg",
        "attachment": base64.b64encode(b"x").decode(),
    }
    numbers = [primero("POST", f"/tracing_requests/{ID}/attachments", picture).json()["data"]["id"] for _ in range(2)]
    large = {**picture, "attachment": base64.b64encode(bytes(20 * 1024 * 1024 + 1)).decode()}

    assert 422 == primero("POST", f"/tracing_requests/{ID}/attachments", large).status_code
    assert 204 == primero("DELETE", f"/tracing_requests/{ID}/attachments/{numbers[0]}").status_code
    assert [numbers[1]] == [one["id"] for one in primero("GET", f"/tracing_requests/{ID}").json()["data"]["photos"]]


def test_a_referral_goes_its_way(primero: Client) -> None:
    """5, 6, 8: `in_progress`, record_type `case`, DELETE revokes; a move that is not allowed is a silent 200; consent counts."""
    made(primero, "cases")
    refused = primero("POST", f"/cases/{ID}/referrals", {"service": "x", "notes": "[ref:1]"})
    primero("PATCH", f"/cases/{ID}", {"disclosure_other_orgs": True, "consent_for_services": True})
    referral = primero("POST", f"/cases/{ID}/referrals", {"service": "x"}).json()["data"]
    path = f"/cases/{ID}/referrals/{referral['id']}"
    done = primero("PATCH", path, {"status": "done"})
    steps = [primero("PATCH", path, {"status": status}).json()["data"]["status"] for status in ("accepted", "done")]

    assert (422, "consent", ["transition.errors.consent"]) == (
        refused.status_code, refused.json()["errors"][0]["detail"], refused.json()["errors"][0]["message"],
    )  # fmt: skip
    assert ("in_progress", "case") == (referral["status"], referral["record_type"])
    assert (200, "in_progress") == (done.status_code, done.json()["data"]["status"])
    assert ["accepted", "done"] == steps
    assert "revoked" == primero("DELETE", path).json()["data"]["status"]


def test_an_id_of_ones_own(primero: Client) -> None:
    """With an id: 204 and no body, then 409; without: 200 and the record. An id in capitals is refused."""
    answers = [made(primero), made(primero)]
    without = primero("POST", "/tracing_requests", {"module_id": MODULE})

    assert [(204, b""), (409, answers[1].content)] == [(one.status_code, one.content) for one in answers]
    assert "Conflict: A record with this id already exists" == answers[1].json()["errors"][0]["message"]
    assert (200, True) == (without.status_code, without.json()["data"]["enabled"])
    assert 422 == primero("POST", "/tracing_requests", {"id": ID.upper(), "module_id": MODULE}).status_code


def test_what_no_form_has_is_dropped_in_silence(primero: Client) -> None:
    """A misspelt field is a success without data; without `module_id` nearly everything is."""
    made(primero, relation_name="A", relation_nmae="B")
    nameless = primero("POST", "/tracing_requests", {"relation_name": "A"}).json()["data"]
    held = primero("GET", f"/tracing_requests/{ID}").json()["data"]

    assert ("A", False) == (held["relation_name"], "relation_nmae" in held)
    assert "relation_name" not in nameless


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"relation_age": "34"}, "/relation_age"),
        ({"relation_age": 2**31}, "/relation_age"),
        ({"disclosure_other_orgs": None}, "/disclosure_other_orgs"),
        ({"relation_date_of_birth": "1995"}, "/relation_date_of_birth"),
        ({"relation_nationality": ["SY"]}, "/relation_nationality"),
        ({"tracing_request_subform_section": [{"sex": "other"}]}, "/tracing_request_subform_section/0/sex"),
        ({"tracing_request_subform_section": [{"relation": "son"}]}, "/tracing_request_subform_section/0/relation"),
    ],
)
def test_wrong_types_are_pointed_at(primero: Client, fields: dict[str, Any], pointer: str) -> None:
    """422 with JSON pointers: whole numbers as numbers, ticks never null, dates as days, options of the list."""
    answer = made(primero, **fields)

    assert (422, [pointer]) == (answer.status_code, answer.json()["errors"][0]["detail"])


def test_a_date_in_the_future_has_its_own_error(primero: Client) -> None:
    """A model's check points at the field by name, with a list of messages."""
    [error] = made(primero, relation_date_of_birth="2999-01-01").json()["errors"]

    assert ("date_of_birth", list) == (error["detail"], type(error["message"]))


def test_an_update_merges(primero: Client) -> None:
    """Scalars are replaced, rows merged by `unique_id`, absent rows stay, our own keys cannot be changed."""
    made(primero, relation_name="A", tracing_request_subform_section=[{"unique_id": ROW, "name": "A", "sex": "male"}])
    other = ROW.replace("e", "a")
    rows = [{"unique_id": ROW, "name": None}, {"unique_id": other, "name": "B"}]
    primero(
        "PATCH", f"/tracing_requests/{ID}", {"relation_name": "C", "id": other, "tracing_request_subform_section": rows}
    )
    held = primero("GET", f"/tracing_requests/{ID}").json()["data"]

    assert (ID, "C") == (held["id"], held["relation_name"])
    assert [(ROW, None, "male"), (other, "B", None)] == [
        (row["unique_id"], row.get("name"), row.get("sex")) for row in held["tracing_request_subform_section"]
    ]


def test_deleting_disables(primero: Client) -> None:
    """DELETE sets `record_state`; the data stay. Enabling needs the record action."""
    made(primero, relation_name="A")
    primero("DELETE", f"/tracing_requests/{ID}")
    disabled = primero("GET", f"/tracing_requests/{ID}").json()["data"]
    plain = primero("PATCH", f"/tracing_requests/{ID}", {"record_state": True})
    named = primero("PATCH", f"/tracing_requests/{ID}?record_action=enable_disable_record", {"record_state": True})

    assert (False, "A") == (disabled["record_state"], disabled["relation_name"])
    assert (403, 200) == (plain.status_code, named.status_code)


def test_a_session_needs_its_token(primero: Client) -> None:
    """A cookie alone reads; it writes with the token of CSRF-TOKEN; another sign-in ends it."""
    sign_in = {"user": {"user_name": USER, "password": PASSWORD}}
    signed_in = primero("POST", "/tokens", auth=None, json=sign_in)
    token = requests.utils.unquote(signed_in.cookies["CSRF-TOKEN"])
    without = primero("POST", "/cases", {"module_id": MODULE}, auth=None)
    with_it = primero("POST", "/cases", {"module_id": MODULE}, auth=None, headers={"X-CSRF-Token": token})
    requests.post(f"{primero.url}/tokens", json=sign_in, timeout=5)

    assert (403, 200) == (without.status_code, with_it.status_code)
    assert 401 == primero("GET", "/cases", auth=None).status_code


def test_signing_in_is_limited(primero: Client) -> None:
    """More than six sign-ins a minute: 429 with a time to wait. Six wrong passwords lock the account."""
    answers = [
        primero("POST", "/tokens", auth=None, json={"user": {"user_name": USER, "password": "no"}}) for _ in range(7)
    ]

    assert [401] * 6 + [429] == [answer.status_code for answer in answers]
    assert "60" == answers[-1].headers["Retry-After"]
    assert 401 == primero("GET", "/cases").status_code


def test_while_it_is_configured_nothing_is_served(primero: Client) -> None:
    """503 with Retry-After, wherever one asks."""
    primero.stub.configuring = True
    answer = primero("GET", "/cases")

    assert (503, "30", 503) == (answer.status_code, answer.headers["Retry-After"], answer.json()["errors"][0]["status"])


def test_lists_are_paged_and_forms_are_not(primero: Client) -> None:
    """Lists tell total, page and size; forms are those of the role, each subform one of its own."""
    for _ in range(3):
        primero("POST", "/cases", {"module_id": MODULE})
    page = primero("GET", "/cases?per=2&page=2").json()
    forms = primero("GET", "/forms?record_type=tracing_request").json()

    assert (1, {"total": 3, "per": 2, "page": 2}) == (len(page["data"]), page["metadata"])
    assert {"data"} == set(forms)
    assert "tracing_request_subform_section" in {form["unique_id"] for form in forms["data"]}
