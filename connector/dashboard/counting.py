"""Numbers that take a while to count in a large ledger: counted beside the pages, never by one that somebody waits for.

A page gets the newest count and says when it was made. In a small ledger it is made anew each time; the longer a count
takes the longer it holds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from connector.errors import SilahError

log = logging.getLogger("silah.dashboard")

T = TypeVar("T")
_PATIENCE = 0.05  # seconds that a page waits for a count that has begun
_HOLDS = 20  # times as long as it took


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """What was counted, and when."""

    value: T
    at: datetime


class Counting(Generic[T]):
    """One count of a node.

    Args:
        count: the work; may take seconds.
        now: the clock of the ledger.
    """

    def __init__(self, count: Callable[[], T], now: Callable[[], datetime]) -> None:
        self._count, self._now = count, now
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._going = False
        self._until = 0.0
        self._newest: Counted[T] | None = None

    def newest(self) -> Counted[T] | None:
        """The newest count; None when the first is not through yet."""
        with self._lock:
            if not self._going and time.monotonic() >= self._until:
                self._going = True
                self._done = threading.Event()
                threading.Thread(target=self._run, name="counting", daemon=True).start()
            done = self._done
        done.wait(_PATIENCE)
        return self._newest

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            self._newest = Counted(self._count(), self._now())
        except SilahError as error:
            log.warning("%s while counting: %s", error.code, error.next_step)
        except Exception as error:  # noqa: BLE001 (a thread must not die unheard; values may not be told)
            log.error("unexpected %s while counting", type(error).__name__)  # noqa: TRY400
        with self._lock:
            self._until = time.monotonic() + (time.monotonic() - begun) * _HOLDS
            self._going = False
        self._done.set()
