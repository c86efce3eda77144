"""The case list on ODK Central: an entity list in every project that has a form which shows it.

Facts: Central 2025.2 to 2026.2. Numbers of entities are version-4 UUIDs, all values are texts, a property has to exist
before it is written. Whoever fills in forms (app users, public links, data collectors) gets the rows whose `branch`
equals their own property `branch`; without that filter every phone would get every row, so no line is written before
the filter is seen there. A project whose forms the server itself encrypts has no entities; that is why we write them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from connector.config import Server
from connector.disclosure import CaseLine
from connector.errors import ServerError
from connector.model import JSON
from connector.outbound import Answer
from connector.servers.case_lists import FILE, shows_cases
from connector.servers.central import Door, refused

LIST = FILE.removesuffix(".csv")
FILTER: Mapping[str, JSON] = {"type": "property", "rules": [{"datasetProperty": "branch", "actorProperty": "branch"}]}
_PROPERTIES = ("case_code", "branch", "state")
_NOT_FOUND, _CONFLICT = 404, 409
_TOGETHER = 200  # lines of one request; Central takes all of them or none


class _Property(BaseModel):
    name: str


class _Dataset(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    properties: list[_Property] = []
    filter: dict[str, object] | None = Field(None, alias="accessFilter")


_DATASET = TypeAdapter(_Dataset)


class CentralCaseList:
    """The entity list `cases` of one ODK Central, as `CaseList`. Our account has to be Project Manager there."""

    every = timedelta(0)
    whole = False

    def __init__(self, name: str, config: Server, door: Door | None = None) -> None:
        self._name = name
        self._door = door or Door(name, config)
        shown_in = {ref.partition("/")[0] for form, ref in config.forms.items() if shows_cases(form)}
        self._lists = [f"/v1/projects/{int(project)}" for project in sorted(shown_in)]

    def write(self, lines: Sequence[CaseLine], gone: Sequence[UUID]) -> None:
        for project in self._lists:
            self.prepare(project)
            entities = f"{project}/datasets/{LIST}/entities"
            self._put_all(entities, lines)
            for number in gone:
                self._done("DELETE", f"{entities}/{number}", None, allowed=frozenset({_NOT_FOUND}))

    def check(self) -> None:
        for project in self._lists:
            self.prepare(project)

    def prepare(self, project: str) -> None:
        """Makes the list, its properties and its filter by branch where they are not there; twice changes nothing."""
        at = f"{project}/datasets/{LIST}"
        found = self._done("GET", at, None, allowed=frozenset({_NOT_FOUND}))
        if found.status == _NOT_FOUND:
            self._done("POST", f"{project}/datasets", {"name": LIST, "approvalRequired": False}, taken=True)
        held = self._door.read(at, _DATASET)
        for name in sorted(set(_PROPERTIES) - {one.name for one in held.properties}):
            self._done("POST", f"{at}/properties", {"name": name}, taken=True)
        if held.filter != FILTER:
            self._done("POST", f"{project}/actor-properties", {"name": "branch"}, taken=True)
            self._done("PATCH", at, {"accessFilter": FILTER})
        if self._door.read(at, _DATASET).filter != FILTER:
            advice = (
                'It gives a list to phones by branch from version 2025.2 on: upgrade it, or set `case_list = "off"`.'
            )
            raise ServerError("central.no_branch_filter", f"server {self._name}", advice, permanent=True)

    def _put_all(self, entities: str, lines: Sequence[CaseLine]) -> None:
        """New ones together where none is there yet; else one by one."""
        for start in range(0, len(lines), _TOGETHER):
            some = lines[start : start + _TOGETHER]
            body: JSON = {"source": {"name": "Silah", "size": 0}, "entities": [_entity(line) for line in some]}
            made = len(some) > 1 and self._done("POST", entities, body, allowed=frozenset({_CONFLICT})).ok
            for line in () if made else some:
                self._put(entities, line)

    def _put(self, entities: str, line: CaseLine) -> None:
        """A deleted one comes back, as its number is taken for ever."""
        entity = _entity(line)
        changes = {"label": entity["label"], "data": entity["data"]}
        at = f"{entities}/{line.number}"
        if self._done("PATCH", f"{at}?force=true", changes, allowed=frozenset({_NOT_FOUND})).ok:
            return
        if self._done("POST", entities, entity, allowed=frozenset({_CONFLICT})).ok:
            return
        self._done("POST", f"{at}/restore", None)
        self._done("PATCH", f"{at}?force=true", changes)

    def _done(
        self, method: str, path: str, told: JSON, *, allowed: frozenset[int] = frozenset(), taken: bool = False
    ) -> Answer:
        """One request. *taken*: that it is there already is as good."""
        body = None if told is None else json.dumps(told, ensure_ascii=False).encode()
        answer = self._door.ask(path, method=method, body=body)
        if answer.ok or answer.status in allowed or (taken and answer.status == _CONFLICT):
            return answer
        if answer.status == 403:  # noqa: PLR2004 (RFC 9110: forbidden)
            advice = 'Give our account the role Project Manager, or set `case_list = "off"` for this server.'
            raise ServerError("central.may_not_list", f"server {self._name}", advice, permanent=True)
        raise refused(self._name, answer.status, answer.retry_after)


def _entity(line: CaseLine) -> dict[str, JSON]:
    data = {"case_code": line.case_code, "branch": line.branch, "state": str(line.state)}
    return {"uuid": str(line.number), "label": line.case_code, "data": data}
