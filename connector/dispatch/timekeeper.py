"""Sees that the clock jumped, or that nothing ran for a while, so that neither parks, delays nor lets anything go.

A clock is set by hand, falls back to 1970 when a battery is empty, and stands still while a machine sleeps. Consents
and agreements are judged by it; retries are not: they count the time that passed while Silah could try.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from connector.pipeline import Pipeline

log = logging.getLogger("silah.dispatch")

LOOKS_EVERY = 30.0  # seconds
_JUMP = timedelta(minutes=1)
_DAY = timedelta(days=1)
_NOT_YET = "consent.not_yet"  # the one refusal that ends by waiting: the consent's first day


class Timekeeper:
    """Compares the clock with the seconds that passed. One process of a node asks it.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, pipeline: Pipeline, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pipeline, self._ledger, self._monotonic = pipeline, pipeline.ledger, monotonic
        self._last: tuple[datetime, float] | None = None
        self._day_began: datetime | None = None

    def look(self) -> timedelta:
        """What the clock gained or lost beside the time that passed since the last look; zero when it keeps time.

        The first look of a process compares with the last sign of life of the one before it.
        """
        now, seconds = self._ledger.now(), self._monotonic()
        gap = self._gap(now, seconds)
        self._last = (now, seconds)
        if gap:
            log.warning("clock.jumped: by %.0f s, or nothing ran for so long", gap.total_seconds())
            self._ledger.time_jumped(gap)
        self._pipeline.reconsider(always=gap < timedelta(0))
        if gap or self._day_began is None or now - self._day_began >= _DAY:
            self._day_began = now
            self._ledger.look_again(_NOT_YET)
        self._ledger.seen()
        return gap

    def _gap(self, now: datetime, seconds: float) -> timedelta:
        if self._last is None:
            gap = now - (self._ledger.seen_at() or now)
        else:
            gap = now - self._last[0] - timedelta(seconds=seconds - self._last[1])
        return gap if abs(gap) > _JUMP else timedelta(0)
