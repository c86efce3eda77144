"""The state of an ODK-Central-compatible server: accounts, sessions, projects, forms, submissions with their versions.

Plain objects in memory; nothing here knows HTTP. A submission has a root that never changes and versions, each with
its own files. Every change draws the next number of `event`, from which the tags of lists are made; a file that comes
late and a comment draw none.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import string
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.central_forms import Record, XForm
from connector.sandbox.central_roles import BY_SYSTEM

if TYPE_CHECKING:
    from connector.sandbox.central_lists import EntityList

Clock = Callable[[], datetime]

SESSION_LASTS = timedelta(days=1)
FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SIGNS = string.ascii_letters + string.digits + "!$"
STATES = ("approved", "hasIssues", "rejected", "edited", None)


class Rejected(Exception):
    """A submission that is not taken: status with its part, `409.1`, and the words."""

    def __init__(self, code: float, message: str, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def new_token() -> str:
    """64 letters, digits, `!` and `$`."""
    return "".join(secrets.choice(_SIGNS) for _ in range(64))


@dataclass
class Actor:
    """Whoever can be given rights: a person (`user`) or a device (`field_key`), which belongs to a project."""

    id: int
    type: str
    name: str
    created: datetime
    email: str | None = None
    password: str = ""
    project: int | None = None
    properties: dict[str, str] = field(default_factory=dict)
    last_login: datetime | None = None


@dataclass(frozen=True)
class Session:
    """What a token stands for."""

    actor: Actor
    token: str
    created: datetime
    expires: datetime
    csrf: str = field(default_factory=new_token)


@dataclass
class Definition:
    """One version of a form, a draft as long as it is not *published*."""

    xform: XForm
    created: datetime
    published: datetime | None = None
    draft_token: str | None = None
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)  # files that are entity lists


@dataclass
class File:
    """A place for an attachment; *data* is None until it has come."""

    data: bytes | None = None
    media_type: str = "application/octet-stream"


@dataclass
class Version:
    """One version of a submission."""

    number: int
    record: Record
    id: str
    actor: Actor | None
    created: datetime
    device: str | None
    agent: str | None
    files: dict[str, File]
    form_version: str

    @property
    def present(self) -> int:
        """How many of the files have come."""
        return sum(file.data is not None for file in self.files.values())


@dataclass(frozen=True)
class Audit:
    """One line of a submission's history."""

    actor: Actor | None
    action: str
    logged: datetime
    details: dict[str, object]
    notes: str | None = None


@dataclass
class Submission:
    """All versions of a filled-in form, the newest last."""

    number: int
    id: str
    created: datetime
    versions: list[Version]
    updated: datetime | None = None
    deleted: datetime | None = None
    state: str | None = None
    event: int = 0
    committed: bool = True
    audits: list[Audit] = field(default_factory=list)
    comments: list[tuple[str, Actor | None, datetime]] = field(default_factory=list)

    @property
    def first(self) -> Version:
        """The version that was sent first."""
        return self.versions[0]

    @property
    def current(self) -> Version:
        """The version that counts."""
        return self.versions[-1]


@dataclass
class Form:
    """A form of a project; *key* is the number of the key that its devices encrypt with."""

    project: int
    id: str
    created: datetime
    creator: Actor
    definitions: list[Definition]
    acting_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    updated: datetime | None = None
    state: str = "open"
    key: int | None = None
    rights: dict[int, str] = field(default_factory=dict)
    submissions: dict[str, Submission] = field(default_factory=dict)

    @property
    def published(self) -> Definition | None:
        """The newest version that devices see."""
        return next((one for one in reversed(self.definitions) if one.published), None)

    @property
    def draft(self) -> Definition | None:
        """What waits to be published."""
        return self.definitions[-1] if not self.definitions[-1].published else None

    def version(self, name: str) -> Definition | None:
        """The published version of that name."""
        return next((one for one in self.definitions if one.published and one.xform.version == name), None)

    def rows(self) -> Iterator[Submission]:
        """What a reader can see, deleted ones included, newest first."""
        there = [row for row in self.submissions.values() if row.committed]
        return iter(sorted(there, key=lambda row: (row.created, row.number), reverse=True))

    def find(self, root: str) -> Submission | None:
        """A submission that is neither deleted nor still being sent."""
        row = self.submissions.get(root)
        return row if row and row.committed and row.deleted is None else None

    def with_version(self, version: str) -> tuple[Submission, Version] | None:
        """The submission that has this version, deleted or not."""
        return next(
            ((row, one) for row in self.submissions.values() for one in row.versions if one.id == version), None
        )


@dataclass
class Project:
    """A project with the roles that were given on it."""

    id: int
    name: str
    created: datetime
    acting_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    rights: dict[int, str] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    lists: dict[str, EntityList] = field(default_factory=dict)
    actor_properties: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """A record as it came in: who sent it, from what, with which files (name → bytes and type)."""

    record: Record
    actor: Actor | None
    device: str | None = None
    agent: str | None = None
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)


class Store:
    """Everything a server knows. *clock* gives the time now, with a time zone."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.actors: dict[int, Actor] = {}
        self.sessions: dict[str, Session] = {}
        self.projects: dict[int, Project] = {}
        self.admins: set[int] = set()
        self._actor_ids, self._keys = itertools.count(5), itertools.count(1)
        self._numbers, self._versions, self._events = itertools.count(1), itertools.count(1), itertools.count(1)

    # Accounts

    def add_user(self, email: str, password: str, *, admin: bool = False) -> Actor:
        """Makes an account; an admin may do everything everywhere."""
        actor = Actor(next(self._actor_ids), "user", email, self.clock(), email=email, password=password)
        self.actors[actor.id] = actor
        if admin:
            self.admins.add(actor.id)
        return actor

    def add_device(self, project: Project, name: str) -> Session:
        """Makes an app user, whose token never ends."""
        actor = Actor(next(self._actor_ids), "field_key", name, self.clock(), project=project.id)
        self.actors[actor.id] = actor
        return self._open(actor, FOR_EVER)

    def skip_actors(self, count: int) -> None:
        """Numbers that somebody else got."""
        for _ in range(count):
            next(self._actor_ids)

    def skip_keys(self, count: int) -> None:
        """Numbers of keys that somebody else got."""
        for _ in range(count):
            next(self._keys)

    def log_in(self, email: str, password: str) -> Session | None:
        """A session for a day, None when the password is not right."""
        actor = self.user(email)
        if actor is None or not secrets.compare_digest(actor.password.encode(), password.encode()):
            return None
        actor.last_login = self.clock()
        return self._open(actor, self.clock() + SESSION_LASTS)

    def user(self, email: str) -> Actor | None:
        """The person with that address."""
        return next((actor for actor in self.actors.values() if actor.email == email), None)

    def session(self, token: str) -> Session | None:
        """What *token* stands for now."""
        session = self.sessions.get(token)
        return session if session and session.expires > self.clock() else None

    def may(self, actor: Actor | None, verb: str, project: Project | None = None, form: Form | None = None) -> bool:
        """Whether *actor* may do *verb* there, by a role on the form, the project or the whole server."""
        return actor is not None and verb in self.verbs(actor, project, form)

    def verbs(self, actor: Actor, project: Project | None = None, form: Form | None = None) -> list[str]:
        """All that *actor* may do there."""
        roles = ["admin"] if actor.id in self.admins else []
        roles += [place.rights[actor.id] for place in (project, form) if place and actor.id in place.rights]
        return list(dict.fromkeys(verb for role in roles for verb in BY_SYSTEM[role].verbs))

    # Forms

    def add_project(self, name: str) -> Project:
        """An empty project."""
        project = Project(len(self.projects) + 1, name, self.clock())
        self.projects[project.id] = project
        return project

    def add_form(self, project: Project, xform: XForm, creator: Actor, *, publish: bool) -> Form:
        """A new form; the caller has made sure that its id is free."""
        now = self.clock()
        form = Form(project.id, xform.form_id, now, creator, [self._definition(xform)])
        form.key = next(self._keys) if xform.encrypts else None
        self._link(project, form)
        project.forms[form.id] = form
        if publish:
            self._publish(form, now)
        return form

    def add_draft(self, form: Form, xform: XForm) -> None:
        """A new draft, which takes the place of an older one and keeps the files that it still names."""
        old = form.definitions[-1]
        definition = self._definition(xform)
        definition.files = {name: file for name, file in old.files.items() if name in xform.needs_files}
        form.definitions = [one for one in form.definitions if one.published] + [definition]
        self._link(self.projects[form.project], form)

    def _link(self, project: Project, form: Form) -> None:
        """A list of the project stands for a file of that name where no file was uploaded."""
        draft = form.definitions[-1]
        named = {name: name.removesuffix(".csv") for name in draft.xform.needs_files if name.endswith(".csv")}
        draft.lists = {name for name, list_ in named.items() if list_ in project.lists and name not in draft.files}

    def publish(self, form: Form) -> None:
        """Shows the draft to devices."""
        now = self.clock()
        self._publish(form, now)
        form.updated = now

    # Submissions

    def receive(self, form: Form, sent: Sent, *, committed: bool = True) -> tuple[Submission, str | None]:
        """Takes a record: a new one, a new version, or more files of a known one; what happened, None for the last.

        Raises:
            Rejected: with Central's code and words.
        """
        if form.state == "closed":
            raise Rejected(409.2, _CLOSED)
        definition = form.version(sent.record.version)
        if definition is None:
            name = sent.record.version
            message = f"The form version specified in this submission '{name}' does not exist."
            raise Rejected(404.6, message, {"formVersion": name})
        replaced = sent.record.meta("deprecatedID")
        if replaced:
            return self.edit(form, sent, replaced), "submission.update.version"
        known = form.with_version(sent.record.meta("instanceID") or "")
        if known:
            return self._more_files(known, sent), None
        return self._new(form, definition, sent, committed=committed), "submission.create"

    def edit(self, form: Form, sent: Sent, replaced: str, root: str | None = None) -> Submission:
        """A new version in the place of *replaced*, which has to be the current one (of *root*, when that is given)."""
        known = form.with_version(replaced)
        if known is None or known[0].deleted or (root is not None and known[0].id != root):
            raise Rejected(404.8, _NO_SUCH.format(replaced), {"deprecatedId": replaced})
        row, version = known
        if version is not row.current:
            raise Rejected(409.8, _OUT_OF_DATE.format(replaced), {"deprecatedId": replaced})
        definition = form.version(sent.record.version) or form.definitions[-1]
        now = self.clock()
        row.versions.append(self._version(definition, sent, now, version.files))
        row.updated, row.state = now, "edited"
        self._log(
            row,
            sent.actor,
            "submission.update.version",
            {"instanceId": row.current.id, "submissionDefId": row.current.number},
        )
        return row

    def review(self, row: Submission, state: str | None, actor: Actor, notes: str | None) -> None:
        """What a person says of a submission; None takes it back."""
        row.state = state
        row.updated = self.clock()
        details: dict[str, object] = {"reviewState": state, "submissionDefId": row.current.number}
        self._log(row, actor, "submission.update", details, notes)

    def remove(self, row: Submission, actor: Actor) -> None:
        """Takes a submission out of every list; it can be restored."""
        row.deleted = self.clock()
        self._log(row, actor, "submission.delete", {"instanceId": row.id})

    def restore(self, row: Submission, actor: Actor) -> None:
        """Brings it back as it was; no time of it changes."""
        row.deleted = None
        self._log(row, actor, "submission.restore", {"instanceId": row.id})

    def comment(self, row: Submission, actor: Actor, text: str) -> None:
        """A remark; it changes nothing of the submission."""
        row.comments.insert(0, (text, actor, self.clock()))

    def tag(self, rows: Sequence[Submission]) -> str:
        """What changes when one of *rows* or their order does: zeros when there is none."""
        if not rows:
            return "0" * 32
        events = ",".join(str(row.event) for row in rows)
        return hashlib.md5(events.encode(), usedforsecurity=False).hexdigest()

    def _open(self, actor: Actor, expires: datetime) -> Session:
        session = Session(actor, new_token(), self.clock(), expires)
        self.sessions[session.token] = session
        return session

    def _definition(self, xform: XForm) -> Definition:
        return Definition(xform, self.clock(), draft_token=new_token())

    def _publish(self, form: Form, now: datetime) -> None:
        draft = form.definitions[-1]
        draft.published, draft.draft_token = now, None

    def _new(self, form: Form, definition: Definition, sent: Sent, *, committed: bool) -> Submission:
        now = self.clock()
        version = self._version(definition, sent, now, {})
        row = Submission(next(self._numbers), version.id, now, [version], committed=committed)
        form.submissions[row.id] = row
        self._log(row, sent.actor, "submission.create", {"instanceId": row.id, "submissionDefId": version.number})
        return row

    def _version(self, definition: Definition, sent: Sent, now: datetime, before: dict[str, File]) -> Version:
        files = {name: before.get(name, File()) for name in sent.record.files(definition.xform)}
        files = {name: File(file.data, file.media_type) for name, file in files.items()}
        _fill(files, sent)
        version_id = sent.record.meta("instanceID") or str(uuid.uuid4())
        return Version(
            next(self._versions), sent.record, version_id, sent.actor, now, sent.device, sent.agent, files,
            definition.xform.version,
        )  # fmt: skip

    def _more_files(self, known: tuple[Submission, Version], sent: Sent) -> Submission:
        row, version = known
        if row.deleted:
            raise Rejected(409.17, _DELETED)
        if version.record.xml != sent.record.xml:
            raise Rejected(409.1, _OTHER_XML)
        _fill(version.files, sent)
        return row

    def _log(
        self, row: Submission, actor: Actor | None, action: str, details: dict[str, object], notes: str | None = None
    ) -> None:
        row.event = next(self._events)
        row.audits.insert(0, Audit(actor, action, self.clock(), {**details, "submissionId": row.number}, notes))


def _fill(files: dict[str, File], sent: Sent) -> None:
    for name, (data, media_type) in sent.files.items():
        if name in files:
            files[name].data, files[name].media_type = data, media_type


_CLOSED = "This form is not currently accepting submissions. Please talk to your program staff if this is unexpected."
_DELETED = "This submission has been deleted. You may not resubmit it."
_OTHER_XML = (
    "A submission already exists with this ID, but with different XML. Resubmissions to attach additional multimedia "
    "must resubmit an identical xml_submission_file."
)
_OUT_OF_DATE = (
    "You tried to update a submission, but the copy you were editing ({}) is now out of date. Please get the new "
    "version that has been submitted, and make your edits again."
)
_NO_SUCH = "You tried to update an existing submission, but we can't find that submission to update ({})"
