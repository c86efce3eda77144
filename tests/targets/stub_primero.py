"""A stand-in for Primero v2 on loopback, written from how its code behaves; where its documents say otherwise, the code counts.

Signing in three ways, 204 and 409 by the caller's own id, forms that drop what they do not know and refuse wrong types,
merging updates, traces out of subform rows, attachments, referrals, disabling, webhooks that nobody repeats. `faults`
disturbs it on demand.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import requests
from flask import Flask, Response, request

from connector.sandbox.web import Asked, Disturbed, Faults, RunningServer

MODULE = "primeromodule-cp"
USER, PASSWORD = "silah", "a long password"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GENDER = ("male", "female")
_RELATION = (
    "mother", "father", "aunt", "uncle", "grandmother", "grandfather", "brother", "sister", "husband", "wife", "partner",
    "other_family", "other_nonfamily",
)  # fmt: skip
_CAUSE = (
    "conflict", "death", "family_abuse_violence_exploitation", "lack_of_access_to_services_support", "caafag",
    "sickness_of_family_member", "entrusted_into_the_care_of_an_individual", "arrest_and_detention", "abandonment", "repatriation",
    "population_movement", "migration", "poverty", "natural_disaster", "divorce_remarriage", "other_please_specify",
)  # fmt: skip
_TRACE = {
    "name": "text_field", "relation": _RELATION, "name_nickname": "text_field", "name_other": "text_field", "sex": _GENDER,
    "age": "numeric_field", "date_of_birth": "date_field", "date_of_separation": "date_field", "separation_cause": _CAUSE,
    "location_separation": "text_field", "location_last": "text_field", "telephone_last": "text_field",
    "tracing_request_status": ("open", "tracing_in_progress", "verified", "reunified", "closed"),
}  # fmt: skip
_CONCERNS = (
    "sexually_exploited", "gbv_survivor", "trafficked_smuggled", "statelessness", "arrested_detained", "migrant", "disabled",
    "serious_health_issue", "refugee", "caafag", "street_child", "child_mother", "physically_or_mentally_abused",
    "living_with_vulnerable_person", "worst_forms_of_child_labor", "child_headed_household", "mentally_distressed", "other",
)  # fmt: skip
_CARE = (
    "parent_s", "step_parent", "customary_caregiver_s", "adult_sibling", "kinship_care_extended_family", "foster_care", "residential_care",
    "kafala", "independent_living", "child_headed_household", "unrelated_adult", "no_care_arrangement", "other",
)  # fmt: skip
_FAMILY = {
    "relation_name": "text_field", "relation": _RELATION, "relation_is_caregiver": "tick_box", "relation_nickname": "text_field",
    "relation_is_alive": ("unknown", "alive", "dead"), "relation_age": "numeric_field", "relation_date_of_birth": "date_field",
    "relation_address_current": "textarea", "relation_telephone": "text_field",
}  # fmt: skip
FORMS: dict[str, dict[str, dict[str, Any]]] = {
    "tracing_request": {
        "tracing_request_inquirer": {
            "inquiry_date": "date_field", "status": ("open", "closed"), "relation_name": "text_field", "relation_nickname": "text_field",
            "relation_age": "numeric_field", "relation_date_of_birth": "date_field", "relation_address_current": "textarea",
            "relation_telephone": "text_field", "disclosure_other_orgs": "tick_box",
            "relation_nationality": ["nationality1", "nationality2"],
        },
        "tracing_request_tracing_request": {"tracing_request_subform_section": _TRACE},
        "tracing_request_photos_and_audio": {"photos": "photo_upload_box", "recorded_audio": "audio_upload_box"},
    },
    "case": {
        "basic_identity": {
            "registration_date": "date_field", "other_agency_id": "text_field", "name": "text_field", "name_first": "text_field",
            "name_middle": "text_field", "name_last": "text_field", "name_nickname": "text_field", "name_other": "text_field",
            "sex": _GENDER, "age": "numeric_field", "date_of_birth": "date_field", "estimated": "tick_box",
        },
        "protection_concern": {
            "protection_status": ("unaccompanied", "separated"), "urgent_protection_concern": "yes_no",
            "risk_level": ("high", "medium", "low"), "protection_concerns": list(_CONCERNS),
        },
        "consent": {
            "interview_subject": ("individual", "caregiver", "other"), "consent_for_services": "tick_box", "consent_for_tracing": "yes_no",
            "disclosure_other_orgs": "tick_box",
        },
        "family_details": {"family_details_section": _FAMILY},
        "child_wishes": {
            "wishes_child_family_tracing": "yes_no",
            "child_preferences_section": {
                "wishes_name": "text_field", "wishes_relationship": _RELATION,
                "wishes_preference_relocated": ("first_choice", "second_choice", "third_choice"),
            },
        },
        "care_arrangements": {
            "care_arrangements_section": {
                "care_arrangements_type": _CARE, "name_caregiver": "text_field", "caregiver_age": "numeric_field",
                "relationship_caregiver": _RELATION, "care_arrangement_started_date": "date_field",
            },
        },
        "tracing": {"date_of_separation": "date_field", "separation_cause": _CAUSE},
        "services": {"services_section": {"service_type": "text_field", "service_status_referred": "tick_box"}},
        "photos_and_audio": {"photos": "photo_upload_box", "recorded_audio": "audio_upload_box"},
    },
}  # fmt: skip
"""Forms of the account's role: type of record -> form -> field -> type; a tuple is one of these, a list several of these,
a mapping a subform. tests may take fields away and add some."""
_TYPES = {"cases": "case", "tracing_requests": "tracing_request"}
_NEVER_CHANGED = frozenset(
    {"id", "unique_identifier", "unique_id", "short_id", "created_at", "created_by", "case_id", "tracing_request_id"}
)
_ALWAYS = frozenset({"id", "module_id", "record_state", "status", "owned_by"})
_FILES = {
    "image": ({"image/jpeg", "image/png"}, ("jpg", "jpeg", "png")),
    "audio": ({"audio/mpeg", "audio/mp4"}, ("mp3", "m4a")),
    "document": ({"application/pdf"}, ("pdf", "txt", "doc", "docx", "csv", "xls", "xlsx", "jpg", "png")),
}
MOST_FILE = 20 * 1024 * 1024
_SIGN_INS_A_MINUTE, _FAILURES = 6, 6


class Refusal(Exception):
    """An error answer; *detail* and *message* as Primero words them."""

    def __init__(
        self, status: int, message: Any = None, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status, self.message, self.detail, self.headers = status, message, detail, dict(headers or {})


@dataclass
class PrimeroStub:
    """The state of one instance. `records` by path (`tracing_requests`) and id; `traces` by id."""

    csrf: bool = True
    faults: Faults = field(default_factory=Faults)
    asked: list[Asked] = field(default_factory=list)
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"cases": {}, "tracing_requests": {}})
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    referrals: dict[str, dict[str, Any]] = field(default_factory=dict)
    forms: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: json.loads(json.dumps(_plain(FORMS))))
    files: dict[int, bytes] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    sign_ins: int = 0
    failures: int = 0
    configuring: bool = False
    genders: list[str] = field(default_factory=lambda: list(_GENDER))
    """The values of its lookup `lookup-gender`."""
    hook: tuple[str, str] | None = None
    """Where its webhook tells of changes, and the key it shows in `x-api-key`."""
    told: list[int] = field(default_factory=list)
    """The statuses that the webhook's receiver answered."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def work(self, kind: str, one: str, **changes: Any) -> None:
        """A case worker changes a record; Primero tells of it once, without a signature, and repeats nothing."""
        self.records[kind][one].update(changes)
        self._changed(kind, one)

    def match(self, trace: str, case: str | None) -> None:
        """A case worker links a person looked for with a case."""
        self.traces[trace]["matched_case_id"] = case
        self._changed("tracing_requests", self.traces[trace]["tracing_request_id"])

    def _changed(self, kind: str, one: str) -> None:
        record = self.records[kind][one]
        record["last_updated_at"] = self.clock().isoformat()
        if self.hook:
            url, key = self.hook
            body = {"data": {"record_id": one, "record_type": _TYPES[kind], "hostname": "x.primero.org", **record}}
            answer = requests.post(url, json=body, headers={"x-api-key": key}, timeout=5)
            self.told.append(answer.status_code)

    def serve(self) -> RunningServer:
        return RunningServer(Disturbed(_app(self), self.faults, self.asked, lambda _: None), "127.0.0.1", 0)

    def fields_of(self, record_type: str) -> dict[str, Any]:
        """Every field of the role's forms of that type, by name."""
        return {name: kind for form in self.forms[record_type].values() for name, kind in form.items()}


def _plain(value: Any) -> Any:
    """Tuples as JSON can hold them: one of these."""
    if isinstance(value, tuple):
        return {"one of": list(value)}
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _app(stub: PrimeroStub) -> Flask:
    app = Flask("primero")
    lock = threading.RLock()
    app.register_error_handler(Refusal, _refused)

    def route(path: str, method: str, view: Callable[..., Any], *, public: bool = False) -> None:
        def answered(**parts: Any) -> Response:
            with lock:
                if stub.configuring:
                    raise Refusal(503, "Service Unavailable", headers={"Retry-After": "30"})
                if not public:
                    _signed_in(stub)
                return _answer(view(stub, **parts))

        app.add_url_rule(path, f"{method} {path}", answered, methods=[method])

    route("/health", "GET", lambda _: (None, 204), public=True)
    route("/api/v2/tokens", "POST", _sign_in, public=True)
    route("/api/v2/tokens", "DELETE", _sign_out)
    route("/api/v2/forms", "GET", _forms)
    route("/api/v2/lookups", "GET", _lookups)
    route("/api/v2/traces/<one>", "GET", lambda stub, one: ({"data": _found(stub.traces, one)}, 200))
    route("/api/v2/traces/<one>", "PATCH", _match)
    route("/api/v2/<any(cases,tracing_requests):kind>", "GET", _list)
    route("/api/v2/<any(cases,tracing_requests):kind>", "POST", _create)
    route("/api/v2/<any(cases,tracing_requests):kind>/<one>", "GET", _show)
    route("/api/v2/<any(cases,tracing_requests):kind>/<one>", "PATCH", _update)
    route("/api/v2/<any(cases,tracing_requests):kind>/<one>", "DELETE", _disable)
    route("/api/v2/<any(cases,tracing_requests):kind>/<one>/attachments", "POST", _attach)
    route("/api/v2/<any(cases,tracing_requests):kind>/<one>/attachments/<int:number>", "DELETE", _detach)
    route("/api/v2/tracing_requests/<one>/traces", "GET", _traces)
    route("/api/v2/cases/<one>/referrals", "GET", _referrals)
    route("/api/v2/cases/<one>/referrals", "POST", _refer)
    route("/api/v2/cases/<one>/referrals/<other>", "PATCH", _move)
    route("/api/v2/cases/<one>/referrals/<other>", "DELETE", _revoke)
    return app


def _answer(made: tuple[Any, int] | tuple[Any, int, dict[str, str]]) -> Response:
    body, status = made[0], made[1]
    text = "" if body is None else json.dumps(body, ensure_ascii=False)
    response = Response(text, status, content_type="application/json")
    for name, value in (made[2] if len(made) > 2 else {}).items():
        for one in value if isinstance(value, list) else [value]:
            response.headers.add(name, one)
    return response


def _refused(error: Exception) -> Response:
    assert isinstance(error, Refusal)
    if error.status == 401 and isinstance(error.message, str) and not request.path.startswith("/api/v2/c"):
        return _answer(({"error": error.message}, 401))
    one = {"status": error.status, "resource": request.path, "detail": error.detail, "message": error.message}
    return _answer(
        ({"errors": [{key: value for key, value in one.items() if value is not None}]}, error.status, error.headers)
    )


# ---- signing in


def _signed_in(stub: PrimeroStub) -> None:
    """HTTP Basic, which needs no CSRF token, or a session cookie, which does for writing. Bearer tokens are not known."""
    given = request.authorization
    if given is not None and given.type == "basic":
        _right_password(stub, given.username, given.password)
        return
    session = request.cookies.get("_app_session", "")
    if session not in stub.sessions:
        raise Refusal(401, "You need to sign in or sign up before continuing.")
    if stub.csrf and request.method != "GET" and request.headers.get("X-CSRF-Token") != stub.sessions[session]:
        raise Refusal(403, "Forbidden")


def _right_password(stub: PrimeroStub, user: Any, password: Any) -> None:
    if stub.failures >= _FAILURES:
        raise Refusal(401, "Your account is locked.")
    if (user, password) != (USER, PASSWORD):
        stub.failures += 1
        raise Refusal(401, "Invalid User name or password.")


def _sign_in(stub: PrimeroStub) -> Any:
    stub.sign_ins += 1
    if stub.sign_ins > _SIGN_INS_A_MINUTE:
        raise Refusal(429, "Too Many Requests", headers={"Retry-After": "60"})
    sent = (request.get_json(silent=True) or {}).get("user", {})
    _right_password(stub, sent.get("user_name"), sent.get("password"))
    stub.sessions.clear()  # every sign-in ends the user's other sessions
    session, token = secrets.token_hex(16), base64.b64encode(secrets.token_bytes(24)).decode() + "=="
    stub.sessions[session] = token
    escaped = token.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    cookies = [f"_app_session={session}; path=/; HttpOnly", f"CSRF-TOKEN={escaped}; path=/"]
    return {"id": 1, "user_name": USER, "group_permission": "all"}, 200, {"Set-Cookie": cookies}


def _sign_out(stub: PrimeroStub) -> Any:
    stub.sessions.clear()
    return {}, 200


# ---- records


def _data() -> dict[str, Any]:
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict) or not isinstance(sent.get("data"), dict):
        raise Refusal(422, "param is missing or the value is empty: data")
    return sent["data"]


def _create(stub: PrimeroStub, kind: str) -> Any:
    sent = _data()
    given = sent.get("id")
    if given is not None and not _UUID.fullmatch(str(given)):
        raise Refusal(422, "Invalid Record JSON", ["/id"])
    if given in stub.records[kind]:
        raise Refusal(409, "Conflict: A record with this id already exists")
    kept = _permitted(stub, kind, sent, str(sent.get("module_id")))
    _check(stub, kind, kept)
    record = {
        "id": given or str(uuid4()), "enabled": True, "record_state": True, "status": "open", "owned_by": USER, "created_by": USER,
        "module_id": sent.get("module_id"), **{key: value for key, value in kept.items() if key != "id"},
    }  # fmt: skip
    record["short_id"] = record["id"][-7:]
    record["last_updated_at"] = stub.clock().isoformat()
    record.setdefault("inquiry_date" if kind == "tracing_requests" else "registration_date", date.today().isoformat())  # noqa: DTZ011
    stub.records[kind][record["id"]] = record
    _into_traces(stub, kind, record, kept)
    return (None, 204) if given else ({"data": record}, 200)


def _permitted(stub: PrimeroStub, kind: str, sent: Mapping[str, Any], module: str) -> dict[str, Any]:
    """What the role's forms of the record's module let through; the rest is dropped without a word."""
    known = stub.fields_of(_TYPES[kind]) if module == MODULE else {}
    kept = {key: value for key, value in sent.items() if key in known or key in _ALWAYS}
    for name, rows in kept.items():
        if isinstance(known.get(name), dict) and "one of" not in known[name] and isinstance(rows, list):
            allowed = {*known[name], "unique_id", "_destroy"}
            kept[name] = [{key: value for key, value in row.items() if key in allowed} for row in rows]
    return kept


def _check(stub: PrimeroStub, kind: str, kept: Mapping[str, Any]) -> None:
    faults = list(_type_faults(stub.fields_of(_TYPES[kind]), kept, ""))
    if faults:
        raise Refusal(422, "Invalid Record JSON", faults)
    born = kept.get("date_of_birth") or kept.get("relation_date_of_birth")
    if born and born > date.today().isoformat():  # noqa: DTZ011
        raise Refusal(422, ["errors.models.child.date_of_birth"], "date_of_birth")


def _type_faults(known: Mapping[str, Any], kept: Mapping[str, Any], prefix: str) -> Any:
    for name, value in kept.items():
        kind = known.get(name)
        if kind is None:
            continue
        if isinstance(kind, dict) and "one of" not in kind:
            for number, row in enumerate(value if isinstance(value, list) else []):
                yield from _type_faults(kind, row, f"{prefix}/{name}/{number}")
            if not isinstance(value, list):
                yield f"{prefix}/{name}"
        elif not _fits(kind, value):
            yield f"{prefix}/{name}"


def _fits(kind: Any, value: Any) -> bool:
    if kind == "tick_box":
        return isinstance(value, bool)
    if value is None:
        return True
    if kind == "yes_no":
        return isinstance(value, bool)
    if isinstance(kind, dict):
        return value in kind["one of"]
    if isinstance(kind, list):
        return isinstance(value, list) and all(one in kind for one in value)
    if kind == "numeric_field":
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
    if kind == "date_field":
        return isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))
    return isinstance(value, str)


def _show(stub: PrimeroStub, kind: str, one: str) -> Any:
    return {"data": _shown(_found(stub.records[kind], one))}, 200


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {"name": "*******"} if record.get("hidden_name") and record.get("name") else {}
    return {key: value for key, value in {**record, **hidden}.items() if value is not None}


def _found(held: Mapping[str, Any], one: str) -> Any:
    if one not in held:
        raise Refusal(404, "Not Found", "Record not found")
    return held[one]


def _list(stub: PrimeroStub, kind: str) -> Any:
    per, page = min(int(request.args.get("per", 20)), 1000), int(request.args.get("page", 1))
    wanted = [_shown(one) for one in stub.records[kind].values()]
    order = request.args.get("order_by", "created_at")
    wanted.sort(key=lambda one: str(one.get(order, "")), reverse=request.args.get("order") == "desc")
    names = [name for name in request.args.get("fields", "").split(",") if name]
    wanted = [{name: one[name] for name in names if name in one} for one in wanted] if names else wanted
    return {
        "data": wanted[(page - 1) * per : page * per],
        "metadata": {"total": len(wanted), "per": per, "page": page},
    }, 200


def _update(stub: PrimeroStub, kind: str, one: str) -> Any:
    record = _found(stub.records[kind], one)
    kept = _permitted(stub, kind, _data(), str(record.get("module_id")))
    if "record_state" in kept and request.args.get("record_action") != "enable_disable_record":
        raise Refusal(403, "Forbidden")
    _check(stub, kind, kept)
    changed = {key: _merged(record.get(key), value) for key, value in kept.items() if key not in _NEVER_CHANGED}
    if changed.get("record_state") is True:
        record["enabled"] = True
    record.update(changed)
    record["last_updated_at"] = stub.clock().isoformat()
    _into_traces(stub, kind, record, kept)
    return {"data": {"id": one, **changed}}, 200


def _merged(old: Any, new: Any) -> Any:
    """Rows by unique_id, absent ones stay, `_destroy` removes; hashes by key; everything else is replaced."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    if not (isinstance(new, list) and any(isinstance(one, dict) for one in new)):
        return new
    rows = {row.get("unique_id"): row for row in old or [] if isinstance(row, dict)}
    for row in new:
        key = row.get("unique_id") or str(uuid4())
        if row.get("_destroy"):
            rows.pop(key, None)
        else:
            rows[key] = _merged(rows.get(key, {}), {**row, "unique_id": key})
    return list(rows.values())


def _into_traces(stub: PrimeroStub, kind: str, record: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Each row is a trace with the row's id, wherever that trace was before; a removed row leaves its trace."""
    for row in kept.get("tracing_request_subform_section") or [] if kind == "tracing_requests" else []:
        if not row.get("_destroy"):
            trace = stub.traces.setdefault(row.get("unique_id", str(uuid4())), {})
            trace.update({**row, "id": row.get("unique_id"), "tracing_request_id": record["id"]})


def _traces(stub: PrimeroStub, one: str) -> Any:
    return {"data": [trace for trace in stub.traces.values() if trace["tracing_request_id"] == one]}, 200


def _match(stub: PrimeroStub, one: str) -> Any:
    _found(stub.traces, one)["matched_case_id"] = _data().get("matched_case_id")
    return {"data": stub.traces[one]}, 200


def _disable(stub: PrimeroStub, kind: str, one: str) -> Any:
    _found(stub.records[kind], one).update(record_state=False, enabled=False)
    return {"data": {"id": one}}, 200


def _forms(stub: PrimeroStub) -> Any:
    """The forms of the role: not paged. A subform is a form of its own."""
    wanted = request.args.get("record_type")
    shown = []
    for record_type, forms in stub.forms.items():
        for form, fields in forms.items():
            if wanted in (None, record_type) and request.args.get("module_id") in (None, MODULE):
                shown.append(_form(form, record_type, fields))
                shown += [
                    _form(name, record_type, kind)
                    for name, kind in fields.items()
                    if isinstance(kind, dict) and "one of" not in kind
                ]
    return {"data": shown}, 200


def _form(form: str, record_type: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "unique_id": form, "parent_form": record_type, "module_ids": [MODULE],
        "fields": [_field(name, kind) for name, kind in fields.items()],
    }  # fmt: skip


def _field(name: str, kind: Any) -> dict[str, Any]:
    """Choices stand in the field, by language, or in a lookup that it names."""
    choices = kind.get("one of") if isinstance(kind, dict) else kind if isinstance(kind, list) else None
    if choices is None:
        return {"name": name, "type": kind if isinstance(kind, str) else "subform"}
    if choices == list(_GENDER):
        return {"name": name, "type": "select_box", "option_strings_source": "lookup lookup-gender"}
    shown = [{"id": one, "display_text": one} for one in choices]
    return {"name": name, "type": "select_box", "option_strings_text": {"en": shown, "ar": shown}}


def _lookups(stub: PrimeroStub) -> Any:
    values = [{"id": one, "display_text": {"en": one}} for one in stub.genders]
    return {"data": [{"id": 1, "unique_id": "lookup-gender", "name": {"en": "Gender"}, "values": values}]}, 200


# ---- attachments: `attachment_type` and `file_name` count; `type` and `content_type` of the documents are ignored


def _attach(stub: PrimeroStub, kind: str, one: str) -> Any:
    record, sent = _found(stub.records[kind], one), _data()
    media, endings = _FILES.get(str(sent.get("attachment_type")), (set(), ()))
    name = str(sent.get("file_name") or "")
    try:
        data = base64.b64decode(str(sent.get("attachment") or ""), validate=True)
    except binascii.Error:
        raise Refusal(422, ["invalid base64"], "attachment") from None
    if not media or not name.endswith(endings) or not data or len(data) > MOST_FILE:
        raise Refusal(422, ["errors.attachments.invalid"], "attachment")
    if sent.get("field_name") not in stub.fields_of(_TYPES[kind]):
        raise Refusal(403, "Forbidden")
    number = len(stub.files) + 1
    stub.files[number] = data
    made = {
        "id": number,
        "field_name": sent["field_name"],
        "file_name": name,
        "attachment_url": f"{request.path}/{number}",
    }
    record.setdefault(sent["field_name"], []).append(made)
    return {"data": {**made, "record": {"id": one}}}, 200


def _detach(stub: PrimeroStub, kind: str, one: str, number: int) -> Any:
    record = _found(stub.records[kind], one)
    if number not in stub.files:
        raise Refusal(404, "Not Found")
    del stub.files[number]
    for name in ("photos", "recorded_audio"):
        record[name] = [file for file in record.get(name, []) if file["id"] != number]
    return None, 204


# ---- referrals


def _referrals(stub: PrimeroStub, one: str) -> Any:
    return {"data": [referral for referral in stub.referrals.values() if referral["record_id"] == one]}, 200


def _refer(stub: PrimeroStub, one: str) -> Any:
    record, sent = _found(stub.records["cases"], one), _data()
    agreed = record.get("disclosure_other_orgs") and record.get("consent_for_services")
    if not agreed and not sent.get("consent_overridden"):
        raise Refusal(422, ["transition.errors.consent"], "consent")
    made = {
        "id": str(uuid4()), "type": "Referral", "record_id": one, "record_type": "case", "status": "in_progress",
        "transitioned_by": USER, "notes": sent.get("notes"), "user_can_accept_or_reject": not sent.get("remote"),
    }  # fmt: skip
    stub.referrals[made["id"]] = made
    return {"data": made}, 200


def _move(stub: PrimeroStub, one: str, other: str) -> Any:
    """A move that is not allowed changes nothing and is answered with success."""
    referral, wanted = _found(stub.referrals, other), _data().get("status")
    if wanted in {"in_progress": {"accepted", "rejected"}, "accepted": {"done"}}.get(referral["status"], set()):
        referral["status"] = wanted
    return {"data": {**referral, "record": {"id": one}}}, 200


def _revoke(stub: PrimeroStub, one: str, other: str) -> Any:
    _found(stub.referrals, other)["status"] = "revoked"
    return {"data": {**stub.referrals[other], "record": {"id": one}}}, 200
