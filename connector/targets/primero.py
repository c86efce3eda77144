"""A target of type `primero`: Primero v2, by our own record ids, read back after every write.

Primero keeps what its role's forms allow and drops the rest with a success, so every write is followed by a reading and
what is missing is told in the receipt. A record is never erased over its interface: a withdrawal blanks what we wrote,
deletes photos, and disables the record. The consent of a referral is never overridden.

Which field goes where is in primero_mapping.toml, or the admin's own file.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote

from connector.config import Target
from connector.disclosure import Release
from connector.errors import TargetError
from connector.model import JSON, Action, File, Progress, Receipt
from connector.outbound import Answer, Caller, Unreachable
from connector.targets import Effect, Health, Removal
from connector.targets.callbacks import authenticated_by_key, json_in, not_ours
from connector.targets.mapping import KindMapping, Rows, read_mapping
from connector.targets.primero_forms import RoleForms, read_forms
from connector.targets.replies import json_of, refused, unhealthy, unreachable

MAPPING: Final = Path(__file__).with_name("primero_mapping.toml")
_SETTINGS = frozenset({"record_type", "photos"})
_MOST_FILE = 20 * 1024 * 1024
_ACCEPTED = {
    "image/jpeg": ("image", "jpg"),
    "image/png": ("image", "png"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/mp4": ("audio", "m4a"),
}
_OURS = re.compile(r"[0-9a-f]{16}\.[a-z0-9]{3}")
_MASK = "*******"
_POINTER = re.compile(r"[\w./\[\]-]+")
_CSRF = re.compile(r"CSRF-TOKEN=([^;,\s]+)")
_PER_PAGE, _MOST_PAGES = 500, 40
_WAIT_AFTER_REFUSAL = 60.0  # seconds; six wrong passwords lock an account for half an hour
_DISABLED = "record: disabled, not erased"

_Row = Mapping[str, JSON]


class Primero:
    """One Primero instance, written to as one account."""

    effect: Effect = "upsert"
    removal: Removal = "disabled"

    def __init__(self, name: str, config: Target, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._module = config.module
        self._mapping = read_mapping(
            config.at_home(config.mapping) if config.mapping else MAPPING, config.accepts, _SETTINGS
        )
        self._webhook_secret = config.secret("webhook_secret")
        self._door = _Door(name, config, clock)

    def deliver(self, release: Release) -> Receipt:
        mapping = self._mapping[release.kind]
        record = f"/{mapping.to}/{release.record_id}"
        if release.action is Action.WITHDRAW:
            return self._withdraw(mapping, record, release)
        self._sendable(release.files)
        wanted = self._wanted(mapping, release)
        held = None if release.external_id is None and self._created(mapping, release, wanted) else self._held(record)
        if held is not None:
            wanted = self._updated(mapping, record, release, wanted, held)
        return self._settle(mapping, record, release, wanted)

    def check(self) -> Health:
        """Signs in, and compares the role's forms and their choices with what the mapping may send."""
        try:
            forms = [(mapping, self._forms(mapping)) for mapping in self._mapping.values()]
        except TargetError as error:
            return unhealthy(error)
        missing = sorted({name for mapping, one in forms for name in one.missing(mapping)})
        if missing:
            advice = f"Give the role of our account the forms with: {', '.join(missing)}."
            return Health(ok=False, code="target.fields_missing", next_step=advice)
        mistyped = sorted({told for mapping, one in forms for told in one.mistyped(mapping)})
        if mistyped:
            return Health(ok=False, code="target.type_refused", next_step=f"Mend the mapping: {'; '.join(mistyped)}.")
        refused_ = sorted({name for mapping, one in forms for name in one.refused(mapping)})
        if refused_:
            advice = f"Primero would refuse: {'; '.join(refused_)}. Add these choices there, or change the mapping."
            return Health(ok=False, code="target.choices_missing", next_step=advice)
        return Health(ok=True)

    def foretell(self, release: Release) -> Sequence[str]:
        """The fields of *release* that the role's forms would drop; nothing is written."""
        mapping = self._mapping[release.kind]
        return sorted(self._forms(mapping).dropped(mapping, self._wanted(mapping, release)))

    def _forms(self, mapping: KindMapping) -> RoleForms:
        record_type = str(mapping.settings.get("record_type", mapping.to.removesuffix("s")))
        return read_forms(
            lambda path: _member(json_of(self.name, self._door.call("GET", path)), "data"), self._module, record_type
        )

    def heard(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:
        """Primero's webhook shows a key and no signature, names one record, and is never repeated."""
        authenticated_by_key(self.name, self._webhook_secret, headers, "X-API-Key")
        told = _member(json_in(self.name, body), "data")
        record = told.get("record_id") if isinstance(told, Mapping) else None
        if not isinstance(record, str) or not record:
            raise not_ours(self.name)
        return (record,)

    def changed(self, since: datetime) -> Sequence[tuple[str, str]]:
        """Newest first, page by page, until what is older; Primero can sort by the last change."""
        found: list[tuple[str, str]] = []
        for place in sorted({mapping.to for mapping in self._mapping.values() if mapping.progress}):
            found += self._changed(place, since)
        return found

    def _changed(self, place: str, since: datetime) -> Iterator[tuple[str, str]]:
        for page in range(1, _MOST_PAGES + 1):
            query = f"order_by=last_updated_at&order=desc&fields=id,last_updated_at&per={_PER_PAGE}&page={page}"
            answer = json_of(self.name, self._door.call("GET", f"/{place}?{query}"))
            rows = _rows(_member(answer, "data"))
            for row in rows:
                mark = str(row.get("last_updated_at") or "")
                if mark and _moment(mark) < since:
                    return
                yield str(row.get("id")), mark
            if len(rows) < _PER_PAGE:
                return

    def progress(self, kind: str, external_id: str) -> Progress:
        mapping = self._mapping.get(kind)
        if mapping is None or mapping.progress is None:
            return Progress(None, "")
        record = f"/{mapping.to}/{external_id}"
        answer = self._door.call("GET", record, allowed=frozenset({404}))
        if not answer.ok:
            return Progress(None, "", gone=True)
        held = dict(self._data(answer))
        if mapping.to == "tracing_requests":
            traces = json_of(self.name, self._door.call("GET", f"{record}/traces"))
            held["traces"] = _rows(_member(traces, "data"))
        return Progress(mapping.progress.of(held), str(held.get("last_updated_at") or ""))

    def _wanted(self, mapping: KindMapping, release: Release) -> dict[str, JSON]:
        """The record as Primero is to hold it; what has no value is None, so that an update blanks it."""
        day = release.made_at.date()
        made = mapping.of(release.fields, day)
        for rows in mapping.rows:
            new = _numbered(rows.of(release.fields, day), rows, release.record_id)
            made[rows.to] = [*_listed_rows(made.get(rows.to)), *new]
        return made

    def _created(self, mapping: KindMapping, release: Release, wanted: Mapping[str, JSON]) -> bool:
        """Whether the record is new there; its id is ours, so a second one can never come about."""
        data = {"id": release.record_id, "module_id": self._module, **_without_blanks(wanted)}
        answer = self._door.call("POST", f"/{mapping.to}", {"data": data}, allowed=frozenset({409}))
        return answer.ok

    def _held(self, record: str) -> Mapping[str, JSON]:
        answer = self._door.call("GET", record, allowed=frozenset({404}))
        if not answer.ok:
            raise self._parked(
                "target.record_missing", "Somebody removed it there: decide, then `silah queue replay` or `discard`."
            )
        return self._data(answer)

    def _updated(
        self, mapping: KindMapping, record: str, release: Release, wanted: dict[str, JSON], held: Mapping[str, JSON]
    ) -> dict[str, JSON]:
        """Merges *wanted* in; rows of ours that are gone are blanked, those of the case workers stay."""
        for rows in mapping.rows:
            kept = _listed_rows(wanted[rows.to])
            wanted[rows.to] = [*kept, *_blanked(rows, _rows(held.get(rows.to)), kept, release.record_id)]
        if held.get("record_state") is False or held.get("enabled") is False:
            self._door.call("PATCH", f"{record}?record_action=enable_disable_record", {"data": {"record_state": True}})
        if any(_differences(wanted, held)):
            self._door.call("PATCH", record, {"data": wanted})
        return wanted

    def _settle(self, mapping: KindMapping, record: str, release: Release, wanted: Mapping[str, JSON]) -> Receipt:
        """Reads back, brings the photos in line, and tells what was not kept."""
        held = self._held(record)
        lost = [*_differences(wanted, held)]
        self._photos(str(mapping.settings.get("photos", "photos")), record, release.files, held)
        return Receipt(str(held.get("id") or release.record_id), tuple(lost))

    def _withdraw(self, mapping: KindMapping, record: str, release: Release) -> Receipt:
        answer = self._door.call("GET", record, allowed=frozenset({404}))
        if not answer.ok:
            return Receipt()
        held = self._data(answer)
        blank = mapping.blank()
        for rows in mapping.rows:
            gone = _blanked(rows, _rows(held.get(rows.to)), [], release.record_id)
            blank[rows.to] = [*_listed_rows(blank.get(rows.to)), *gone]
        self._door.call("PATCH", record, {"data": blank})
        self._photos(str(mapping.settings.get("photos", "photos")), record, (), held)
        left = [*_differences(blank, self._held(record))]
        if left:
            raise self._parked(
                "target.not_removed", f"Blank there by hand: {', '.join(left)}; then `silah queue discard`."
            )
        self._door.call("DELETE", record)
        return Receipt(str(held.get("id") or release.record_id), (_DISABLED,))

    def _photos(self, field: str, record: str, files: Sequence[File], held: Mapping[str, JSON]) -> None:
        """Sends files that are not there, and deletes those of ours that are no longer part of the record."""
        wanted = {_file_name(file): file for file in files}
        there = {str(one.get("file_name")): one for key in (field, "recorded_audio") for one in _rows(held.get(key))}
        for name, file in wanted.items():
            if name not in there:
                self._door.call("POST", f"{record}/attachments", {"data": _attachment(field, name, file)})
        for name, one in there.items():
            if _OURS.fullmatch(name) and name not in wanted:
                self._door.call("DELETE", f"{record}/attachments/{one.get('id')}", allowed=frozenset({404}))

    def _sendable(self, files: Sequence[File]) -> None:
        """What Primero would refuse is refused before anything is sent."""
        if any(file.media_type not in _ACCEPTED for file in files):
            raise self._parked(
                "target.attachment_type", "It takes JPEG, PNG, MP3 and M4A: take the file out, then replay."
            )
        if any(len(file.data) > _MOST_FILE for file in files):
            raise self._parked("target.attachment_size", "It takes 20 MB a file: take the file out, then replay.")

    def _data(self, answer: Answer) -> Mapping[str, JSON]:
        data = _member(json_of(self.name, answer), "data")
        if not isinstance(data, Mapping):
            raise TargetError("target.not_json", f"target {self.name}", "Look whether the address is that of Primero.")
        return data

    def _parked(self, code: str, advice: str) -> TargetError:
        return TargetError(code, f"target {self.name}", advice, permanent=True)


class _Door:
    """Signs in and calls: Basic on every request, or a session whose cookie and CSRF token go along."""

    def __init__(self, name: str, config: Target, clock: Callable[[], float]) -> None:
        self._name, self._clock = name, clock
        self._user, self._password = config.secret("username") or "", config.secret("password") or ""
        self._sessions = config.login == "session"
        headers = {"Accept": "application/json", "User-Agent": "Silah"}
        if not self._sessions:
            pair = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        self._http = Caller(f"{config.url}/api/v2", headers=headers, timeout=config.timeout, pool=config.concurrency)
        self._lock = threading.Lock()
        self._csrf = ""
        self._sign_ins = 0
        self._refused_at: float | None = None

    def call(self, method: str, path: str, body: JSON = None, allowed: frozenset[int] = frozenset()) -> Answer:
        """One request, signed in. Whatever is neither a success nor *allowed* is raised as `TargetError`."""
        self._rest()
        seen = self._sign_ins
        if self._sessions and not seen:
            self._sign_in(seen)
            seen = self._sign_ins
        answer = self._send(method, path, body)
        if answer.status == 401 and self._sessions:  # noqa: PLR2004 (RFC 9110: the session ended)
            self._sign_in(seen)
            answer = self._send(method, path, body)
        return self._judged(answer, allowed)

    def _judged(self, answer: Answer, allowed: frozenset[int]) -> Answer:
        if answer.status == 401:  # noqa: PLR2004 (RFC 9110)
            self._refused_at = self._clock()
        if answer.ok or answer.status in allowed:
            return answer
        raise refused(self._name, answer, _pointed_at(answer))

    def _rest(self) -> None:
        """After a wrong password nothing is tried for a while, or the account would be locked."""
        if self._refused_at is not None and self._clock() - self._refused_at < _WAIT_AFTER_REFUSAL:
            advice = "Mend the user name or password, restart, then `silah queue replay`."
            raise TargetError("target.http_401", f"target {self._name}", advice, permanent=True)

    def _sign_in(self, seen: int) -> None:
        """One sign-in for all threads: each ends the user's other sessions."""
        with self._lock:
            if self._sign_ins != seen:
                return
            self._csrf = ""
            body = {"user": {"user_name": self._user, "password": self._password}}
            answer = self._judged(self._send("POST", "/tokens", body), frozenset())
            self._remember(answer)
            self._sign_ins += 1

    def _send(self, method: str, path: str, body: JSON) -> Answer:
        headers = {"X-CSRF-Token": self._csrf} if self._csrf else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False).encode()
        try:
            answer = self._http.call(method, path, headers=headers, body=data)
        except Unreachable as error:
            raise unreachable(self._name, error) from None
        return answer

    def _remember(self, answer: Answer) -> None:
        found = _CSRF.search(answer.headers.get("Set-Cookie", ""))
        self._csrf = unquote(found[1]) if found else ""


def _numbered(made: Sequence[dict[str, JSON]], rows: Rows, record_id: str) -> list[JSON]:
    return [{"unique_id": rows.key(record_id, number), **row} for number, row in enumerate(made)]


def _blanked(rows: Rows, there: Sequence[_Row], kept: Sequence[JSON], record_id: str) -> list[JSON]:
    """Rows that we once sent and no longer send, with nothing in them: removing a row would leave its trace as it is."""
    staying = {row.get("unique_id") for row in kept if isinstance(row, Mapping)}
    ours = rows.keys(record_id)
    gone = [str(row.get("unique_id")) for row in there if row.get("unique_id") in ours - staying]
    return [{"unique_id": unique_id, **rows.blank()} for unique_id in gone]


def _listed_rows(value: JSON) -> list[JSON]:
    return [*_rows(value)]


def _without_blanks(wanted: Mapping[str, JSON]) -> dict[str, JSON]:
    return {key: _bare(value) for key, value in wanted.items() if value is not None}


def _bare(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_bare(one) for one in value]
    return _without_blanks(value) if isinstance(value, Mapping) else value


def _differences(wanted: Mapping[str, JSON], held: Mapping[str, JSON], prefix: str = "") -> Iterator[str]:
    """The fields that Primero holds otherwise than they were sent; a masked name counts as held."""
    for key, value in wanted.items():
        there = held.get(key)
        if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            yield from _row_differences(f"{prefix}{key}", cast("Sequence[_Row]", value), _rows(there))
        elif not _same(value, there):
            yield f"{prefix}{key}"


def _row_differences(key: str, wanted: Sequence[_Row], there: Sequence[_Row]) -> Iterator[str]:
    by_id = {row.get("unique_id"): row for row in there}
    found = {name for row in wanted for name in _differences(row, by_id.get(row["unique_id"], {}), f"{key}.")}
    yield from sorted(found)


def _same(value: JSON, there: JSON) -> bool:
    if value in (None, "", [], False):
        return there in (None, "", [], False)
    return there in (value, _MASK)


def _attachment(field: str, name: str, file: File) -> JSON:
    kind = _ACCEPTED[file.media_type][0]
    return {
        "field_name": field if kind == "image" else "recorded_audio", "attachment_type": kind, "file_name": name,
        "attachment": base64.b64encode(file.data).decode(),
    }  # fmt: skip


def _file_name(file: File) -> str:
    return f"{file.name[:16]}.{_ACCEPTED[file.media_type][1]}"


def _rows(value: JSON) -> list[_Row]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [one for one in value if isinstance(one, Mapping)]


def _member(value: JSON, key: str) -> JSON:
    return value.get(key) if isinstance(value, Mapping) else None


def _pointed_at(answer: Answer) -> str:
    """The fields that an error of Primero names (`detail`); never its message, which may hold what was sent."""
    try:
        errors = _rows(_member(cast("JSON", json.loads(answer.body)), "errors"))
    except ValueError:
        return ""
    details = [detail for error in errors for detail in _listed(error.get("detail"))]
    names = [detail for detail in details if _POINTER.fullmatch(detail)]
    return f"fields {', '.join(names)}" if names else ""


def _listed(value: JSON) -> list[str]:
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            return [value]
        return [str(one) for one in inner] if isinstance(inner, list) else [value]
    return [str(one) for one in value] if isinstance(value, Sequence) else []


def _moment(text: str) -> datetime:
    """A time as Primero writes it; what cannot be read is looked at."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
