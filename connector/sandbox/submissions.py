"""The submissions of one project: received, edited, deleted, validated, and found again quickly.

The rules are those of KoboToolbox: an edit keeps `_id`, `meta/rootUuid`, the submission's time and its validation, and
changes `_uuid`; nothing here says when an edit happened.
"""

from __future__ import annotations

import hashlib
import mimetypes
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector.sandbox.instance import Instance
from connector.sandbox.query import Document, id_condition, matcher, sorter
from connector.sandbox.rights import Filters

VALIDATIONS = {
    "validation_status_approved": "Approved",
    "validation_status_not_approved": "Not Approved",
    "validation_status_on_hold": "On Hold",
}
_ID_BOUNDS = {"$gt", "$gte", "$lt", "$lte"}


class Rejected(Exception):
    """A submission that is not taken, with OpenRosa's status and the message of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Upload:
    """A file as it was sent."""

    name: str
    content: bytes
    mimetype: str | None = None


@dataclass
class Attachment:
    """A file of a submission; *deleted* leaves its entry in the data, *replaced* removes it."""

    uid: str
    name: str
    stored_name: str
    content: bytes
    mimetype: str
    deleted: bool = False
    replaced: bool = False


@dataclass
class Shape:
    """What the form says about its answers, over all its versions: paths of repeats, files and geopoints."""

    repeats: Collection[str] = ()
    media: Collection[str] = ()
    geopoints: Collection[str] = ()


@dataclass
class Submission:
    """One submission in its present version; *document* is its data JSON but for the attachments' addresses."""

    id: int
    root_uuid: str
    submitted_at: datetime
    submitted_by: str | None
    uuid: str = ""
    xml: bytes = b""
    completed_at: datetime | None = None
    document: dict[str, object] = field(default_factory=dict)
    attachments: list[Attachment] = field(default_factory=list)
    file_paths: dict[str, str] = field(default_factory=dict)
    uuids: set[str] = field(default_factory=set)

    @property
    def validation(self) -> dict[str, object]:
        """The validation status, empty when unset."""
        status = self.document["_validation_status"]
        return status if isinstance(status, dict) else {}

    def attachment(self, uid: str) -> Attachment | None:
        """The file with this uid, unless it was deleted or replaced."""
        return next((a for a in self.attachments if a.uid == uid and not (a.deleted or a.replaced)), None)

    def attachment_at(self, path: str) -> Attachment | None:
        """The file that answers the question at *path*."""
        live = (a for a in self.attachments if not (a.deleted or a.replaced))
        return next((a for a in live if self.file_paths.get(a.name) == path), None)


class SubmissionTable:
    """The submissions of one project, by `_id` and by every uuid they ever had.

    Args:
        form_id: the asset's uid.
        shape: what the form says of its answers now.
        take_id: the server's running number for submissions, shared by all projects.
        take_uid: a new identifier for an attachment.
    """

    def __init__(
        self, form_id: str, shape: Callable[[], Shape], take_id: Callable[[], int], take_uid: Callable[[], str]
    ) -> None:
        self._form_id = form_id
        self._shape = shape
        self._take_id = take_id
        self._take_uid = take_uid
        self._ids: list[int] = []
        self._rows: dict[int, Submission] = {}
        self._by_uuid: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Submission]:
        return (self._rows[number] for number in self._ids)

    def __getitem__(self, number: int) -> Submission:
        return self._rows[number]

    def find(self, reference: str) -> Submission | None:
        """By `_id`, rootUuid or present `_uuid`, the uuids without prefix."""
        number = int(reference) if reference.isdecimal() else self._by_uuid.get(reference, -1)
        row = self._rows.get(number)
        named = row is not None and reference in (str(row.id), row.root_uuid, row.uuid)
        return row if named else None

    def receive(
        self, instance: Instance, files: Iterable[Upload], user: str | None, now: datetime
    ) -> tuple[Submission, bool]:
        """Takes a submission that is no edit; returns it and whether it is new (False: more files of a known one).

        Raises:
            Rejected: 202 nothing new, 409 the instanceID is taken by other content.
        """
        uuid = instance.uuid or ""
        known = self._rows.get(self._by_uuid.get(uuid, -1))
        if known is not None:
            return self._more_files(known, instance, files), False
        row = Submission(self._take_id(), instance.root_uuid or uuid, instance.submitted_at or now, user)
        self._write(row, instance, files, now)
        self._rows[row.id] = row
        self._ids.append(row.id)
        return row, True

    def edit(self, instance: Instance, files: Iterable[Upload], now: datetime) -> Submission:
        """Takes a new version of a submission, which says by deprecatedID which version it replaces.

        Raises:
            Rejected: 404 that version is unknown, 410 it is not the present one.
        """
        old = instance.deprecated_uuid or ""
        row = self._rows.get(self._by_uuid.get(old, -1))
        if row is None:
            raise Rejected(404, "Invalid submission - deprecatedID not found")
        if row.uuid != old:
            raise Rejected(410, "Invalid submission - deprecatedID refers to an old version")
        self._write(row, instance, files, now)
        return row

    def load(self, documents: Iterable[Mapping[str, object]], now: datetime) -> None:
        """Stores data JSON as it is, `_id` given by the server: a large project in a moment, for measurements."""
        for document in documents:
            uuid = str(document["_uuid"])
            row = Submission(self._take_id(), uuid, now, None, uuid)
            row.document = {"_id": row.id, **document, "_validation_status": {}, "_attachments": []}
            self._rows[row.id] = row
            self._ids.append(row.id)
            self._index(row)

    def validate(self, numbers: Iterable[int], status: Mapping[str, object]) -> None:
        """Sets the validation status of submissions, an empty one removes it."""
        for number in numbers:
            self._rows[number].document["_validation_status"] = dict(status)

    def delete(self, numbers: Iterable[int]) -> None:
        """Removes submissions for good; their uuids are free again."""
        for number in numbers:
            row = self._rows.pop(number)
            del self._ids[bisect_left(self._ids, number)]
            for uuid in row.uuids:
                self._by_uuid.pop(uuid, None)

    def select(
        self, query: Mapping[str, object], allowed: Filters | None = None, sort: Mapping[str, object] | None = None
    ) -> Sequence[int]:
        """The `_id`s that meet *query* and one of the *allowed* conditions, in the order of *sort* (`_id` when None)."""
        condition, rest = id_condition(query)
        numbers = self._candidates(condition)
        if rest:
            numbers = self._matching(numbers, rest)
        if allowed is not None:
            numbers = self._matching(numbers, {"$or": list(allowed)})
        if not sort:
            return numbers
        if list(sort) == ["_id"]:
            return numbers[::-1] if sort["_id"] in (-1, "-1") else numbers
        documents: list[Document] = [self._rows[number].document for number in numbers]
        return [number for row in sorter(sort)(documents) if isinstance(number := row["_id"], int)]

    def _candidates(self, condition: object) -> Sequence[int]:
        """The submissions whose `_id` meets *condition*, from the index where that is possible."""
        if condition is None:
            return self._ids
        if isinstance(condition, int):
            return [condition] if condition in self._rows else []
        if isinstance(condition, dict) and condition.keys() <= _ID_BOUNDS:
            bounds = {name: bound for name, bound in condition.items() if isinstance(bound, int)}
            if len(bounds) == len(condition):
                return self._between(bounds)
        if isinstance(condition, dict) and condition.keys() == {"$in"} and isinstance(condition["$in"], list):
            return sorted({number for number in condition["$in"] if isinstance(number, int) and number in self._rows})
        return self._matching(self._ids, {"_id": condition})

    def _between(self, bounds: Mapping[str, int]) -> Sequence[int]:
        low, high = 0, len(self._ids)
        for name, bound in bounds.items():
            place = (bisect_right if name in ("$gt", "$lte") else bisect_left)(self._ids, bound)
            low, high = (max(low, place), high) if name in ("$gt", "$gte") else (low, min(high, place))
        return self._ids[low:high]

    def _matching(self, numbers: Sequence[int], query: Mapping[str, object]) -> Sequence[int]:
        matches = matcher(query)
        return [number for number in numbers if matches(self._rows[number].document)]

    def _more_files(self, row: Submission, instance: Instance, files: Iterable[Upload]) -> Submission:
        if row.uuid != instance.uuid or row.xml != instance.xml:
            self._take_id()  # the real server has drawn a number before it notices
            raise Rejected(409, "Submission with this instance ID already exists")
        if not self._attach(row, files):
            raise Rejected(202, "Duplicate Instance")
        return row

    def _write(self, row: Submission, instance: Instance, files: Iterable[Upload], now: datetime) -> None:
        shape = self._shape()
        row.uuid = instance.uuid or ""
        row.xml = instance.xml
        row.completed_at = now
        self._attach(row, files)
        row.file_paths = instance.file_paths(shape.media, shape.repeats)
        if not instance.encrypted:
            for attachment in row.attachments:
                attachment.replaced |= attachment.name not in row.file_paths
        row.document = self._document(row, instance, shape)
        self._index(row)

    def _index(self, row: Submission) -> None:
        row.uuids |= {row.uuid, row.root_uuid}
        self._by_uuid |= dict.fromkeys(row.uuids, row.id)

    def _document(self, row: Submission, instance: Instance, shape: Shape) -> dict[str, object]:
        answers: dict[str, object] = dict(instance.answers(shape.repeats))
        point = next((answers[path] for path in answers if path in shape.geopoints), None)
        validation = row.document.get("_validation_status", {})
        return {
            "_id": row.id,
            **answers,
            "_xform_id_string": self._form_id,
            "_uuid": row.uuid,
            "meta/rootUuid": f"uuid:{row.root_uuid}",
            "_attachments": [],
            "_status": "submitted_via_web",
            "_geolocation": [float(part) for part in point.split()[:2]] if isinstance(point, str) else [None, None],
            "_submission_time": row.submitted_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "_validation_status": validation,
            "_submitted_by": row.submitted_by,
        }

    def _attach(self, row: Submission, files: Iterable[Upload]) -> int:
        """Keeps the files that are not there yet; returns how many."""
        kept = 0
        for file in files:
            same_name = [known for known in row.attachments if known.name == file.name]
            if any(known.content == file.content and not known.replaced for known in same_name):
                continue
            stored = _stored_name(file) if same_name else file.name
            for known in same_name:
                known.replaced = True
            kind = file.mimetype or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            row.attachments.append(Attachment(self._take_uid(), file.name, stored, file.content, kind))
            kept += 1
        return kept


def _stored_name(file: Upload) -> str:
    """A second file of the same name is kept under another one."""
    stem, dot, ending = file.name.rpartition(".")
    mark = hashlib.sha256(file.content).hexdigest()[:7]
    return f"{stem}_{mark}{dot}{ending}" if dot else f"{file.name}_{mark}"
