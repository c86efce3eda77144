"""What central-webhook tells of an ODK Central: a trigger inside its database, not a part of Central itself.

It posts before the change can be read, makes whoever sent it wait for the answer, and never tries again. A review
state that a submission had before is not told a second time, edits and deletions never are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import requests

Post = Callable[..., requests.Response]

_WAIT_SECONDS = 30


@dataclass
class HookPoster:
    """Posts to one address with one secret; does nothing as long as no address is set."""

    post: Post = requests.post
    url: str | None = None
    api_key: str = ""
    _told: set[tuple[str, str | None]] = field(default_factory=set)

    def new_submission(self, instance_id: str, xml: str) -> None:
        """A submission that was never there before."""
        self._send("submission.create", instance_id, {"xml": xml})

    def review(self, version_id: str, state: str | None) -> None:
        """A new review state; the submission is named by its current version."""
        if (version_id, state) not in self._told:
            self._told.add((version_id, state))
            self._send("submission.update", version_id, {"reviewState": state})

    def _send(self, kind: str, thing: str, data: dict[str, str | None]) -> None:
        if self.url is None:
            return
        headers = {"X-API-Key": self.api_key}
        try:
            self.post(self.url, json={"type": kind, "id": thing, "data": data}, headers=headers, timeout=_WAIT_SECONDS)
        except requests.RequestException:
            return  # the event is lost, the submission is not
