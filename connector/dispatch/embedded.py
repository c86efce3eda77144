"""The embedded tier's dispatcher: one process, one scheduler, a small pool of threads for each target.

A slow or dead target keeps only its own threads busy. For one submission and target never two attempts run at once.
Only one dispatcher may run on a data directory: the lock goes with the process, also when it is killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from connector.errors import Refused, SilahError
from connector.ledger.flow import Due
from connector.pipeline import Pipeline
from connector.purging import purge

log = logging.getLogger("silah.dispatch")

_LOOK_EVERY = 0.5  # seconds; other processes write to the ledger too
_REPORT_EVERY = 5.0  # seconds
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
        self._pipeline = pipeline
        self._on_parked = on_parked
        self._wake = threading.Event()
        self._rung = threading.Event()
        self._stopping = threading.Event()
        self._lanes = {name: _Lane(self, name, target.concurrency) for name, target in pipeline.config.targets.items()}
        self._threads = [
            threading.Thread(target=self._loop, args=(self._rung, self._intake), name="intake", daemon=True),
            threading.Thread(target=self._loop, args=(self._wake, self._schedule), name="dispatch", daemon=True),
        ]
        self._threads.append(threading.Thread(target=self._reports, name="reports", daemon=True))
        if pipeline.config.retention.purge_every:
            self._threads.append(threading.Thread(target=self._purges, name="purge", daemon=True))
        for server, config in pipeline.config.servers.items():
            if config.reconcile_every > timedelta(0) or config.reconcile_on_start:
                self._threads.append(
                    threading.Thread(target=self._sweeps, args=(server,), name=f"pull-{server}", daemon=True)
                )

    def start(self) -> None:
        self._pipeline.ledger.reconsider()
        for thread in self._threads:
            thread.start()

    def ring(self) -> None:
        """Something came in: look now."""
        self._rung.set()

    def wake(self) -> None:
        """Something became due: look now."""
        self._wake.set()

    def stop(self, seconds: float = 10) -> None:
        """Takes nothing new and finishes what is in hand, for at most *seconds*."""
        self._stopping.set()
        self._wake.set()
        self._rung.set()
        for lane in self._lanes.values():
            lane.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(seconds / len(self._threads))

    def _loop(self, event: threading.Event, work: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            try:
                busy = work()
            except SilahError as error:
                log.error("%s: %s", error.code, error.next_step)  # noqa: TRY400 (a stack would tell nothing more)
                busy = False
            except Exception as error:  # noqa: BLE001 (a thread must not die; the type tells, values may not be told)
                log.error("unexpected %s in %s", type(error).__name__, work.__name__)  # noqa: TRY400
                busy = False
            if not busy:
                event.wait(_LOOK_EVERY)
                event.clear()

    def _intake(self) -> bool:
        followed = self._pipeline.read_back()
        if followed:
            self._wake.set()
        return followed > 0

    def _schedule(self) -> bool:
        for lane in self._lanes.values():
            lane.fill()
        return False

    def _reports(self) -> None:
        """Status back to the form servers, a while after something was parked or mended."""
        while not self._stopping.wait(_REPORT_EVERY):
            try:
                self._pipeline.report_back()
            except SilahError as error:
                log.warning("%s while reporting back: %s", error.code, error.next_step)

    def _purges(self) -> None:
        """Lets go what has been kept long enough, on the timer."""
        while not self._stopping.wait(self._pipeline.config.retention.purge_every.total_seconds()):
            try:
                purge(self._pipeline, "silah")
            except SilahError as error:
                log.warning("%s while purging: %s", error.code, error.next_step)

    def _sweeps(self, server: str) -> None:
        """Pulls at start and on the timer."""
        config = self._pipeline.config.servers[server]
        if config.reconcile_on_start:
            self._sweep(server)
        every = config.reconcile_every.total_seconds()
        while every and not self._stopping.wait(every):
            self._sweep(server)

    def _sweep(self, server: str) -> None:
        for form in self._pipeline.config.servers[server].forms:
            try:
                swept = self._pipeline.reconcile(server, form)
            except SilahError as error:
                log.warning("%s while pulling %s from %s: %s", error.code, form, server, error.next_step)
                continue
            if swept.stopped:
                log.warning("pull.stopped (%s) for %s on %s: see `silah pull --help`", swept.stopped, form, server)
            self._wake.set()

    def attempt(self, delivery: Due) -> Future[None] | None:
        outcome, written = self._pipeline.attempt_soon(delivery)
        if outcome == "parked":
            self._on_parked(delivery)
        return written


class _Lane:
    """One target's threads, and which submissions are in their hands."""

    def __init__(self, dispatcher: Dispatcher, target: str, threads: int) -> None:
        self._dispatcher, self._target, self._threads = dispatcher, target, threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"to-{target}")
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._closed = False

    def fill(self) -> None:
        """Takes what is due, up to what the threads can chew."""
        with self._lock:
            room = self._threads * _AHEAD - len(self._busy)
            busy = frozenset(self._busy)
        if room <= self._threads or self._closed:
            return
        due = self._dispatcher._pipeline.ledger.due(self._target, room, busy)  # noqa: SLF001 (two halves of one thing)
        for delivery in due:
            with self._lock:
                if delivery.submission_id in self._busy:
                    continue
                self._busy.add(delivery.submission_id)
            self._pool.submit(self._run, delivery)

    def _run(self, delivery: Due) -> None:
        written: Future[None] | None = None
        try:
            if not self._closed:
                written = self._dispatcher.attempt(delivery)
        except SilahError as error:
            log.error("%s: %s", error.code, error.next_step)  # noqa: TRY400
        except Exception as error:  # noqa: BLE001 (the delivery stays due; values may not be told)
            log.error("unexpected %s at target %s", type(error).__name__, self._target)  # noqa: TRY400
        if written is None:
            self._free(delivery)
        else:
            written.add_done_callback(lambda _: self._free(delivery))

    def _free(self, delivery: Due) -> None:
        with self._lock:
            self._busy.discard(delivery.submission_id)
            low = len(self._busy) <= self._threads
        if low:
            self._dispatcher.wake()

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
