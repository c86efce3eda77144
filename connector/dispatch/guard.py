"""How fast one target is asked: its rate, and a circuit breaker for one that is down.

After some failures in a row the target is probed by one delivery at a time, each time after a longer rest; the first
success opens the door again. Deliveries that are not tried meanwhile stay due and lose no time of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_PATIENCE = 5  # failures in a row before the target is only probed
_FIRST_REST, _LONGEST_REST = 1.0, 60.0  # seconds between probes


class Guard:
    """Asked before deliveries are begun, told what became of them. Safe for threads.

    Args:
        rate: deliveries a second, or None for no limit; a second's worth may go at once.
        monotonic: seconds that only grow: no change of the clock opens or shuts the door.
    """

    def __init__(self, rate: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._now = rate, monotonic
        self._most = max(1.0, rate or 0)
        self._tokens, self._counted_at = self._most, monotonic()
        self._failures = 0
        self._probe_at = 0.0
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """How many of *wanted* deliveries may begin now; they count as begun."""
        with self._lock:
            allowed = min(wanted, self._by_rate())
            if allowed > 0 and self._failures >= _PATIENCE:
                allowed = self._probe()
            if self._rate is not None:
                self._tokens -= allowed
            return allowed

    def give_back(self, unused: int) -> None:
        """Fewer were there than `take` allowed."""
        with self._lock:
            if self._rate is not None:
                self._tokens = min(self._most, self._tokens + unused)
            if unused and self._failures >= _PATIENCE:
                self._probe_at = 0.0

    def tell(self, outcome: str) -> None:
        """*outcome* of an attempt: `due` is a failure that will be tried again; `delivered` and `parked` are answers."""
        with self._lock:
            if outcome == "due":
                self._failures += 1
            elif outcome in {"delivered", "parked"}:
                self._failures = 0

    @property
    def shut(self) -> bool:
        """Whether the target is only probed."""
        return self._failures >= _PATIENCE

    def _by_rate(self) -> int:
        if self._rate is None:
            return 1_000_000
        now = self._now()
        self._tokens = min(self._most, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
        return int(self._tokens)

    def _probe(self) -> int:
        now = self._now()
        if now < self._probe_at:
            return 0
        rest = _FIRST_REST * 2 ** min(self._failures - _PATIENCE, 10)
        self._probe_at = now + min(rest, _LONGEST_REST)
        return 1
