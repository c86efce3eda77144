"""The embedded tier's dispatcher: one process, one scheduler, a small pool of threads for each target.

A slow or dead target keeps only its own threads busy. For one submission and target never two attempts run at once.
Only one dispatcher may run on a data directory: the lock goes with the process, also when it is killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from connector.config import Target
from connector.dispatch.chores import Chores
from connector.dispatch.guard import Guard
from connector.dispatch.hands import Hands
from connector.errors import Refused, SilahError
from connector.ledger.flow import Due
from connector.pipeline import Pipeline

log = logging.getLogger("silah.dispatch")

_REST = 1.0  # seconds after the ledger could not be read or written
_AHEAD = 4  # deliveries taken for each thread of a target


class Lock:
    """The right to dispatch on a data directory."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = data_dir / "dispatcher.lock"
        self._file = self._path.open("a+")

    def take(self) -> None:
        """Raises `Refused` when another process dispatches here."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read(20).strip()
            advice = "Stop the other one first, or start this one with `--no-dispatch`."
            raise Refused(
                "dispatch.already_running", f"{self._path} (held by process {holder or 'unknown'})", advice
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


class Dispatcher:
    """Sends what is due and follows the bells, until `stop`."""

    def __init__(self, pipeline: Pipeline, *, on_parked: Callable[[Due], None] = lambda _: None) -> None:
        self.pipeline = pipeline
        self._on_parked = on_parked
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._chores = Chores(pipeline, self._stopping, self.wake)
        self.says = self._chores.says
        self._lanes = {name: _Lane(self, name, target) for name, target in pipeline.config.targets.items()}
        schedule = threading.Thread(
            target=self._chores.loop, args=(self._wake, self._schedule), name="dispatch", daemon=True
        )
        self._threads = [schedule, *self._chores.threads()]

    def start(self) -> None:
        self._chores.look_at_clock()
        for thread in self._threads:
            thread.start()

    def ring(self) -> None:
        """Something came in: look now."""
        self._chores.ring()

    def wake(self) -> None:
        """Something became due: look now."""
        self._wake.set()

    def stop(self, seconds: float = 8) -> None:
        """Takes nothing new and finishes what is in hand, for at most *seconds*; what is not finished stays due."""
        until = time.monotonic() + seconds
        self._stopping.set()
        self.wake()
        self.ring()
        for lane in self._lanes.values():
            lane.shut()
        self.pipeline.hurry()
        for lane in self._lanes.values():
            lane.close(until - time.monotonic())
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _schedule(self) -> bool:
        for lane in self._lanes.values():
            lane.fill()
        return False

    def attempt(self, delivery: Due) -> tuple[str, Future[None] | None]:
        outcome, written = self.pipeline.attempt_soon(delivery)
        if outcome == "parked":
            self._on_parked(delivery)
        return outcome, written


class _Lane:
    """One target's threads, and which submissions are in their hands."""

    def __init__(self, dispatcher: Dispatcher, name: str, target: Target) -> None:
        self._dispatcher, self._target, self._threads = dispatcher, name, target.concurrency
        self._hands = Hands(target.concurrency, f"to-{name}")
        self._guard = Guard(target.rate)
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._rests_until = 0.0

    def fill(self) -> None:
        """Takes what is due, up to what the threads can chew and the guard lets through."""
        with self._lock:
            room = self._threads * _AHEAD - len(self._busy)
            busy = frozenset(self._busy)
        if room <= self._threads or self._closed or time.monotonic() < self._rests_until:
            return
        allowed = self._guard.take(room)
        if not allowed:
            return
        due = self._dispatcher.pipeline.ledger.due(self._target, allowed, busy)
        self._guard.give_back(allowed - len(due))
        for delivery in due:
            with self._lock:
                if delivery.submission_id in self._busy:
                    continue
                self._busy.add(delivery.submission_id)
            self._hands.submit(partial(self._run, delivery))

    def _run(self, delivery: Due) -> None:
        written: Future[None] | None = None
        try:
            if not self._closed:
                outcome, written = self._dispatcher.attempt(delivery)
                self._guard.tell(outcome)
        except SilahError as error:
            self._rest(error)
        except Exception as error:  # noqa: BLE001 (the delivery stays due; values may not be told)
            log.error("unexpected %s at target %s", type(error).__name__, self._target)  # noqa: TRY400
        if written is None:
            self._free(delivery)
        else:
            written.add_done_callback(partial(self._noted, delivery))

    def _noted(self, delivery: Due, written: Future[None]) -> None:
        """The note that it arrived is on the disk; if it could not be made the target is asked again, with the same key."""
        error = written.exception()
        if isinstance(error, SilahError):
            self._rest(error)
        self._free(delivery)

    def _rest(self, error: SilahError) -> None:
        """The ledger cannot be read or written: nothing was lost, and it is asked again in a moment, not at once."""
        with self._lock:
            self._rests_until = time.monotonic() + _REST
        self._dispatcher.says.error(error)

    def _free(self, delivery: Due) -> None:
        with self._lock:
            self._busy.discard(delivery.submission_id)
            low = len(self._busy) <= self._threads
        if low:
            self._dispatcher.wake()

    def shut(self) -> None:
        """Begins nothing more."""
        self._closed = True

    def close(self, seconds: float) -> None:
        if not self._hands.close(max(0.0, seconds)):
            log.warning("target %s did not answer in time: what it has in hand stays due", self._target)
