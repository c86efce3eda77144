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
from connector.pipeline import Pipeline, Ready

log = logging.getLogger("silah.dispatch")

_REST = 1.0  # seconds after the ledger could not be read or written
_AHEAD = 8  # deliveries taken for each thread of a target
_QUICK = 0.25  # seconds in which a quick target answers
_STALE = 1.0  # seconds after which the gate is asked again before sending


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

    def tell(self, delivery: Due, outcome: str) -> None:
        """What became of an attempt."""
        if outcome == "parked":
            self._on_parked(delivery)


class _Lane:
    """One target's threads, and which submissions are in their hands.

    To a quick target an attempt is made in two steps: one thread asks the gate and notes the attempt, and whoever is
    free when that is on the disk sends it, so that no thread waits for the disk. To a slow one a thread does both: what
    the gate let go must not lie and wait.
    """

    def __init__(self, dispatcher: Dispatcher, name: str, target: Target) -> None:
        self._dispatcher, self._target, self._threads = dispatcher, name, target.concurrency
        self._hands = Hands(target.concurrency, f"to-{name}")
        self._guard = Guard(target.rate)
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._closed = self._slow = False
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
            self._hands.submit(partial(self._run, delivery, partial(self._gate, delivery)))

    def _run(self, delivery: Due, step: Callable[[], bool]) -> None:
        """One step; unless it says that there is more to come the submission is free again. What fails stays due."""
        more = False
        try:
            more = not self._closed and step()
        except SilahError as error:
            self._rest(error)
        except Exception as error:  # noqa: BLE001 (the delivery stays due; values may not be told)
            log.error("unexpected %s at target %s", type(error).__name__, self._target)  # noqa: TRY400
        if not more:
            self._free(delivery)

    def _gate(self, delivery: Due) -> bool:
        ready = self._dispatcher.pipeline.ready(delivery)
        if isinstance(ready, str):
            self._tell(delivery, ready)
            return False
        begun = self._dispatcher.pipeline.begin(ready)
        if self._slow:
            return begun.result() and self._send(ready)
        begun.add_done_callback(partial(self._begun, ready, time.monotonic()))
        return True

    def _begun(self, ready: Ready, let_go_at: float, begun: Future[bool]) -> None:
        """The attempt is on the disk: the next free thread sends it."""
        if begun.exception() is None and begun.result():
            step = partial(self._send_or_ask_again, ready, let_go_at)
            self._hands.submit(partial(self._run, ready.delivery, step), first=True)
        else:
            if isinstance(error := begun.exception(), SilahError):
                self._rest(error)
            self._free(ready.delivery)

    def _send_or_ask_again(self, ready: Ready, let_go_at: float) -> bool:
        if time.monotonic() - let_go_at > _STALE:
            return self._gate(ready.delivery)
        return self._send(ready)

    def _send(self, ready: Ready) -> bool:
        begun_at = time.monotonic()
        outcome, written = self._dispatcher.pipeline.send(ready)
        self._slow = time.monotonic() - begun_at > _QUICK
        self._tell(ready.delivery, outcome)
        if written is None:
            return False
        written.add_done_callback(partial(self._noted, ready.delivery))
        return True

    def _tell(self, delivery: Due, outcome: str) -> None:
        self._guard.tell(outcome)
        self._dispatcher.tell(delivery, outcome)

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
