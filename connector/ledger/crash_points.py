"""Where the tests let the process die, as if it were killed; nothing of this is active unless they name a place."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from connector.config import environment

_VARIABLE = "SILAH_TEST_CRASH_AT"
_KILLED = 137


@dataclass(slots=True)
class CrashPoint:
    """One moment of one write: `before` it, `uncommitted` (written, not yet durable), `committed` (nobody was told).

    Written `moment:write`, or `moment:write:n` for the n-th time; *write* is the method's name, such as `store`.
    """

    moment: str
    write: str
    left: int = 1

    def pass_by(self, moment: str, writes: Collection[str]) -> None:
        if moment == self.moment and self.write in writes:
            self.left -= 1
            if self.left == 0:
                os._exit(_KILLED)


def crash_point() -> CrashPoint | None:
    """The one that the environment names."""
    named = environment(_VARIABLE)
    if not named:
        return None
    moment, write, *times = named.split(":")
    return CrashPoint(moment, write, int(times[0]) if times else 1)
