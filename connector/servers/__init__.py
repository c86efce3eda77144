"""Where submissions come from. One file knows everything about one form server; this is what they all promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.model import JSON, AttachmentRef, Bell, Listed, Review, Submission


@dataclass(frozen=True, slots=True)
class Rights:
    """What our account may see of a form. *whole* is False when it sees only some rows or none.

    *mark* is the same as long as the rights are the same.
    """

    whole: bool
    mark: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was taken from an account whose phone is lost, and what could not be.

    *senders* are the names under which the server's submissions tell of that account (`Submission.sender`); *taken*
    counts rights or tokens that were taken now; *left* are codes of what stays open, each with its section in
    docs/errors.md.
    """

    senders: tuple[str, ...]
    taken: int
    left: tuple[str, ...] = ()


class FormServer(Protocol):
    """A form server as the flow sees it. Every method but `bell` calls the server and raises `ServerError`."""

    name: str

    def bell(self, body: JSON) -> Bell:
        """The ids in a webhook's body; raises `NotASubmission`."""

    def own_account(self) -> str | None:
        """The name of the account we use there: its reviews are ours, not a person's."""

    def rights(self, form_id: str) -> Rights:
        """What we may see of this form now."""

    def listing(self, form_id: str, after: int = -1) -> Iterator[list[Listed]]:
        """The whole list, or what stands *after* an order, page by page in ascending order, without answers."""

    def read(self, form_id: str, orders: Sequence[int]) -> list[Submission]:
        """These submissions with their answers; those that are gone are left out."""

    def read_root(self, form_id: str, root_id: str) -> Submission | None:
        """One submission by its root id, or by the id of its current version where that is all a bell can tell."""

    def attachment(self, form_id: str, order: int, attachment: AttachmentRef) -> bytes:
        """The file's bytes."""

    def delete(self, form_id: str, orders: Sequence[int]) -> None:
        """Removes these submissions from the server for good, for emptying it after delivery."""

    def review_of(self, form_id: str, order: int) -> Review:
        """What stands there now as a person's (or our own) word on a submission."""

    def set_on_hold(self, form_id: str, order: int, *, on_hold: bool) -> None:
        """Marks a submission as on hold, or takes that mark away. A person's decision is never written by us."""

    def senders(self, account: str) -> tuple[str, ...]:
        """The names under which submissions tell of *account* (`Submission.sender`); none when nobody is called that."""

    def revoke(self, account: str) -> Revoked:
        """Takes *account*'s way in to our forms, as far as the server's interface allows. Doing it again is harmless."""
