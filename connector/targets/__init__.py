"""Where records go. One file knows everything about one kind of system; this is what they all promise.

A target takes a `Release` and nothing else. It answers with a `Receipt` or raises `TargetError`, never anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from connector.disclosure import Release
from connector.model import Progress, Receipt

# What makes a repeated delivery harmless at this kind of target; the dashboard shows it.
Effect = Literal["key honoured", "upsert", "lookup first", "at least once"]

# What a delivered withdrawal means at this kind of target: the record is gone there, it can only be switched off, or
# whoever runs the system was told and it is their duty now.
Removal = Literal["removed", "disabled", "told"]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a target can be reached with what we have: `ok`, or a code and what to do."""

    ok: bool
    code: str = ""
    next_step: str = ""


class Target(Protocol):
    """A system that receives. It may be called from several threads at once, never twice at once for one record."""

    name: str
    effect: Effect
    removal: Removal

    def deliver(self, release: Release) -> Receipt:
        """Makes the target hold (or remove) the release, once per `release.key`; raises `TargetError`."""

    def check(self) -> Health:
        """Looks whether a delivery could succeed, without one."""


Remembered = tuple[str, int, str]
"""What the ledger knows that a target holds of a record: its key, its version, the target's own number of it."""


@runtime_checkable
class Foretelling(Protocol):
    """A target that can say beforehand what its other side would not keep."""

    def foretell(self, release: Release) -> Sequence[str]:
        """The fields that would be dropped; nothing is written. Raises `TargetError`."""


@runtime_checkable
class Gathering(Protocol):
    """A target that lets deliveries wait for one another."""

    def hurry(self) -> None:
        """Nothing waits any more: the process is about to end."""


@runtime_checkable
class Answering(Protocol):
    """A target in which cases go on, and which can be asked how. What its webhooks say is a hint and is read back."""

    def heard(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:
        """Its own numbers of the records that a webhook names.

        Raises:
            NotAuthentic: the secret is not there or not right.
            NotASubmission: it names no record.
        """

    def changed(self, since: datetime) -> Sequence[tuple[str, str]]:
        """(its own number, its mark of the last change) of what changed after *since*; raises `TargetError`."""

    def progress(self, kind: str, external_id: str) -> Progress:
        """How that record goes on; raises `TargetError`."""
