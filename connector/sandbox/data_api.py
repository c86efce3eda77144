"""Submissions over HTTP: the list with its query language, single ones, attachments, edits, deletions, validation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

from flask import Blueprint, Response, request

from connector.sandbox.instance import Instance
from connector.sandbox.present import submission_json
from connector.sandbox.query import parsed, projection
from connector.sandbox.rest import (
    MOST,
    PAGE,
    Refusal,
    answer,
    asset_for,
    body,
    empty,
    host,
    named,
    not_found,
    paged,
    positive,
    someone,
    store,
)
from connector.sandbox.rights import ANONYMOUS, Filters
from connector.sandbox.store import Asset, User
from connector.sandbox.submissions import VALIDATIONS, Attachment, Submission, Upload

api = Blueprint("data", __name__, url_prefix="/api/v2/assets/<uid>")

_XML = "application/xml; charset=utf-8"
_INVALID_IDS = {"detail": "One or more submission ids are invalid"}


@api.get("/data/")
def listing(uid: str) -> Response:
    """A page of submissions as JSON or, with `format=xml`, as they were sent."""
    asset, user, allowed = _readable(uid)
    if "count" in request.args:
        raise Refusal(400, {"count": "This param is not implemented. Use `count` property of the response instead."})
    start, limit = positive("start", 0, zero=True), min(positive("limit", PAGE), MOST)
    query, sort = _object("query"), _object("sort")
    as_xml = request.args.get("format") == "xml"
    numbers = asset.submissions.select(query, allowed, None if as_xml else sort)
    rows = [asset.submissions[number] for number in numbers[start : start + limit]]
    store().log(asset, someone(user), "view-data")
    if as_xml:
        return _xml_page(len(numbers), rows)
    link_start, link_limit = _link_position(start, limit)
    return answer(paged(len(numbers), _shown(asset, rows), link_start, link_limit))


@api.get("/data/<reference>/")
def one(uid: str, reference: str) -> Response:
    """One submission by `_id`, rootUuid or `_uuid`."""
    asset, _, allowed = _readable(uid)
    return answer(submission_json(asset, _row(asset, reference, allowed), host()))


@api.get("/data/<reference>.xml")
def one_as_xml(uid: str, reference: str) -> Response:
    """One submission as it was sent."""
    asset, _, allowed = _readable(uid)
    return named(Response(_row(asset, reference, allowed).xml, content_type=_XML))


@api.delete("/data/<reference>/")
def delete_one(uid: str, reference: str) -> Response:
    """Removes one submission for good."""
    asset, user, allowed = _permitted(uid, "delete_submissions")
    _delete(asset, user, [_row(asset, reference, allowed)])
    return empty()


@api.delete("/data/bulk/")
def delete_many(uid: str) -> Response:
    """Removes the submissions that `submission_ids`, `query` or `confirm` names."""
    asset, user, allowed = _permitted(uid, "delete_submissions")
    payload = _payload()
    if not ({"submission_ids", "query"} & payload.keys() or payload.get("confirm") is True):
        raise Refusal(400, {"payload": ["Confirmation is required"]})
    rows = _chosen(asset, payload, allowed)
    _delete(asset, user, rows)
    return answer({"detail": f"{len(rows)} submissions have been deleted"})


@api.patch("/data/bulk/")
def change_many(uid: str) -> Response:
    """Writes the same answers into several submissions; each becomes a new version of itself."""
    asset, user, allowed = _permitted(uid, "change_submissions")
    payload = _payload()
    answers = payload.get("data")
    if not isinstance(answers, Mapping) or not answers:
        raise Refusal(400, {"payload": ["`data` is required"]})
    rows = _known(asset, payload, allowed)
    if not rows:
        raise Refusal(400, ["No submissions match the given `submission_ids`"])
    results = [_changed(asset, user, row, {str(key): str(text) for key, text in answers.items()}) for row in rows]
    return answer({"count": len(results), "successes": len(results), "failures": 0, "results": results})


@api.post("/data/<reference>/duplicate/")
def duplicate(uid: str, reference: str) -> Response:
    """A copy with an identity of its own."""
    asset, user, allowed = _permitted(uid, "change_submissions")
    row, now = _row(asset, reference, allowed), store().clock()
    copy = Instance(Instance(row.xml).duplicated(str(uuid.uuid4()), now))
    files = [Upload(file.name, file.content, file.mimetype) for file in row.attachments if not file.replaced]
    made, _ = asset.submissions.receive(copy, files, user.name if user else None, now)
    store().log_submission(asset, someone(user), "add-submission", made)
    for listener in store().new_submission:
        listener(asset, made)
    return answer(submission_json(asset, made, host()), 201)


@api.get("/data/<reference>/validation_status/")
def validation(uid: str, reference: str) -> Response:
    """The validation status, empty when unset."""
    asset, _, allowed = _readable(uid)
    return answer(_row(asset, reference, allowed).validation)


@api.patch("/data/<reference>/validation_status/")
def validate(uid: str, reference: str) -> Response:
    """Sets the validation status of one submission."""
    asset, user, allowed = _permitted(uid, "validate_submissions")
    row = _row(asset, reference, allowed)
    _set_validation(asset, user, [row], _validation_uid(body()))
    return answer(row.validation)


@api.delete("/data/<reference>/validation_status/")
def unvalidate(uid: str, reference: str) -> Response:
    """Removes the validation status of one submission."""
    asset, user, allowed = _permitted(uid, "validate_submissions")
    _set_validation(asset, user, [_row(asset, reference, allowed)], None)
    return empty()


@api.patch("/data/validation_statuses/")
def validate_many(uid: str) -> Response:
    """Sets the validation status of several submissions, all or none."""
    asset, user, allowed = _permitted(uid, "validate_submissions")
    payload = _payload()
    chosen = _validation_uid(payload)
    rows = _chosen(asset, payload, allowed)
    _set_validation(asset, user, rows, chosen)
    return answer({"detail": f"{len(rows)} submissions have been updated"})


@api.get("/data/<reference>/attachments/<file_uid>/")
@api.get("/data/<reference>/attachments/<file_uid>/<any(large, medium, small):size>/")
def attachment(uid: str, reference: str, file_uid: str, size: str | None = None) -> Response:
    """A file of a submission; smaller sizes are asked for but are the same picture here."""
    asset, _, allowed = _readable(uid)
    found = _row(asset, reference, allowed).attachment(file_uid)
    if found is None or (size and not found.mimetype.startswith("image/")):
        raise not_found()
    return _file(found)


@api.get("/data/<reference>/attachments/")
def attachment_at(uid: str, reference: str) -> Response:
    """The file that answers the question `xpath`."""
    asset, _, allowed = _readable(uid)
    found = _row(asset, reference, allowed).attachment_at(request.args.get("xpath", ""))
    if found is None:
        raise Refusal(400, {"detail": "The path could not be found in the submission"})
    return _file(found)


@api.delete("/attachments/bulk/")
def delete_attachments(uid: str) -> Response:
    """Empties the files of whole submissions; their entries stay, marked."""
    asset, _, allowed = _permitted(uid, "change_submissions")
    roots = body().get("submission_root_uuids")
    if not isinstance(roots, list) or not roots:
        raise Refusal(400, {"detail": "One of the parameters submission_root_uuids or attachment_uids is required"})
    files = [
        file
        for root in roots
        for file in _row(asset, str(root).removeprefix("uuid:"), allowed).attachments
        if not (file.deleted or file.replaced)
    ]
    for file in files:
        file.deleted, file.content = True, b""
    return answer({"message": f"{len(files)} attachments deleted"}, 202)


def _permitted(uid: str, codename: str) -> tuple[Asset, User | None, Filters | None]:
    """The project, who asks, and the conditions of a partial permission."""
    asset, user = asset_for(uid, codename)
    if asset.deployment is None:
        raise Refusal(400, {"detail": "The specified asset has not been deployed"})
    return asset, user, asset.rights.filters(user.name if user else ANONYMOUS, codename)


def _readable(uid: str) -> tuple[Asset, User | None, Filters | None]:
    return _permitted(uid, "view_submissions")


def _row(asset: Asset, reference: str, allowed: Filters | None) -> Submission:
    row = asset.submissions.find(reference)
    if row is None or not asset.submissions.select({"_id": row.id}, allowed):
        raise not_found()
    return row


def _object(name: str) -> dict[str, object]:
    text = request.args.get(name)
    if not text:
        return {}
    value = parsed(name, text, dict)
    return value if isinstance(value, dict) else {}


def _fields() -> list[object] | None:
    text = request.args.get("fields")
    if not text:
        return None
    value = parsed("fields", text, list)
    return value if isinstance(value, list) else None


def _shown(asset: Asset, rows: Sequence[Submission]) -> list[dict[str, object]]:
    fields, at = _fields(), host()
    if fields is None:
        return [submission_json(asset, row, at) for row in rows]
    project = projection(fields)
    if "_attachments" in fields:
        return [project(submission_json(asset, row, at)) for row in rows]
    return [project(row.document) for row in rows]


def _link_position(start: int, limit: int) -> tuple[int, int]:
    """What the links are made from: `page` and `offset` bend them, though not the rows."""
    if "page" in request.args:
        size = positive("page_size", PAGE)
        return (positive("page", 1) - 1) * size, limit if "limit" in request.args else size
    return (positive("offset", 0, zero=True) if "offset" in request.args else start), limit


def _xml_page(count: int, rows: Iterable[Submission]) -> Response:
    documents = "\n".join(Instance(row.xml).text() for row in rows)
    head = f"<count>{count}</count><next>None</next><previous>None</previous>"
    text = f'<?xml version="1.0" encoding="utf-8"?><root>{head}<results>\n{documents}\n</results></root>'
    return named(Response(text, content_type=_XML))


def _payload() -> Mapping[str, object]:
    payload = body().get("payload")
    return payload if isinstance(payload, Mapping) else {}


def _ids(payload: Mapping[str, object]) -> list[object]:
    listed = payload.get("submission_ids", [])
    return listed if isinstance(listed, list) else []


def _known(asset: Asset, payload: Mapping[str, object], allowed: Filters | None) -> list[Submission]:
    """The submissions that the payload names and the caller may act on; unknown ids are passed over."""
    query = payload.get("query")
    condition: dict[str, object] = {"_id": {"$in": _ids(payload)}} if "submission_ids" in payload else {}
    if isinstance(query, Mapping):
        condition = dict(query)
    return [asset.submissions[number] for number in asset.submissions.select(condition, allowed)]


def _chosen(asset: Asset, payload: Mapping[str, object], allowed: Filters | None) -> list[Submission]:
    """The same, but an unknown id refuses the whole request."""
    rows = _known(asset, payload, allowed)
    if "submission_ids" in payload and len(rows) != len(set(map(str, _ids(payload)))):
        raise Refusal(400, _INVALID_IDS)
    return rows


def _changed(asset: Asset, user: User | None, row: Submission, answers: Mapping[str, str]) -> dict[str, object]:
    edited = Instance(Instance(row.xml).edited(answers, str(uuid.uuid4()), row.root_uuid))
    asset.submissions.edit(edited, (), store().clock())
    store().log_submission(asset, someone(user), "modify-submission", row)
    return {"uuid": row.uuid, "root_uuid": row.root_uuid, "status_code": 201, "message": "Successful submission"}


def _delete(asset: Asset, user: User | None, rows: Iterable[Submission]) -> None:
    rows = list(rows)
    asset.submissions.delete(row.id for row in rows)
    for row in rows:
        store().log_submission(asset, someone(user), "delete-submission", row)


def _validation_uid(sent: Mapping[str, object]) -> str:
    chosen = str(sent.get("validation_status.uid", ""))
    if chosen not in VALIDATIONS:
        raise Refusal(400, {"detail": f"Invalid validation status: `{chosen}`"})
    return chosen


def _set_validation(asset: Asset, user: User | None, rows: Sequence[Submission], chosen: str | None) -> None:
    who = someone(user)
    label = VALIDATIONS[chosen] if chosen else "None"
    status: dict[str, object] = {}
    if chosen:
        moment = int(store().clock().astimezone(UTC).timestamp())
        status = {"timestamp": moment, "uid": chosen, "by_whom": who.name, "label": label}
    asset.submissions.validate((row.id for row in rows), status)
    for row in reversed(rows):  # as the real server notes them: the last one first
        store().log_submission(asset, who, "modify-submission", row, label)


def _file(found: Attachment) -> Response:
    response = Response(found.content, content_type=found.mimetype)
    response.headers["Content-Disposition"] = f'inline; filename="{found.stored_name}"'
    return named(response)
