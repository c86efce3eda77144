"""Who may do what on one project: KoboToolbox's permissions, what each implies, and partial ones that filter rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Filters: TypeAlias = tuple[Mapping[str, object], ...]

ANONYMOUS = "AnonymousUser"
OWNERS = (
    *("add_submissions", "change_asset", "change_submissions", "delete_submissions", "manage_asset"),
    *("validate_submissions", "view_asset", "view_submissions"),
)
LABELS: dict[str, object] = {
    "view_asset": "View form",
    "change_asset": "Edit form",
    "manage_asset": "Manage project",
    "add_submissions": "Add submissions",
    "view_submissions": "View submissions",
    "partial_submissions": {
        "default": "Act on submissions only from specific users",
        "view_submissions": "View submissions only from specific users",
        "change_submissions": "Edit submissions only from specific users",
        "delete_submissions": "Delete submissions only from specific users",
        "validate_submissions": "Validate submissions only from specific users",
    },
    "change_submissions": "Edit submissions",
    "delete_submissions": "Delete submissions",
    "validate_submissions": "Validate submissions",
}
_IMPLIED: dict[str, tuple[str, ...]] = {
    "change_asset": ("view_asset",),
    "view_submissions": ("view_asset",),
    "partial_submissions": ("view_asset",),
    "change_submissions": ("view_asset", "view_submissions", "add_submissions"),
    "delete_submissions": ("view_asset", "view_submissions"),
    "validate_submissions": ("view_asset", "view_submissions"),
    "manage_asset": tuple(name for name in OWNERS if name != "manage_asset"),
}
_ROWS = ("view_submissions", "change_submissions", "delete_submissions", "validate_submissions")


@dataclass
class Assignment:
    """One permission of one user; *partial* holds the filters of each row permission, for `partial_submissions` only."""

    uid: str
    user: str
    codename: str
    partial: dict[str, Filters] = field(default_factory=dict)


class Rights:
    """All assignments of one project, owner's included."""

    def __init__(self, owner: str, new_uid: Iterator[str]) -> None:
        self._owner = owner
        self._new_uid = new_uid
        self._held: dict[tuple[str, str], Assignment] = {}
        for codename in OWNERS:
            self._hold(owner, codename)

    def grant(
        self, user: str, codename: str, partial: Mapping[str, Filters] | None = None
    ) -> tuple[Assignment, list[str]]:
        """Gives *codename* with all it implies; returns the assignment and what is new, sorted.

        A partial permission replaces the full ones on rows, and the other way round.
        """
        for other in _contradicting(codename):
            self._held.pop((user, other), None)
        wanted = {codename, *_IMPLIED.get(codename, ())}
        if partial and "change_submissions" in partial:
            wanted.add("add_submissions")
        added = sorted(name for name in wanted if (user, name) not in self._held)
        for name in added:
            self._hold(user, name)
        held = self._held[user, codename]
        held.partial = _with_implied(partial or {})
        return held, added

    def revoke(self, uid: str) -> list[str]:
        """Takes the assignment *uid* and whatever depends on it; returns what was taken, or nothing when unknown."""
        found = next((held for held in self._held.values() if held.uid == uid), None)
        if found is None:
            return []
        gone = [
            name
            for (user, name) in self._held
            if user == found.user and (name == found.codename or found.codename in _IMPLIED.get(name, ()))
        ]
        for name in gone:
            del self._held[found.user, name]
        return sorted(gone)

    def revoke_all(self, user: str) -> None:
        """Takes everything that *user* holds."""
        self._held = {(holder, name): held for (holder, name), held in self._held.items() if holder != user}

    def has(self, user: str, codename: str) -> bool:
        """Whether *user* holds it, fully or for some rows."""
        if codename == "delete_asset":
            return user == self._owner
        holders = {user, ANONYMOUS}
        return any((holder, codename) in self._held for holder in holders) or self.filters(user, codename) is not None

    def filters(self, user: str, codename: str) -> Filters | None:
        """The conditions of a partial permission, any of which a row must meet; None when it is not partial."""
        partial = self._held.get((user, "partial_submissions"))
        if partial is None or (user, codename) in self._held or (ANONYMOUS, codename) in self._held:
            return None
        return partial.partial.get(codename)

    def effective(self, user: str) -> list[str]:
        """The codenames that *user* holds, as an asset states them to the caller."""
        names = [name for (holder, name) in self._held if holder == user]
        return [*names, "delete_asset"] if user == self._owner else names

    def visible_to(self, user: str | None) -> list[Assignment]:
        """Those who manage the project see all assignments, others their own, the owner's and the public's."""
        everyone = sorted(self._held.values(), key=lambda held: (held.user, held.codename))
        if user is not None and self.has(user, "manage_asset"):
            return everyone
        return [held for held in everyone if held.user in (user, self._owner, ANONYMOUS)]

    def find(self, uid: str) -> Assignment | None:
        """The assignment with this uid."""
        return next((held for held in self._held.values() if held.uid == uid), None)

    @property
    def status(self) -> str:
        """`private`, `shared` or `public`."""
        viewers = {user for (user, name) in self._held if name == "view_asset"}
        if ANONYMOUS in viewers:
            return "public"
        return "shared" if viewers - {self._owner} else "private"

    def _hold(self, user: str, codename: str) -> None:
        self._held[user, codename] = Assignment(next(self._new_uid), user, codename)


def _contradicting(codename: str) -> Sequence[str]:
    if codename == "partial_submissions":
        return _ROWS
    return ("partial_submissions",) if codename in _ROWS else ()


def _with_implied(partial: Mapping[str, Filters]) -> dict[str, Filters]:
    """Whoever may act on a row may see it."""
    seen = dict.fromkeys(str(condition) for filters in partial.values() for condition in filters)
    by_text = {str(condition): condition for filters in partial.values() for condition in filters}
    return {**partial, "view_submissions": tuple(by_text[text] for text in seen)} if partial else {}
