"""The state of a KoboToolbox-compatible server: users, projects with their versions, media, permissions and history.

Plain objects in memory; nothing here knows HTTP. Times come from the store's clock, identifiers are random with
KoboToolbox's prefixes.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connector.sandbox.content import Content, ImportRefused, read_xlsx
from connector.sandbox.rights import ANONYMOUS, Rights
from connector.sandbox.submissions import Shape, Submission, SubmissionTable

Clock = Callable[[], datetime]

_BASE57 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_NO_FILE = "ImportTask data must contain `base64Encoded`, `url`, or `single_xls_url`"
_SETTINGS: dict[str, object] = {"sector": {}, "country": [], "description": "", "organization": "", "country_codes": []}


def new_uid(prefix: str) -> str:
    """A random identifier such as KoboToolbox makes: *prefix* and 21 letters and digits."""
    return prefix + "".join(secrets.choice(_BASE57) for _ in range(21))


def stamp(moment: datetime | None) -> str | None:
    """`2026-11-21T21:03:04.378150Z`, as all times of the management API are written."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class User:
    """An account; *token* is what `Authorization: Token …` carries."""

    name: str
    password: str
    token: str
    joined: datetime
    uid: str = field(default_factory=lambda: new_uid("u"))
    organization: str = field(default_factory=lambda: new_uid("org"))


@dataclass
class Version:
    """One saved state of a form's content."""

    content: Content
    saved: datetime
    deployed: datetime | None = None
    uid: str = field(default_factory=lambda: new_uid("v"))


@dataclass
class MediaFile:
    """A file that belongs to a form."""

    user: str
    name: str
    content: bytes
    mimetype: str
    created: datetime
    description: str = "default"
    file_type: str = "form_media"
    uid: str = field(default_factory=lambda: new_uid("af"))

    @property
    def hash(self) -> str:
        """As manifests state it."""
        return "md5:" + hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass
class Deployment:
    """What devices see: the version that is out, its OpenRosa number and the media of that moment.

    *xform* is filled in when the first device asks for it.
    """

    pk: int
    version: Version
    openrosa_version: str
    deployed: datetime
    media: tuple[tuple[int, MediaFile], ...]
    active: bool = True
    formhub_uuid: str = field(default_factory=lambda: uuid.uuid4().hex)
    xform: str | None = None


@dataclass(frozen=True)
class Event:
    """One row of a project's history."""

    user: User
    action: str
    created: datetime
    details: Mapping[str, object]


@dataclass
class Asset:
    """A project."""

    pk: int
    owner: User
    name: str
    versions: list[Version]
    created: datetime
    rights: Rights
    submissions: SubmissionTable = field(init=False)
    asset_type: str = "survey"
    settings: dict[str, object] = field(default_factory=lambda: dict(_SETTINGS))
    files: list[MediaFile] = field(default_factory=list)
    deployment: Deployment | None = None
    data_sharing: dict[str, object] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    modified: datetime = field(init=False)
    modified_by: str | None = None
    created_by: str | None = None
    uid: str = field(default_factory=lambda: new_uid("a"))
    _shape: tuple[int, Shape] | None = None

    def __post_init__(self) -> None:
        self.modified = self.created

    @property
    def version(self) -> Version:
        """The newest version, deployed or not."""
        return self.versions[-1]

    @property
    def deployed_versions(self) -> list[tuple[int, Version]]:
        """(number from 1, version) of each version that was ever deployed, newest first."""
        out = [version for version in self.versions if version.deployed is not None]
        return list(reversed(list(enumerate(out, start=1))))

    def shape(self) -> Shape:
        """Over all versions: old submissions keep their repeats."""
        if self._shape is None or self._shape[0] != len(self.versions):
            contents = [version.content for version in self.versions]
            shape = Shape(
                repeats=frozenset().union(*(content.repeats for content in contents)),
                media=frozenset({"meta/audit"}).union(*(content.media for content in contents)),
                geopoints=frozenset().union(*(content.paths("geopoint") for content in contents)),
            )
            self._shape = (len(self.versions), shape)
        return self._shape[1]

    def report_styles(self) -> dict[str, object]:
        """The empty report settings: one entry for every row that the form ever had."""
        rows = [row for version in self.versions for row in version.content.survey]
        kuids = {str(row.get("name", row["$kuid"])): row["$kuid"] for row in rows}
        return {"default": {}, "specified": {name: {} for name in kuids}, "kuid_names": kuids}

    def update_settings(self, settings: Mapping[str, object]) -> None:
        """Merges *settings* and states the countries' codes apart."""
        self.settings |= settings
        countries = self.settings.get("country")
        if isinstance(countries, list):
            self.settings["country_codes"] = [item.get("value") for item in countries if isinstance(item, dict)]

    def file_named(self, name: str) -> MediaFile | None:
        """The media file of that name."""
        return next((file for file in self.files if file.name == name), None)

    def last_submission(self) -> datetime | None:
        """When the newest submission came in, as it states it."""
        return max((row.submitted_at for row in self.submissions), default=None)


@dataclass
class ImportTask:
    """A file on its way to becoming a form; read at once, told as `processing` for *polls* more answers."""

    user: User
    created: datetime
    polls: int
    result: dict[str, object]
    failed: bool
    uid: str = field(default_factory=lambda: new_uid("i"))


class Store:
    """Everything the server knows.

    Args:
        clock: the time now, with a time zone.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.users: dict[str, User] = {}
        self.assets: dict[str, Asset] = {}
        self.imports: dict[str, ImportTask] = {}
        self.new_submission: list[Callable[[Asset, Submission], None]] = []
        self._pks = itertools.count(1)
        self._deployment_pks = itertools.count(1)
        self._media_pks = itertools.count(1)
        self._submission_ids = itertools.count(1)
        self._by_token: dict[str, User] = {}
        self.add_user(ANONYMOUS, secrets.token_hex(16))

    def add_user(self, name: str, password: str, token: str | None = None) -> User:
        """Makes an account."""
        user = User(name, password, token or secrets.token_hex(20), self.clock())
        self.users[name] = user
        self._by_token[user.token] = user
        return user

    def user_by_token(self, token: str) -> User | None:
        """Whose token this is."""
        return self._by_token.get(token)

    def create_asset(self, owner: User, name: str, content: Content, asset_type: str = "survey") -> Asset:
        """A new project with one version, not deployed."""
        now = self.clock()
        rights = Rights(owner.name, _uids("p"))
        asset = Asset(next(self._pks), owner, name, [Version(content, now)], now, rights, asset_type=asset_type)
        asset.submissions = SubmissionTable(
            asset.uid, asset.shape, lambda: next(self._submission_ids), lambda: new_uid("att")
        )
        self.assets[asset.uid] = asset
        return asset

    def import_xlsx(
        self, user: User, data: bytes | None, name: str, *, library: bool, destination: Asset | None, polls: int = 0
    ) -> ImportTask:
        """Reads a workbook into a new project, or into a new version of *destination*."""
        try:
            result = self._imported(user, data, name, library=library, destination=destination)
            task = ImportTask(user, self.clock(), polls, result, failed=False)
        except ImportRefused as error:
            failure: dict[str, object] = {"error": str(error), "error_type": error.error_type}
            task = ImportTask(user, self.clock(), polls, failure, failed=True)
        self.imports[task.uid] = task
        return task

    def create_from_xlsx(self, user: User, data: bytes, name: str, *, library: bool = False) -> Asset:
        """A new project from a workbook, not deployed; *name* stands in for a title.

        Raises:
            ImportRefused: the workbook cannot become a form.
        """
        title, content = _titled(read_xlsx(data))
        kind = "block" if library else "survey"
        return self.create_asset(user, title or name.removesuffix(".xlsx") or "Untitled", content, kind)

    def replace_from_xlsx(self, user: User, asset: Asset, data: bytes) -> Version:
        """A new version of a project from a workbook.

        Raises:
            ImportRefused: the workbook cannot become a form.
        """
        title, content = _titled(read_xlsx(data))
        asset.name = title or asset.name
        version = self.save_version(asset, content)
        self.log(asset, user, "replace-form", latest_version_uid=version.uid)
        return version

    def save_version(self, asset: Asset, content: Content) -> Version:
        """Replaces the questions; devices see it after the next deployment."""
        version = Version(content, self.clock())
        asset.versions.append(version)
        asset.modified = version.saved
        return version

    def deploy(self, asset: Asset) -> None:
        """Puts the newest version and the present media before devices; an archived project becomes active."""
        version = asset.version
        saved, now = asset.modified, self.clock()
        version.deployed = version.deployed or now
        number = asset.deployed_versions[0][0]
        openrosa_version = f"{number} ({saved:%Y-%m-%d %H:%M:%S})"
        old = asset.deployment
        if old is not None and old.version is version:
            openrosa_version = old.openrosa_version
        deployment = Deployment(
            pk=old.pk if old else next(self._deployment_pks),
            version=version,
            openrosa_version=openrosa_version,
            deployed=now,
            media=tuple((self._media_pk(old, file), file) for file in asset.files),
        )
        if old is not None:
            deployment.formhub_uuid = old.formhub_uuid
        asset.deployment = deployment
        asset.modified = now

    def set_active(self, asset: Asset, deployment: Deployment, *, active: bool) -> None:
        """Archives a project, or takes it back."""
        deployment.active = active
        asset.modified = self.clock()

    def log(self, asset: Asset, user: User, action: str, **details: object) -> None:
        """Adds a row to the project's history; *details* may be any part of its metadata."""
        asset.history.append(Event(user, action, self.clock(), details))

    def log_submission(self, asset: Asset, user: User, action: str, row: Submission, status: str | None = None) -> None:
        """Adds a row about one submission; *status* is the label of a new validation status."""
        about: dict[str, object] = {"root_uuid": row.root_uuid, "submitted_by": row.submitted_by}
        self.log(asset, user, action, submission=about if status is None else {**about, "status": status})

    def _media_pk(self, old: Deployment | None, file: MediaFile) -> int:
        known = {} if old is None else {kept.uid: pk for pk, kept in old.media}
        return known.get(file.uid) or next(self._media_pks)

    def _imported(
        self, user: User, data: bytes | None, name: str, *, library: bool, destination: Asset | None
    ) -> dict[str, object]:
        if data is None:
            raise ImportRefused(_NO_FILE, "Exception")
        if destination is None:
            return {"created": [_imported_json(self.create_from_xlsx(user, data, name, library=library))]}
        old_name = destination.name
        version = self.replace_from_xlsx(user, destination, data)
        entry: dict[str, object] = {
            "source": "Sandbox",
            "asset_id": destination.pk,
            "new_name": destination.name,
            "old_name": old_name,
            "asset_uid": destination.uid,
            "ip_address": "127.0.0.1",
            "project_owner": destination.owner.name,
            "latest_version_uid": version.uid,
        }
        return {"updated": [_imported_json(destination)], "audit_logs": [entry]}


def _titled(content: Content) -> tuple[str, Content]:
    """The settings sheet's title, which becomes the project's name, and the form without it."""
    settings = dict(content.settings)
    title = str(settings.pop("form_title", ""))
    return title, replace(content, settings=settings)


def _imported_json(asset: Asset) -> dict[str, object]:
    return {
        "uid": asset.uid,
        "kind": "asset",
        "summary": asset.version.content.summary(),
        "owner__username": asset.owner.name,
    }


def _uids(prefix: str) -> Iterator[str]:
    while True:
        yield new_uid(prefix)
