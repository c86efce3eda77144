"""A target of type `espocrm`: a record is found by our own key in a unique field, then made or replaced.

EspoCRM has no upsert and drops what an entity has no field for; its answer to a write is compared with what was sent.
People looked for are records of their own, linked to the request. A withdrawal blanks them, then deletes them, so that
nothing is left in EspoCRM's bin either. Which field goes where is in espocrm_mapping.toml, or the admin's own file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from connector.config import Target
from connector.disclosure import Release
from connector.errors import TargetError
from connector.model import JSON, Action, File, Progress, Receipt
from connector.outbound import Answer, Caller, Unreachable
from connector.targets import Effect, Health, Removal
from connector.targets.callbacks import authenticated_by_signature, json_in, not_ours
from connector.targets.mapping import KindMapping, Rows, read_mapping
from connector.targets.replies import json_of, refused, unhealthy, unreachable

MAPPING: Final = Path(__file__).with_name("espocrm_mapping.toml")
_SETTINGS = frozenset({"key", "link", "photos"})
_BAD_REQUEST, _NOT_FOUND, _CONFLICT = 400, 404, 409
_OURS = re.compile(r"[0-9a-f]{64}\.[a-z0-9]+")  # names of the files that we send
_MOST_ROWS = 200  # rows of one record that are looked at

_Entity = Mapping[str, JSON]


class EspoCrm:
    """One EspoCRM, written to as one API user."""

    effect: Effect = "lookup first"
    removal: Removal = "removed"

    def __init__(self, name: str, config: Target) -> None:
        self.name = name
        self._mapping = read_mapping(
            config.at_home(config.mapping) if config.mapping else MAPPING, config.accepts, _SETTINGS
        )
        self._webhook_secret = config.secret("webhook_secret")
        self._api = _Api(name, config)

    def deliver(self, release: Release) -> Receipt:
        mapping = self._mapping[release.kind]
        there = self._api.find(mapping.to, _key(mapping), release.record_id)
        if release.action is Action.WITHDRAW:
            return self._withdraw(mapping, release.record_id, there) if there else Receipt()
        day = release.made_at.date()
        held, lost = self._put(mapping, release.record_id, mapping.of(release.fields, day), there)
        parent = str(held.get("id"))
        for rows in mapping.rows:
            lost |= self._put_rows(mapping, rows, release, parent)
        self._photos(mapping, parent, release.files, held)
        return Receipt(parent, tuple(sorted(lost)))

    def check(self) -> Health:
        """Asks for each entity of the mapping, and for its key field."""
        try:
            for mapping in self._mapping.values():
                for entity in (mapping.to, *(rows.to for rows in mapping.rows)):
                    self._api.find(entity, _key(mapping), "none")
        except TargetError as error:
            return unhealthy(error)
        return Health(ok=True)

    def heard(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:
        """EspoCRM tells of many records in one signed body, some minutes after they changed."""
        authenticated_by_signature(self.name, self._webhook_secret, headers, body)
        told = json_in(self.name, body)
        if not isinstance(told, list) or not all(isinstance(one, Mapping) and one.get("id") for one in told):
            raise not_ours(self.name)
        return [str(one["id"]) for one in told if isinstance(one, Mapping)]

    def changed(self, since: datetime) -> Sequence[tuple[str, str]]:
        places = sorted({mapping.to for mapping in self._mapping.values() if mapping.progress})
        return [
            (str(one["id"]), str(one.get("modifiedAt") or ""))
            for place in places
            for one in self._api.since(place, since)
        ]

    def progress(self, kind: str, external_id: str) -> Progress:
        mapping = self._mapping.get(kind)
        if mapping is None or mapping.progress is None:
            return Progress(None, "")
        answer = self._api.call("GET", f"{mapping.to}/{external_id}", allowed=frozenset({_NOT_FOUND}))
        held = json_of(self.name, answer) if answer.ok else None
        if not isinstance(held, Mapping):
            return Progress(None, "", gone=True)
        return Progress(mapping.progress.of(held), str(held.get("modifiedAt") or ""))

    def _put(
        self, mapping: KindMapping, key: str, fields: Mapping[str, JSON], there: _Entity | None
    ) -> tuple[_Entity, set[str]]:
        """The record as EspoCRM holds it afterwards, and the fields it did not keep."""
        return self._write(mapping.to, _key(mapping), key, fields, there)

    def _put_rows(self, mapping: KindMapping, rows: Rows, release: Release, parent: str) -> set[str]:
        """The rows of a record; those that are no longer part of it are removed, those of others stay."""
        link, key_field = str(mapping.settings.get("link", "")), _key(mapping)
        lost: set[str] = set()
        wanted = rows.of(release.fields, release.made_at.date())
        keys = [rows.key(release.record_id, number) for number in range(len(wanted))]
        for key, fields in zip(keys, wanted, strict=True):
            there = self._api.find(rows.to, key_field, key)
            _, missing = self._write(rows.to, key_field, key, {**fields, link: parent}, there)
            lost |= {f"{rows.to}.{name}" for name in missing}
        self._drop_rows(mapping, rows, release.record_id, parent, frozenset(keys))
        return lost

    def _drop_rows(self, mapping: KindMapping, rows: Rows, record_id: str, parent: str, keep: frozenset[str]) -> None:
        """Removes rows that we made and that are not to stay; those that case workers added are theirs."""
        key_field = _key(mapping)
        ours = rows.keys(record_id) - keep
        for row in self._api.linked(rows.to, str(mapping.settings.get("link", "")), parent, key_field):
            if row.get(key_field) in ours:
                self._remove(rows.to, str(row["id"]), rows.blank())

    def _write(
        self, entity: str, key_field: str, key: str, fields: Mapping[str, JSON], there: _Entity | None
    ) -> tuple[_Entity, set[str]]:
        sent = {**fields, key_field: key}
        if there is None:
            answer = self._api.call("POST", entity, sent, allowed=frozenset({_CONFLICT}))
            if answer.ok:
                return self._kept(answer, sent)
            there = self._api.find(entity, key_field, key)
        if there is None:
            raise self._parked(
                "target.duplicate", "EspoCRM found a record like it: decide there which it is, then replay or discard."
            )
        return self._kept(self._api.call("PUT", f"{entity}/{there['id']}", sent), sent)

    def _kept(self, answer: Answer, sent: Mapping[str, JSON]) -> tuple[_Entity, set[str]]:
        held = json_of(self.name, answer)
        if not isinstance(held, Mapping) or not held.get("id"):
            raise TargetError("target.not_json", f"target {self.name}", "Look whether the address is that of EspoCRM.")
        return held, {name for name, value in sent.items() if value and held.get(name) != value}

    def _withdraw(self, mapping: KindMapping, record_id: str, there: _Entity) -> Receipt:
        parent = str(there["id"])
        for rows in mapping.rows:
            self._drop_rows(mapping, rows, record_id, parent, frozenset())
        field = str(mapping.settings.get("photos", ""))
        held = json_of(self.name, self._api.call("GET", f"{mapping.to}/{parent}"))
        for attachment in _names(held, field):
            self._api.call("DELETE", f"Attachment/{attachment}", allowed=frozenset({_NOT_FOUND}))
        blanked = self._remove(mapping.to, parent, mapping.blank())
        return Receipt(parent, () if blanked else ("record: deleted, not blanked",))

    def _remove(self, entity: str, record: str, blank: Mapping[str, JSON]) -> bool:
        """Blanks, then deletes: what is deleted stays in EspoCRM's bin for a while. Whether the blanking was taken."""
        needed = {"name": "-"} if "name" in blank else {}
        answer = self._api.call(
            "PUT", f"{entity}/{record}", {**blank, **needed}, allowed=frozenset({_BAD_REQUEST, _NOT_FOUND})
        )
        self._api.call("DELETE", f"{entity}/{record}", allowed=frozenset({_NOT_FOUND}))
        return answer.ok

    def _photos(self, mapping: KindMapping, parent: str, files: Sequence[File], held: _Entity) -> None:
        """Uploads photos that are not there and takes away ours that are no longer part of the record."""
        field = str(mapping.settings.get("photos", ""))
        there = _names(held, field)
        if not field or (not files and not there):
            return
        wanted = {file.name: file for file in files}
        kept = {identity: name for identity, name in there.items() if name in wanted or not _OURS.fullmatch(name)}
        new = [self._upload(mapping.to, field, file) for name, file in wanted.items() if name not in kept.values()]
        gone = there.keys() - kept.keys()
        if new or gone:
            self._api.call("PUT", f"{mapping.to}/{parent}", {f"{field}Ids": [*kept, *new]})
        for identity in gone:
            self._api.call("DELETE", f"Attachment/{identity}", allowed=frozenset({_NOT_FOUND}))

    def _upload(self, entity: str, field: str, file: File) -> str:
        data = f"data:{file.media_type};base64,{base64.b64encode(file.data).decode()}"
        body: JSON = {
            "name": file.name, "type": file.media_type, "role": "Attachment", "relatedType": entity, "field": field, "file": data,
        }  # fmt: skip
        answer = json_of(self.name, self._api.call("POST", "Attachment", body))
        return str(answer.get("id")) if isinstance(answer, Mapping) else ""

    def _parked(self, code: str, advice: str) -> TargetError:
        return TargetError(code, f"target {self.name}", advice, permanent=True)


class _Api:
    """Signed calls: with the API key, or with an HMAC of method and path where a secret is set."""

    def __init__(self, name: str, config: Target) -> None:
        self._name = name
        self._key, self._secret = config.secret("token") or "", config.secret("signing_secret")
        self._hex = config.hmac_digest == "hex"
        headers = {"Accept": "application/json", "User-Agent": "Silah"}
        self._http = Caller(f"{config.url}/api/v1", headers=headers, timeout=config.timeout, pool=config.concurrency)

    def find(self, entity: str, field: str, value: str) -> _Entity | None:
        """The one record whose *field* equals *value*; more than one needs a person."""
        found = self._listed(entity, [(field, value)], f"id,{field}", 2)
        if len(found) > 1:
            advice = f"Two records of {entity} carry our key: remove one there, and make {field} unique."
            raise TargetError("target.ambiguous", f"target {self._name}", advice, permanent=True)
        return found[0] if found else None

    def linked(self, entity: str, link: str, parent: str, key_field: str) -> list[_Entity]:
        """The records that belong to *parent* and carry a key of ours or none."""
        return self._listed(entity, [(link, parent)], f"id,{key_field}", _MOST_ROWS)

    def since(self, entity: str, moment: datetime) -> list[_Entity]:
        """What changed after *moment*, oldest first; EspoCRM's times are UTC without saying so."""
        where = {"where[0][type]": "after", "where[0][attribute]": "modifiedAt",
            "where[0][value]": moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")}  # fmt: skip
        found: list[_Entity] = []
        while True:
            params = {**where, "select": "id,modifiedAt", "orderBy": "modifiedAt", "order": "asc",
                "maxSize": str(_MOST_ROWS), "offset": str(len(found))}  # fmt: skip
            rows = self._rows(self._call("GET", entity, None, params, frozenset()))
            found += rows
            if len(rows) < _MOST_ROWS:
                return found

    def call(self, method: str, path: str, body: JSON = None, allowed: frozenset[int] = frozenset()) -> Answer:
        """One request. Whatever is neither a success nor *allowed* is raised as `TargetError`."""
        return self._call(method, path, body, {}, allowed)

    def _listed(self, entity: str, equal: Sequence[tuple[str, str]], select: str, most: int) -> list[_Entity]:
        params = {"select": select, "maxSize": str(most)}
        for number, (field, value) in enumerate(equal):
            where = f"where[{number}]"
            params |= {f"{where}[type]": "equals", f"{where}[attribute]": field, f"{where}[value]": value}
        return self._rows(self._call("GET", entity, None, params, frozenset()))

    def _rows(self, told: Answer) -> list[_Entity]:
        answer = json_of(self._name, told)
        found = answer.get("list") if isinstance(answer, Mapping) else None
        if not isinstance(found, list):
            raise TargetError("target.not_json", f"target {self._name}", "Look whether the address is that of EspoCRM.")
        return [one for one in found if isinstance(one, Mapping)]

    def _call(self, method: str, path: str, body: JSON, params: Mapping[str, str], allowed: frozenset[int]) -> Answer:
        headers = self._signed(method, path)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False).encode()
        try:
            answer = self._http.call(method, f"/{quote(path)}", params=params, headers=headers, body=data)
        except Unreachable as error:
            raise unreachable(self._name, error) from None
        if answer.ok or answer.status in allowed:
            return answer
        raise refused(self._name, answer, f"entity {path.partition('/')[0]}")

    def _signed(self, method: str, path: str) -> dict[str, str]:
        if not self._secret:
            return {"X-Api-Key": self._key}
        digest = hmac.new(self._secret.encode(), f"{method} /{path}".encode(), hashlib.sha256)
        proof = digest.hexdigest().encode() if self._hex else digest.digest()
        return {"X-Hmac-Authorization": base64.b64encode(self._key.encode() + b":" + proof).decode()}


def _key(mapping: KindMapping) -> str:
    return str(mapping.settings.get("key", "silahId"))


def _names(held: JSON, field: str) -> dict[str, str]:
    """Attachment id -> name of an attachment field; EspoCRM keeps them as `<field>Names`."""
    names = held.get(f"{field}Names") if isinstance(held, Mapping) else None
    return {identity: str(name) for identity, name in names.items()} if isinstance(names, Mapping) else {}
