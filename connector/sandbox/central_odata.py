"""The OData side of an ODK-Central-compatible server: submissions as a table, newest first, page by page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, request

from connector.sandbox.central_filter import ServerFault, UnknownField, Unparsable, ordered, read_filter
from connector.sandbox.central_forms import FormField
from connector.sandbox.central_rest import Problem, answer, form_for, not_found, stamp, store, tagged
from connector.sandbox.central_store import Form, Submission
from connector.transforms.xml_answers import path_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

api = Blueprint("central-odata", __name__)

_MINIMAL = "application/json; charset=utf-8; odata.metadata=minimal"
_TOKEN_VERSION = "01"  # noqa: S105 - the version of a page's token, no secret


@api.get("/v1/projects/<int:project>/forms/<form_id>.svc")
def service(project: int, form_id: str) -> Response:
    """The tables that there are: submissions, and one for each repeat."""
    form = form_for(project, form_id, "submission.read")
    repeats = [field.path[1:].replace("/", ".") for field in _fields(form) if field.type == "repeat"]
    names = ["Submissions", *(f"Submissions.{path}" for path in repeats)]
    tables = [{"name": name, "kind": "EntitySet", "url": name} for name in names]
    body = {"@odata.context": f"{_base(project, form_id)}/$metadata", "value": tables}
    return _odata(answer(body, content_type=_MINIMAL))


@api.get("/v1/projects/<int:project>/forms/<form_id>.svc/Submissions")
def submissions(project: int, form_id: str) -> Response:
    """A page of the table."""
    form = form_for(project, form_id, "submission.read")
    rows = _selected(form)
    top = request.args.get("$top", type=int)
    body: dict[str, object] = {"value": [], "@odata.context": _context(project, form_id)}
    if request.args.get("$count") == "true":
        body["@odata.count"] = len(rows)
    if top == 0:
        return _odata(answer(body))
    shown = _paged(form, rows, top)
    if top is not None and shown and (len(_after(form, rows)) - _skip() > top):
        body["@odata.nextLink"] = _next_link(project, form_id, shown[-1])

    def whole() -> object:
        return {**body, "value": [_row(form, row) for row in shown]}

    return _odata(tagged(f'W/"eventhash:{store().tag(shown)}"', whole))


@api.get("/v1/projects/<int:project>/forms/<form_id>.svc/Submissions('<root>')")
def submission(project: int, form_id: str, root: str) -> Response:
    """One row."""
    form = form_for(project, form_id, "submission.read")
    row = form.find(root)
    if row is None:
        raise not_found()
    return _odata(answer({"value": [_row(form, row)], "@odata.context": _context(project, form_id)}))


def _selected(form: Form) -> list[Submission]:
    """What the filter keeps, in the order that was asked for."""
    try:
        wanted = read_filter(request.args.get("$filter"))
        kept = [row for row in form.rows() if wanted.keeps(row)]
        order = request.args.get("$orderby")
        return ordered(kept, order) if order else kept
    except UnknownField as error:
        words = "The given OData filter expression references fields not supported by this server: "
        details = {"at": error.at, "text": error.text}
        raise Problem(501.5, f"{words}{error.text} at {error.at}", details) from error
    except Unparsable as error:
        words = "The OData filter expression you provided could not be parsed: "
        raise Problem(400.18, f"{words}{error}", {"reason": str(error)}) from error
    except ServerFault as error:
        raise Problem(500, "Internal Server Error") from error


def _paged(form: Form, rows: Sequence[Submission], top: int | None) -> list[Submission]:
    rest = _after(form, rows)
    start = _skip()
    return list(islice(rest, start, None if top is None else start + top))


def _skip() -> int:
    return 0 if "$skiptoken" in request.args else request.args.get("$skip", 0, type=int)


def _after(form: Form, rows: Sequence[Submission]) -> list[Submission]:
    """The rows that come after the one which the page's token names: none when nobody knows that one."""
    token = request.args.get("$skiptoken")
    if token is None:
        return list(rows)
    if "$orderby" in request.args:
        feature = "using $orderby and $skiptoken together"
        words = f"The requested feature {feature} is not supported by this server."
        raise Problem(501.1, words, {"feature": feature})
    last = form.submissions.get(_read_token(token))
    if last is None:
        return []
    return [row for row in rows if (row.created, row.number) < (last.created, last.number)]


def _read_token(token: str) -> str:
    try:
        told = json.loads(base64.b64decode(token.removeprefix(_TOKEN_VERSION), validate=True))
    except ValueError as error:
        raise Problem(400.35, "Invalid $skiptoken") from error
    if not token.startswith(_TOKEN_VERSION) or not isinstance(told, dict):
        raise Problem(400.35, "Invalid $skiptoken")
    return str(told.get("instanceId"))


def _next_link(project: int, form_id: str, last: Submission) -> str:
    told = json.dumps({"instanceId": last.id}, separators=(",", ":")).encode()
    fields = {name: value for name, value in request.args.items() if name not in ("$skip", "$skiptoken")}
    fields["$skiptoken"] = _TOKEN_VERSION + base64.b64encode(told).decode()
    return f"{_base(project, form_id)}/Submissions?{urlencode(fields, safe='*')}"


def _base(project: int, form_id: str) -> str:
    return f"{request.host_url}v1/projects/{project}/forms/{form_id}.svc"


def _context(project: int, form_id: str) -> str:
    return f"{_base(project, form_id)}/$metadata#Submissions"


def _odata(response: Response) -> Response:
    response.headers["OData-Version"] = "4.0"
    return response


def _row(form: Form, row: Submission) -> dict[str, object]:
    """One line of the table: the answers of the current version, the root's id and what the server knows."""
    system = _system(row)
    out: dict[str, object] = {"__id": row.id, "__system": system}
    if not row.current.record.encrypted:
        table = _Table(form, row)
        out = {**table.values(row.current.record.root, ""), **out}
    chosen = request.args.get("$select", "*")
    return out if chosen == "*" else _chosen(out, [path.strip() for path in chosen.split(",")])


def _chosen(row: Mapping[str, object], paths: Iterable[str]) -> dict[str, object]:
    out: dict[str, object] = {}
    for path in paths:
        name, _, below = path.partition("/")
        value = row.get(name)
        if below and isinstance(value, dict):
            inside = out.setdefault(name, {})
            assert isinstance(inside, dict)  # noqa: S101 - a name is a group or a value, never both
            inside.update(_chosen(value, [below]))
        elif name in row:
            out[name] = value
    return out


def _system(row: Submission) -> dict[str, object]:
    first, current = row.first, row.current
    record = current.record
    encrypted_xml = current.files.get(record.encrypted_xml or "")
    has_data = encrypted_xml is not None and encrypted_xml.data is not None
    status = "notDecrypted" if has_data else "missingEncryptedFormData"
    return {
        "submissionDate": stamp(row.created),
        "updatedAt": stamp(row.updated),
        "submitterId": str(first.actor.id) if first.actor else None,
        "submitterName": first.actor.name if first.actor else None,
        "attachmentsPresent": current.present,
        "attachmentsExpected": len(current.files),
        "status": status if record.encrypted else None,
        "reviewState": row.state,
        "deviceId": first.device,
        "edits": len(row.versions) - 1,
        "formVersion": first.form_version,
        "deletedAt": stamp(row.deleted),
    }


def _fields(form: Form) -> tuple[FormField, ...]:
    definition = form.published or form.definitions[-1]
    return definition.xform.fields


class _Table:
    """Makes JSON of a record by the form's fields: everything that can be answered is there, null when it was not."""

    def __init__(self, form: Form, row: Submission) -> None:
        self._row = row
        self._fields = {field.path[1:]: field for field in _fields(form)}
        self._expand = request.args.get("$expand") == "*"
        self._wkt = request.args.get("$wkt") == "true"

    def values(self, node: Element | None, path: str, place: str = "") -> dict[str, object]:
        """The answers below *path*; *place* says in which entries of repeats they are."""
        out: dict[str, object] = {}
        for below in [one for one in self._fields if one.rpartition("/")[0] == path]:
            field = self._fields[below]
            found = [] if node is None else [child for child in node if path_of(path, child) == below]
            if field.type == "repeat":
                out |= self._repeat(field, below, found, place)
            elif field.type == "structure":
                out[field.name] = self.values(found[0] if found else None, below, place)
            else:
                out[field.name] = self._value(field, (found[0].text or "") if found else "")
        return out

    def _repeat(self, field: FormField, path: str, found: Sequence[Element], place: str) -> dict[str, object]:
        if not found:
            return {}
        link = f"Submissions('{quote(self._row.id, safe='')}')/{path}"
        out: dict[str, object] = {f"{field.name}@odata.navigationLink": link}
        if self._expand:
            out[field.name] = [self._entry(path, node, f"{place}/{path}/{at}") for at, node in enumerate(found)]
        return out

    def _entry(self, path: str, node: Element, place: str) -> dict[str, object]:
        """An entry of a repeat, whose id is the same as long as it stands in the same place."""
        mark = sha1(f"{self._row.id}{place}".encode(), usedforsecurity=False).hexdigest()
        return {**self.values(node, path, place), "__id": mark}

    def _value(self, field: FormField, text: str) -> object:
        if not text:
            return None
        match field.type:
            case "int":
                return int(text)
            case "decimal":
                return float(text)
            case "geopoint":
                return _point(text, wkt=self._wkt)
            case "dateTime":
                return f"{text}:00" if text[-3] in "+-" else text
            case _:
                return text


def _point(text: str, *, wkt: bool) -> object:
    """`latitude longitude altitude accuracy` as GeoJSON or as WKT, where longitude comes first."""
    latitude, longitude, *rest = (float(part) for part in text.split())
    coordinates = [longitude, latitude, *rest[:1]]
    if wkt:
        return f"POINT ({' '.join(f'{number:g}' for number in coordinates)})"
    point: dict[str, object] = {"type": "Point", "coordinates": coordinates}
    if rest[1:]:
        point["properties"] = {"accuracy": rest[1]}
    return point
