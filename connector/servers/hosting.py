"""What publishing needs of a form server: its projects as they are, and the few things that may be done to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from forms.compiler import Sheet
from forms.differences import Rows
from forms.tables import Build


@dataclass(frozen=True, slots=True)
class Media:
    """A file beside a form. *digest* is the md5 of its bytes in hex as form servers state it, or empty."""

    ref: str
    name: str
    digest: str
    added_at: datetime | None


@dataclass(frozen=True, slots=True)
class Project:
    """A form on a server, as our account sees it.

    Args:
        ref: its name under `[servers.<name>.forms]`.
        note: the free text that admins see beside the project; ours stands in it.
        rows: the newest version's sheets; None when they cannot be had.
        content: changes whenever the newest version's questions change.
        deployed_content: that of the version which is before devices; None when none is.
        version: the version string that the form itself states.
        version_ref: the server's name for the newest version.
    """

    ref: str
    title: str
    note: str
    state: Literal["draft", "deployed", "archived"]
    rows: Rows
    content: str
    deployed_content: str | None
    version: str
    version_ref: str
    deployed_ref: str | None
    deployed_at: datetime | None
    media: tuple[Media, ...]
    encrypted: bool
    submissions: int
    rights: frozenset[str]


@dataclass(frozen=True, slots=True)
class Doorbell:
    """A hook that rings at new submissions. *fields* is what it sends; empty means every answer."""

    name: str
    endpoint: str
    active: bool
    fields: tuple[str, ...]
    header: tuple[str, str] | None
    plain: bool = True


@dataclass(frozen=True, slots=True)
class HungDoorbell:
    """A hook as it hangs on the server."""

    ref: str
    bell: Doorbell


@dataclass(frozen=True, slots=True)
class Prepared:
    """A form as a server takes it.

    Args:
        content: the file that goes up.
        tables: 16 hex digits, the same for the same tables whatever dates a file carries.
        rows: the form as the server will show it, to be compared with what is there.
    """

    content: bytes
    tables: str
    rows: Rows


class FormHost(Protocol):
    """The management side of a form server. Every method calls it and raises `ServerError`.

    Attributes:
        rings: whether hooks can be registered.
        versions_once: whether a version string is taken once for all, and a change of media needs a new one too.
    """

    name: str
    build: Build
    rings: bool
    versions_once: bool

    def prepared(self, form_id: str, sheets: Mapping[str, Sheet]) -> Prepared:
        """The form in this server's own format; calls nobody. Raises `FormError` when it cannot be converted."""

    def account(self) -> str:
        """Who we are there."""

    def submission_url(self) -> str:
        """Where devices send records, which an encrypted form states; empty where devices know it anyhow."""

    def project(self, ref: str) -> Project | None:
        """One project; None when it is not there or not for us to see."""

    def notes(self) -> Iterator[tuple[str, str]]:
        """(ref, note) of every project that we can see."""

    def put_form(self, title: str, form: Prepared, ref: str | None) -> str:
        """Makes a project of a form, or its next version where *ref* is given; devices see nothing of it yet."""

    def put_note(self, ref: str, note: str) -> None:
        """Writes the project's free text, where the server has one."""

    def put_media(self, ref: str, name: str, content: bytes, old: Media | None) -> None: ...

    def deploy(self, project: Project) -> None:
        """Puts the newest version and its media before devices. When it is refused the earlier version stays."""

    def doorbells(self, ref: str) -> list[HungDoorbell]: ...

    def hang(self, ref: str, bell: Doorbell, old: HungDoorbell | None) -> None: ...

    def readers(self, ref: str) -> dict[str, frozenset[str]]:
        """Account → what it may do in the project."""

    def let_read(self, ref: str, account: str, right: str) -> None: ...
