"""Publishing forms: what would change on a server, doing it, and what stands there now.

    publisher = Publisher(host, …)
    plan = publisher.plan("tracing_request")      # looks, changes nothing
    done = publisher.carry_out(plan)              # every step is taken only where it is needed: twice changes nothing

A project that we published says so in its description: which form and version, a hash of what we sent and a hash of
what the server made of it. So any machine knows whether the tables are newer and whether somebody edited the form on
the server, and an interrupted publication goes on where it stopped. Nothing of this is kept here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from connector.config import Server
from connector.errors import Refused
from connector.servers.hosting import Doorbell, FormHost, HungDoorbell, Media, Prepared, Project
from forms import linter
from forms.compiler import Sheet, media_files, sheets
from forms.differences import Change, compare
from forms.errors import FormError
from forms.packs import DEMO
from forms.tables import FORMS, FormDefinition, load
from forms.tables import form_ids as known_forms
from forms.training import for_training, training_title

RING_FIELDS = ("_id", "_uuid", "meta/rootUuid", "_xform_id_string")
"""All that a hook sends: ids. What counts is read back."""
READING_RIGHTS = ("view_submissions", "validate_submissions")
"""All that the connector's own account needs: to read, and to write the state back."""
_BELL_NAME = "Silah"
_SECRET_HEADER = "X-Silah-Token"  # noqa: S105 (the name of a header)
_RSA_BITS = 2048
_NOTE = re.compile(
    r"Silah: (?P<form>[a-z_]+)(?P<training> for training)?, version (?P<version>\S+) "
    r"\(tables (?P<tables>[0-9a-f]{16}), server (?P<content>[0-9a-f]{12})\)"
)


@dataclass(frozen=True)
class Wanted:
    """A form as it should stand on the server."""

    form: FormDefinition
    prepared: Prepared
    media: Mapping[str, bytes]
    training: bool

    @property
    def tables(self) -> str:
        """The same for the same tables."""
        return self.prepared.tables

    @property
    def title(self) -> str:
        title = self.form.title(self.form.language)
        return training_title(title) if self.training else title

    def note(self, content: str) -> str:
        kind = " for training" if self.training else ""
        return f"Silah: {self.form.form_id}{kind}, version {self.form.version} (tables {self.tables}, server {content[:12]})"


@dataclass(frozen=True)
class Noted:
    """What a project's description says of the form that we published there."""

    form: str
    training: bool
    version: str
    tables: str
    content: str


@dataclass(frozen=True)
class Plan:
    """What publishing would do; `carry_out` does it.

    Args:
        project: what stands there now, None for a new project.
        changes: from what devices have to what they would have.
        put_form: the form goes up. *media*: name → the file it replaces. *deploy*: devices get it.
        hang: the hook as it should be and the one to mend. *silence*: hooks that ring at our door a second time.
        let_read: rights that our reading account lacks.
    """

    wanted: Wanted
    project: Project | None
    changes: tuple[Change, ...] = ()
    put_form: bool = True
    media: Mapping[str, Media | None] = field(default_factory=dict)
    deploy: bool = True
    hang: tuple[Doorbell, HungDoorbell | None] | None = None
    silence: tuple[HungDoorbell, ...] = ()
    let_read: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def breaking(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.breaks)

    @property
    def steps(self) -> tuple[str, ...]:
        """What would be done, in order, for a person."""
        version = self.wanted.form.version
        first = "make a project of" if self.project is None else "put up"
        told = [f"{first} the form, version {version}"] if self.put_form else []
        told += [f"{'replace' if old else 'add'} {name}" for name, old in self.media.items()]
        told += ["deploy it" if self.project is None or not self.project.deployed_ref else "redeploy it"] * self.deploy
        if self.hang:
            told.append("mend the hook" if self.hang[1] else "register the hook (ids only)")
        told += [f"switch off the second hook {bell.bell.name!r}" for bell in self.silence]
        return (*told, *(f"give our reading account the right {right}" for right in self.let_read))


@dataclass(frozen=True)
class Published:
    """What was done. *line* is for `[servers.<name>.forms]` of silah.toml, None when it stands there or must not."""

    ref: str
    steps: tuple[str, ...]
    line: str | None


@dataclass(frozen=True)
class Standing:
    """What stands on a server of one form.

    Args:
        tables: `same`, `newer` or `differs`: ours against what the server has.
        hook: `ok`, `none`, `off`, `sends answers`, `wrong secret`, `not wanted` or `not visible`.
        media: file → `ok`, `missing`, `differs` or `filled by the connector`.
        findings: codes of what is not in order.
    """

    server: str
    form: str
    training: bool
    ref: str
    state: str
    version: str = ""
    local_version: str = ""
    deployed: str | None = None
    deployed_at: str | None = None
    tables: Literal["same", "newer", "differs", ""] = ""
    encrypted: bool = False
    submissions: int = 0
    hook: str = ""
    other_hooks: int = 0
    media: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()


class Publisher:
    """Publishes to one server.

    Args:
        config: the server's table in silah.toml. *public_url* is our own address, for hooks.
        reader: the account that our reading token belongs to.
        root: the folder of the tables. *pack*: the country pack that is laid over them.
    """

    def __init__(
        self,
        host: FormHost,
        config: Server,
        *,
        public_url: str | None,
        reader: str | None = None,
        root: Path = FORMS,
        pack: str = DEMO,
    ) -> None:
        self._host = host
        self._config = config
        self._public_url = public_url.rstrip("/") if public_url else None
        self._reader = reader
        self._root = root
        self._pack = pack

    @property
    def server(self) -> str:
        """The server's name in silah.toml."""
        return self._host.name

    def plan(self, form_id: str, *, key: str | None = None, training: bool = False) -> Plan:
        """What publishing *form_id* would do now.

        Args:
            key: the society's public key as `read_public_key` gives it; devices encrypt to it.

        Raises:
            FormError: the tables do not pass `silah forms check`.
            Refused: the project cannot be told, or is not for this account or this purpose.
            ServerError: the server does not answer as it should.
        """
        check_form(form_id, self._root, self._pack)
        wanted = self._wanted(self._form(form_id), self._encryption(key), training=training)
        project = self._project(form_id, training=training)
        media = _media_steps(wanted, project)
        if project is None:
            return self._with_rights(Plan(wanted, None, media=media, hang=self._hanging((), training)[0]))
        self._may_change(project)
        noted = read_note(project.note)
        put_form = noted is None or noted.tables != wanted.tables or not project.content.startswith(noted.content)
        put_form = put_form or (self._host.versions_once and bool(media))
        hang, silence = self._hanging(self._host.doorbells(project.ref), training)
        plan = Plan(
            wanted,
            project,
            changes=tuple(_changes(wanted, project, noted, put_form=put_form, once=self._host.versions_once)),
            put_form=put_form,
            media=media,
            deploy=put_form or bool(media) or _is_behind(project),
            hang=hang,
            silence=silence,
        )
        return self._with_rights(plan)

    def carry_out(self, plan: Plan, *, force: bool = False) -> Published:
        """Does what *plan* says. What is refused halfway leaves the earlier version before devices.

        Raises:
            Refused: the plan breaks something and nobody insists.
            ServerError: the server refused a step.
        """
        if plan.breaking and not force:
            told = f"{len(plan.breaking)} changes to {plan.wanted.form.form_id}"
            raise Refused("publish.breaks", told, "Keep what is in use (add beside it), or insist with --force.")
        project = self._put(plan) if plan.put_form else plan.project
        if project is None:
            raise Refused("publish.nothing_there", plan.wanted.form.form_id, "Plan again.")
        for name, old in plan.media.items():
            self._host.put_media(project.ref, name, plan.wanted.media[name], old)
        if plan.deploy:
            self._host.deploy(project)
        self._ring(plan, project.ref)
        for right in plan.let_read:
            self._host.let_read(project.ref, str(self._reader), right)
        return Published(project.ref, plan.steps, self._line(plan, project.ref))

    def _put(self, plan: Plan) -> Project:
        """Imports the form and writes our note before anything is deployed, so that a later try knows of it."""
        known = plan.project.ref if plan.project else None
        ref = self._host.put_form(plan.wanted.title, plan.wanted.prepared, known)
        imported = self._seen(ref)
        self._host.put_note(ref, with_note(imported.note, plan.wanted.note(imported.content)))
        return self._seen(ref)

    def _seen(self, ref: str) -> Project:
        project = self._host.project(ref)
        if project is None:
            raise Refused("publish.vanished", f"project {ref}", "Somebody took it away while we published; try again.")
        return project

    def _ring(self, plan: Plan, ref: str) -> None:
        if plan.hang:
            self._host.hang(ref, *plan.hang)
        for second in plan.silence:
            self._host.hang(ref, replace(second.bell, active=False), second)

    def _line(self, plan: Plan, ref: str) -> str | None:
        form_id = plan.wanted.form.form_id
        if plan.wanted.training or self._config.forms.get(form_id) == ref:
            return None
        return f'{form_id} = "{ref}"'

    def _wanted(self, form: FormDefinition, encryption: Mapping[str, str], *, training: bool) -> Wanted:
        """The form with these cells on its settings sheet."""
        made = sheets(form, self._host.build)
        if training:
            made = for_training(form, made)
        made = {**made, "settings": _with_cells(made["settings"], encryption)}
        return Wanted(form, self._host.prepared(form.form_id, made), media_files(form), training)

    def _form(self, form_id: str) -> FormDefinition:
        return load(form_id, self._root, self._pack)

    def _encryption(self, key: str | None) -> dict[str, str]:
        """The settings with which devices encrypt to *key*."""
        cells = {"public_key": key, "submission_url": self._host.submission_url() if key else ""}
        return {name: text for name, text in cells.items() if text}

    def _project(self, form_id: str, *, training: bool) -> Project | None:
        """Where the form stands: as configured, else by our note. A training project is found by its note alone."""
        ref = None if training else self._config.forms.get(form_id)
        if ref is None:
            found = [known for known, note in self._host.notes() if _is_of(note, form_id, training=training)]
            if len(found) > 1:
                advice = f"Name the right one under [servers.{self._host.name}.forms], and take the others away."
                raise Refused("publish.several", f"{form_id}: {', '.join(found)}", advice)
            return self._host.project(found[0]) if found else None
        project = self._host.project(ref)
        where = f"`{form_id}` under [servers.{self._host.name}.forms]"
        if project is None:
            advice = "It is not there or not for this account: mend the name, or name an editor's token by --token-env."
            raise Refused("publish.no_project", where, advice)
        if _is_training(project):
            advice = "That is a training project: records of it reach nobody. Take the line away and publish again."
            raise Refused("publish.training_project", where, advice)
        return project

    def _may_change(self, project: Project) -> None:
        missing = {"change_asset", "view_submissions"} - project.rights
        if missing:
            where = f"project {project.ref} as {self._host.account()}: no {' and no '.join(sorted(missing))}"
            advice = "The connector's own account only reads. Publish with an editor's token: --token-env NAME."
            raise Refused("publish.no_right", where, advice)

    def _hanging(
        self, bells: Sequence[HungDoorbell], training: bool
    ) -> tuple[tuple[Doorbell, HungDoorbell | None] | None, tuple[HungDoorbell, ...]]:
        """The hook that has to be registered or mended, and others that ring at our door too."""
        bell = None if training else self._bell()
        if bell is None:
            return None, ()
        ours = _ours(bells, bell)
        if not ours:
            return (bell, None), ()
        first, *others = ours
        hang = None if first.bell == bell else (bell, first)
        return hang, tuple(other for other in others if other.bell.active)

    def _bell(self) -> Doorbell | None:
        """Our hook; None when we have no address or secret to give, or the server has no hooks."""
        secret = self._config.secret("webhook_secret")
        if not self._public_url or not secret or not self._host.rings:
            return None
        endpoint = f"{self._public_url}/webhooks/{self._config.type}/{self._host.name}"
        return Doorbell(_BELL_NAME, endpoint, active=True, fields=RING_FIELDS, header=(_SECRET_HEADER, secret))

    def _with_rights(self, plan: Plan) -> Plan:
        """Adds what our reading account lacks, and what the admin should know."""
        notes = []
        if self._bell() is None and self._host.rings and not plan.wanted.training:
            notes.append("no hook: set `public_url` and the server's `webhook_secret_env`; until then Silah only pulls")
        if plan.wanted.training or not self._reader:
            return replace(plan, notes=tuple(notes))
        if self._reader == self._host.account():
            if plan.project is None:
                notes.append(
                    "the project will belong to the account that only has to read: better publish with --token-env"
                )
            return replace(plan, notes=tuple(notes))
        held = self._host.readers(plan.project.ref).get(self._reader, frozenset()) if plan.project else frozenset()
        lacking = tuple(right for right in READING_RIGHTS if right not in held)
        return replace(plan, let_read=lacking, notes=tuple(notes))

    def standing(self, form_ids: Sequence[str] = ()) -> Iterator[Standing]:
        """What stands on the server: every configured form, then projects of ours that nobody configured."""
        configured = {form: ref for form, ref in self._config.forms.items() if not form_ids or form in form_ids}
        tables = known_forms(self._root)
        for form, ref in configured.items():
            yield self._stands(form, ref, configured=True)
        for ref, note in self._host.notes():
            noted = read_note(note)
            named = noted is not None and noted.form in (form_ids or tables)
            if noted and named and ref not in self._config.forms.values():
                yield self._stands(noted.form, ref, configured=False)

    def _stands(self, form_id: str, ref: str, *, configured: bool) -> Standing:
        project = self._host.project(ref)
        if project is None:
            return Standing(self._host.name, form_id, False, ref, "not there", findings=("project_not_there",))
        training = _is_training(project)
        wanted = self._comparable(self._form(form_id), project, training=training)
        media = _media_states(wanted, project)
        hook, others = self._hook_state(project, training=training)
        standing = Standing(
            self._host.name,
            form_id,
            training,
            ref,
            project.state,
            project.version,
            wanted.form.version,
            project.deployed_ref,
            project.deployed_at.isoformat().replace("+00:00", "Z") if project.deployed_at else None,
            _against_tables(wanted, project),
            project.encrypted,
            project.submissions,
            hook,
            others,
            media,
        )
        return replace(standing, findings=tuple(_findings(standing, project, configured=configured)))

    def _comparable(self, form: FormDefinition, project: Project, *, training: bool) -> Wanted:
        """Ours with the key that the project has: that is no difference between the tables."""
        settings = next(iter(project.rows.get("settings", ())), {})
        cells = {name: settings[name] for name in ("public_key", "submission_url") if settings.get(name)}
        return self._wanted(form, cells, training=training)

    def _hook_state(self, project: Project, *, training: bool) -> tuple[str, int]:
        """How our hook hangs, and how many others there are."""
        if not {"change_asset", "view_submissions"} <= project.rights:
            return "not visible", 0
        bells = self._host.doorbells(project.ref)
        bell = None if training else self._bell()
        if bell is None:
            return "not wanted", len([one for one in bells if one.bell.active])
        ours = _ours(bells, bell)
        others = len([one for one in bells if one.bell.active and one not in ours])
        return _bell_state(ours[0].bell if ours else None, bell), others


def check_form(form_id: str, root: Path = FORMS, pack: str = DEMO) -> None:
    """Raises `FormError` with every finding of the linter: what it finds would reach devices."""
    found = linter.check(form_id, root, pack)
    if found:
        raise FormError("forms.not_publishable", form_id, "Mend what is listed; `silah forms check` shows it.", found)


def read_public_key(file: Path) -> str:
    """The public key in a PEM file, as forms carry it: base64 of its DER on one line.

    Raises:
        Refused: it is no RSA public key of 2 048 bits or more; a private key is refused by name.
    """
    pem = file.read_bytes()
    if b"PRIVATE KEY" in pem:
        advice = "Keep it away from this machine; `openssl rsa -in KEY.pem -pubout` makes the public key."
        raise Refused("publish.private_key", str(file), advice)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise Refused("publish.no_key", str(file), "Give an RSA public key in PEM.") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _RSA_BITS:
        raise Refused("publish.weak_key", str(file), f"Give an RSA public key of {_RSA_BITS} bits or more.")
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def read_note(note: str) -> Noted | None:
    """What we wrote into a project's description; None when it is not of ours."""
    match = _NOTE.search(note)
    if match is None:
        return None
    return Noted(match["form"], bool(match["training"]), match["version"], match["tables"], match["content"])


def with_note(text: str, note: str) -> str:
    """A description with our line put in or renewed; what people wrote stays."""
    if _NOTE.search(text):
        return _NOTE.sub(note, text, count=1)
    return f"{text}\n{note}".strip()


def _is_of(note: str, form_id: str, *, training: bool) -> bool:
    noted = read_note(note)
    return noted is not None and noted.form == form_id and noted.training is training


def _is_training(project: Project) -> bool:
    noted = read_note(project.note)
    return noted is not None and noted.training


def _with_cells(sheet: Sheet, cells: Mapping[str, str]) -> Sheet:
    """A settings sheet with these cells set."""
    row = {**dict(zip(sheet[0], sheet[1], strict=True)), **cells}
    return (tuple(row), tuple(row.values()))


def _changes(wanted: Wanted, project: Project, noted: Noted | None, *, put_form: bool, once: bool) -> Iterator[Change]:
    """What would change before devices; nothing is broken where no device ever had the form."""
    if project.state == "archived":
        yield Change(True, "archived", project.ref, "it was taken out of use; publishing would bring it back.")
    if not put_form:
        return
    changes = compare(project.rows, wanted.prepared.rows) if project.rows else []
    if changes and _was_edited(project, noted):
        told = "somebody changed the form on the server since it was published; that change would be lost."
        yield Change(True, "edited_on_server", project.ref, told)
    if project.deployed_ref and project.version == wanted.form.version and (changes or once):
        told = f"the form changed and still calls itself {project.version}; raise it in settings.toml."
        yield Change(once, "version_not_raised", "settings", told)
    for change in changes:
        yield change if project.deployed_ref else replace(change, breaks=False)


def _was_edited(project: Project, noted: Noted | None) -> bool:
    """Whether what is there is neither what we published nor what devices have."""
    if noted is not None:
        return not project.content.startswith(noted.content)
    return project.deployed_content is not None and project.deployed_content != project.content


def _is_behind(project: Project) -> bool:
    """Whether devices do not have the newest version with its media."""
    if project.state != "deployed" or project.deployed_content != project.content or project.deployed_at is None:
        return True
    return any(file.added_at is not None and file.added_at > project.deployed_at for file in project.media)


def _media_steps(wanted: Wanted, project: Project | None) -> dict[str, Media | None]:
    """Files to put up: name → the one there that it replaces."""
    there = {file.name: file for file in project.media} if project else {}
    states = _media_states(wanted, project)
    return {name: there.get(name) for name, state in states.items() if state in ("missing", "differs")}


def _media_states(wanted: Wanted, project: Project | None) -> dict[str, str]:
    there = {file.name: file for file in project.media} if project else {}
    return {name: _media_state(content, there.get(name)) for name, content in wanted.media.items()}


def _media_state(content: bytes, there: Media | None) -> str:
    """A list with its header alone is the connector's to fill: the filled one on the server is never emptied."""
    if there is None:
        return "missing"
    if there.digest in (hashlib.md5(content, usedforsecurity=False).hexdigest(), ""):
        return "ok"
    return "filled by the connector" if len(content.strip().splitlines()) <= 1 else "differs"


def _ours(bells: Sequence[HungDoorbell], bell: Doorbell) -> list[HungDoorbell]:
    """Hooks that ring at our door or carry our name, the one to keep first."""
    found = [one for one in bells if one.bell.endpoint == bell.endpoint or one.bell.name == bell.name]
    return sorted(found, key=lambda one: (one.bell != bell, one.bell.endpoint != bell.endpoint, not one.bell.active))


def _bell_state(hung: Doorbell | None, wanted: Doorbell) -> str:
    if hung is None:
        return "none"
    if not hung.active:
        return "off"
    if hung.endpoint != wanted.endpoint:
        return "wrong address"
    if set(hung.fields) != set(wanted.fields) or not hung.plain:
        return "sends answers"
    return "ok" if hung.header == wanted.header else "wrong secret"


def _against_tables(wanted: Wanted, project: Project) -> Literal["same", "newer", "differs"]:
    noted = read_note(project.note)
    if noted is not None and project.content.startswith(noted.content):
        same = noted.tables == wanted.tables
    else:
        same = not compare(project.rows, wanted.prepared.rows)
    if same:
        return "same"
    return "newer" if wanted.form.version > project.version else "differs"


def _findings(standing: Standing, project: Project, *, configured: bool) -> Iterator[str]:
    """Codes of what is not in order with a form that stands on a server."""
    if standing.training:
        if configured:
            yield "training_in_real_config"
        return
    if not configured:
        yield "not_in_silah_toml"
    if standing.state != "deployed":
        yield f"form_{standing.state}"
    elif _is_behind(project):
        yield "not_deployed_yet"
    if standing.tables != "same":
        yield f"tables_{'newer' if standing.tables == 'newer' else 'differ'}"
    if standing.hook not in ("ok", "not wanted", "not visible"):
        yield f"hook_{standing.hook.replace(' ', '_')}"
    yield from (f"media_{state}" for state in sorted(set(standing.media.values()) & {"missing", "differs"}))
