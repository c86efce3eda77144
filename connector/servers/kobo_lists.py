"""The case list on KoboToolbox: a media file beside the forms of one branch's project.

Every phone of a project gets the whole file, and a new file reaches phones with a new deployment alone. So it is off
unless an admin turns it on for a server entry that stands for one branch, holds that branch's cases alone, and is
written at most once in `case_list_every`. A form that somebody is editing on the server is not deployed by us.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from io import StringIO
from uuid import UUID

from connector.config import Server
from connector.disclosure import CaseLine
from connector.errors import ServerError
from connector.servers.case_lists import COLUMNS, FILE, shows_cases
from connector.servers.hosting import Project
from connector.servers.kobo_publishing import KoboForms


class KoboCaseList:
    """The file `cases.csv` in the projects of one branch, as `CaseList`. Our account needs *change_asset* there."""

    whole = True

    def __init__(self, name: str, config: Server) -> None:
        self._name = name
        self._forms = KoboForms(name, config, config.secret("token") or "")
        self._assets = [asset for form, asset in sorted(config.forms.items()) if shows_cases(form)]
        self._branch = config.case_list_branch
        self.every = config.case_list_every

    def write(self, lines: Sequence[CaseLine], gone: Sequence[UUID]) -> None:  # noqa: ARG002 (the file is whole)
        content = file_of([line for line in lines if line.branch == self._branch])
        for asset in self._assets:
            self._write(self._project(asset), content)

    def check(self) -> None:
        for asset in self._assets:
            self._project(asset)

    def _write(self, project: Project, content: bytes) -> None:
        old = next((file for file in project.media if file.name == FILE), None)
        same = old is not None and old.digest == hashlib.md5(content, usedforsecurity=False).hexdigest()
        if not same:
            self._forms.put_media(project.ref, FILE, content, old)
        waits = old is not None and (
            project.deployed_at is None or (old.added_at or project.deployed_at) > project.deployed_at
        )
        if not same or waits:
            self._forms.deploy(project)

    def _project(self, asset: str) -> Project:
        project = self._forms.project(asset)
        where = f"server {self._name}, project {asset}"
        if project is None or "change_asset" not in project.rights:
            advice = 'Give our account the right to edit this project, or set `case_list = "off"`.'
            raise ServerError("kobo.may_not_list", where, advice, permanent=True)
        if project.state != "deployed" or project.content != project.deployed_content:
            advice = "Somebody is changing the form on the server: deploy it or take the change back; the list waits."
            raise ServerError("kobo.form_not_deployed", where, advice)
        return project


def file_of(lines: Sequence[CaseLine]) -> bytes:
    """The lines as the forms read them, in the order of their codes."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in sorted(lines, key=lambda one: (one.case_code, one.number)):
        writer.writerow([str(line.number), line.case_code, line.case_code, line.branch, line.state])
    return text.getvalue().encode()
