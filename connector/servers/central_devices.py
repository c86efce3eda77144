"""Phones of ODK Central: app users that may fill in the forms of a project, each with the branch whose cases it sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from connector.config import Server
from connector.errors import Refused
from connector.model import JSON
from connector.outbound import Answer
from connector.servers.central import Door, refused

_CONFLICT = 409


class _Device(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    id: int
    name: str = Field(alias="displayName")
    token: str | None = None


_DEVICE = TypeAdapter(_Device)
_DEVICES = TypeAdapter(list[_Device])


class CentralDevices:
    """The app users of one ODK Central. The account has to be Project Manager."""

    def __init__(self, name: str, config: Server, token: str | None = None) -> None:
        self._name = name
        self._door = Door(name, config, token)
        projects: dict[str, list[str]] = {}
        for ref in config.forms.values():
            project, _, form = ref.partition("/")
            projects.setdefault(project, []).append(form)
        self._projects: Mapping[str, list[str]] = projects

    def make(self, device: str, branch: str, project: str | None = None) -> str | None:
        """Makes the app user *device* with the forms of its project and its branch; again: only the branch is set.

        Returns:
            Its token, which nobody is shown a second time; None where it was there already.

        Raises:
            Refused: the forms are in several projects and none is named.
            ServerError
        """
        number = project or (next(iter(self._projects)) if len(self._projects) == 1 else None)
        if number is None or number not in self._projects:
            advice = f"Name one by --project: {', '.join(sorted(self._projects)) or 'no form is configured'}."
            raise Refused("publish.which_project", f"server {self._name}", advice)
        place = f"/v1/projects/{int(number)}"
        there = [one for one in self._door.read(f"{place}/app-users", _DEVICES) if one.name == device]
        one = there[0] if there else self._new(place, device)
        for form in self._projects[number]:
            self._done("POST", f"{place}/forms/{quote(form, safe='')}/assignments/app-user/{one.id}", None, taken=True)
        self._done("POST", f"{place}/actor-properties", {"name": "branch"}, taken=True)
        self._done("PATCH", f"{place}/app-users/{one.id}", {"properties": {"branch": branch}})
        return None if there else one.token

    def _new(self, place: str, device: str) -> _Device:
        answer = self._done("POST", f"{place}/app-users", {"displayName": device})
        return _DEVICE.validate_json(answer.body)

    def _done(self, method: str, path: str, told: JSON, *, taken: bool = False) -> Answer:
        body = None if told is None else json.dumps(told, ensure_ascii=False).encode()
        answer = self._door.ask(path, method=method, body=body)
        if answer.ok or (taken and answer.status == _CONFLICT):
            return answer
        raise refused(self._name, answer.status, answer.retry_after)
