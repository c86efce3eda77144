"""The second tier's dispatcher, `silah work`: any number of processes on any number of machines, over Procrastinate.

The ledger says what is due; a job carries a delivery's id and nothing else, and may be lost without loss. One of the
processes leads: it puts what is due into the queues (queue = target, lock = target:case, so that for one submission
and target never two attempts run at once), takes away the jobs of processes that died, pulls, reports back, and sends
referrals. When it dies its claim goes with its connection, and another one leads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job, Status

from connector.config import Target
from connector.dispatch.chores import LOOK_EVERY, Chores
from connector.dispatch.guard import Guard
from connector.dispatch.hands import Hands
from connector.errors import Refused, SilahError
from connector.pipeline import Pipeline

log = logging.getLogger("silah.dispatch")

_TASK = "silah.deliver"
_WINDOW = 256  # deliveries of a target that are in its queue at a time
_HEARTBEAT, _DEAD_AFTER = 2.0, 8.0  # seconds
_AGAIN = 2.0  # seconds until the queues are opened again after the database was away


class Worker:
    """One process that dispatches from PostgreSQL, until `stop`.

    Args:
        pipeline: the flow, on a PostgreSQL ledger; with SQLite `Refused`.
        led: opened while this process leads, for what else one process alone may do.
    """

    def __init__(self, pipeline: Pipeline, led: Callable[[], contextlib.AbstractContextManager[object]]) -> None:
        if pipeline.ledger.database.embedded:
            advice = "With SQLite `silah serve` does it all; for workers set a postgresql+psycopg:// database."
            raise Refused("dispatch.embedded", f"`database` in {pipeline.config.path}", advice)
        self._pipeline, self._led = pipeline, led
        self._leads, self._stopping, self._news = threading.Event(), threading.Event(), threading.Event()
        self._stop_within = 8.0
        self._chores = Chores(pipeline, self._stopping, self._news.set, self._leads.is_set)
        self._lanes = {name: _Lane(pipeline, name, target) for name, target in pipeline.config.targets.items()}
        self._threads = [
            threading.Thread(target=self._lead_for_ever, name="lead", daemon=True),
            threading.Thread(target=self._work_for_ever, name="work", daemon=True),
            *self._chores.threads(),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 8) -> None:
        """Takes nothing new and finishes what is in hand, for at most *seconds*; what is not finished stays due."""
        until = time.monotonic() + seconds
        self._stop_within = seconds / 2
        self._stopping.set()
        self._pipeline.hurry()
        self._chores.ring()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for lane in self._lanes.values():
            lane.hands.close(0)

    def _lead_for_ever(self) -> None:
        """Holds or waits for the claim to lead; a claim that was lost is given up within a look."""
        with self._pipeline.ledger.database.alone("lead") as held, contextlib.ExitStack() as leading:
            while not self._stopping.wait(LOOK_EVERY):
                if held() and not self._leads.is_set():
                    self._chores.look_at_clock()
                    leading.enter_context(self._led())
                    self._leads.set()
                elif self._leads.is_set() and not held():
                    self._leads.clear()
                    leading.close()
        self._leads.clear()

    def _work_for_ever(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._work())
            except (ProcrastinateException, OSError, SilahError, ExceptionGroup) as error:
                log.warning("dispatch.queue_away: %s", type(error).__name__)
                self._stopping.wait(_AGAIN)

    async def _work(self) -> None:
        connector = PsycopgConnector(
            conninfo=_conninfo(self._pipeline.config.database_url), max_size=4 + len(self._lanes)
        )
        app = App(connector=connector)
        async with app.open_async():
            await self._schema(app)
            queues = _Queues(app, self._pipeline, self._lanes)
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(queues.serve(name, self._stop_within)) for name in self._lanes]
                feeder = group.create_task(self._feed(queues))
                await self._until_stopped(workers)
                feeder.cancel()
                for worker in workers:
                    worker.cancel()

    async def _until_stopped(self, workers: Sequence[asyncio.Task[None]]) -> None:
        while not self._stopping.is_set():
            done, _ = await asyncio.wait(workers, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return

    async def _schema(self, app: App) -> None:
        """Procrastinate's tables; the process that leads makes them."""
        while not await app.job_manager.check_connection_async():
            if self._leads.is_set():
                await app.schema_manager.apply_schema_async()
            await asyncio.sleep(0.1)

    async def _feed(self, queues: _Queues) -> None:
        looked = 0.0
        while True:
            busy = False
            if self._leads.is_set():
                if time.monotonic() - looked > _HEARTBEAT:
                    looked = time.monotonic()
                    await queues.take_over()
                busy = await queues.fill_all()
            for _ in range(1 if busy else 10):
                if self._news.is_set():
                    self._news.clear()
                    break
                await asyncio.sleep(LOOK_EVERY / 10)


class _Lane:
    """One target in this process: its threads and its guard."""

    def __init__(self, pipeline: Pipeline, name: str, target: Target) -> None:
        self._pipeline, self._name = pipeline, name
        self.target = target
        self.hands = Hands(target.concurrency, f"to-{name}")
        self.rate = Guard(target.rate)  # asked by the leader, for all processes
        self.door = Guard(None)  # what this process saw of the target

    def attempt(self, delivery_id: str) -> None:
        """One attempt, when the delivery is still due; whatever goes wrong, it stays due."""
        try:
            delivery = self._pipeline.ledger.due_one(self._name, delivery_id)
            if delivery is None:
                return
            outcome = self._pipeline.attempt(delivery)
            self.door.tell(outcome)
        except SilahError as error:
            log.error("%s: %s", error.code, error.next_step)  # noqa: TRY400
        except Exception as error:  # noqa: BLE001 (the delivery stays due; values may not be told)
            log.error("unexpected %s at target %s", type(error).__name__, self._name)  # noqa: TRY400


class _Queues:
    """The jobs of all targets, filled by the leader and worked on by every process."""

    def __init__(self, app: App, pipeline: Pipeline, lanes: dict[str, _Lane]) -> None:
        self._app, self._ledger, self._lanes = app, pipeline.ledger, lanes

        @app.task(name=_TASK, pass_context=True)
        async def deliver(context: JobContext, delivery: str) -> None:
            lane = lanes[context.job.queue]
            while not lane.door.take(1):  # noqa: ASYNC110 (it opens with time, nobody tells)
                await asyncio.sleep(LOOK_EVERY)
            await asyncio.wrap_future(lane.hands.submit(lambda: lane.attempt(delivery)))

    async def serve(self, target: str, stop_within: float) -> None:
        """Works on one target's queue."""
        await self._app.run_worker_async(
            queues=[target], name=target, concurrency=self._lanes[target].target.concurrency, delete_jobs="always",
            install_signal_handlers=False, fetch_job_polling_interval=1.0, update_heartbeat_interval=_HEARTBEAT,
            stalled_worker_timeout=_DEAD_AFTER, shutdown_graceful_timeout=stop_within,
        )  # fmt: skip

    async def take_over(self) -> None:
        """Takes away the jobs of workers that died: the ledger knows that they are due."""
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=_DEAD_AFTER):
            await manager.finish_job(job, Status.FAILED, delete_job=True)
        await manager.prune_stalled_workers(_DEAD_AFTER)

    async def fill_all(self) -> bool:
        """Puts what is due into the queues; whether there may be more."""
        return any([await self._fill(name, lane) for name, lane in self._lanes.items()])

    async def _fill(self, target: str, lane: _Lane) -> bool:
        manager = self._app.job_manager
        queued = list(await manager.list_jobs_async(queue=target, task=_TASK))
        room = _WINDOW - len(queued)
        if room < _WINDOW // 2:
            return False
        allowed = lane.rate.take(room)
        if not allowed:
            return False
        busy = [int((job.lock or "").rpartition(":")[2]) for job in queued]
        due = await asyncio.to_thread(self._ledger.due_ids, target, allowed, busy)
        lane.rate.give_back(allowed - len(due))
        if due:
            await manager.batch_defer_jobs_async(jobs=[_job(target, *one) for one in due])
        return len(due) == room


def _job(target: str, delivery: str, case: int) -> Job:
    lock = f"{target}:{case}"
    return Job(queue=target, lock=lock, queueing_lock=None, task_name=_TASK, task_kwargs={"delivery": delivery})


def _conninfo(url: str) -> str:
    """The address as the driver takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
