"""Nodes for the benchmark: real `silah` processes on a ledger that was filled before."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, text

from connector import config
from connector.app import assemble
from connector.ledger import schema
from connector.ledger.flow import Prepared
from connector.pipeline import Pipeline
from connector.setup import new_key
from tests.benchmarks.machine import cpu_seconds, most_resident, resident
from tests.benchmarks.sample import ROOT, submissions

ROOT_DIR = Path(__file__).parents[2]
_STORE = 1000
_GROWN_IN = 5000
ROWS_EACH = 8
"""Rows that one delivered submission leaves: receipt, submission, data key, version, delivery, attempt, two of the audit."""


@dataclass
class Running:
    """One `silah serve` or `silah work`."""

    process: subprocess.Popen[str]
    said: str
    started_in: float

    @property
    def url(self) -> str:
        return self.said.split()[-1]

    @property
    def resident(self) -> float:
        return resident(self.process.pid)

    @property
    def most_resident(self) -> float:
        return most_resident(self.process.pid)

    @property
    def cpu(self) -> float:
        return cpu_seconds(self.process.pid)


class Node:
    """A folder with a `silah.toml`, one form server and one REST target.

    Args:
        database: its address; the embedded one when none is given.
        threads: of the target.
    """

    def __init__(
        self,
        home: Path,
        *,
        target: str,
        kobo: str = "http://127.0.0.1:9",
        database: str | None = None,
        threads: int = 16,
    ) -> None:
        self.home = home
        os.environ["BENCH_TOKEN"] = "x"
        list(new_key(home / "keys" / "master.key"))
        self._data: dict[str, Any] = {
            "society": "SY-RC", "database": database or "sqlite:///var/silah.db", "data_dir": "var",
            "master_key_file": "keys/master.key", "matching": {"enabled": False},
            "servers": {"kobo": {"type": "kobo", "url": kobo, "token_env": "BENCH_TOKEN", "webhook_secret_env": "BENCH_TOKEN",
                "forms": {"tracing_request": "aBench"}, "reconcile_on_start": False, "reconcile_every": "off"}},
            "targets": {"national": {"type": "rest", "url": target, "recipient": "own_society",
                "accepts": ["tracing_request"], "concurrency": threads}},
        }  # fmt: skip
        (home / "silah.toml").write_text(_toml(self._data), encoding="utf-8")

    @contextmanager
    def opened(self) -> Iterator[Pipeline]:
        """Its flow, in this process."""
        flow = assemble(config.parse(self._data, self.home / "silah.toml"))
        try:
            yield flow
        finally:
            flow.ledger.database.close()

    def fill(self, number: int, start: int = 1) -> None:
        """*number* submissions that were read and are due to the target."""
        with self.opened() as flow:
            one = next(submissions(1))
            prepared = flow.prepare(one, None)
            for begin in range(start, start + number, _STORE):
                some = range(begin, min(begin + _STORE, start + number))
                flow.ledger.store([_copy(prepared, index) for index in some], lambda _: ("national",))

    def grow(self, rows: int) -> None:
        """Brings the ledger to about *rows* rows of submissions that were delivered long ago."""
        with self.opened() as flow:
            record = next(submissions(1))
            sealed = flow.prepare(record, None).record or b""
            have = len(flow.ledger.known("kobo", "tracing_request", -1, None))
            begin = 10_000_000 + have
            for start in range(begin, begin + rows // ROWS_EACH - have, _GROWN_IN):
                some = range(start, min(start + _GROWN_IN, begin + rows // ROWS_EACH - have))
                flow.ledger.database.write(lambda c, some=some: _history(c, some, sealed))  # type: ignore[misc]

    def know(self, number: int) -> None:
        """*number* submissions that the form server lists are known, without a body: for the light sweep."""
        with self.opened() as flow:
            for start in range(1, number + 1, 50_000):
                rows = [_submission(index) for index in range(start, min(start + 50_000, number + 1))]
                flow.ledger.database.write(lambda c, rows=rows: c.execute(insert(schema.submissions), rows) and None)  # type: ignore[misc]

    @contextmanager
    def running(self, *command: str) -> Iterator[Running]:
        """`silah serve` or `silah work` until the end of the block."""
        begun = time.monotonic()
        with (self.home / "log").open("ab") as log, self._silah(*command, stderr=log) as process:
            assert process.stdout is not None
            said = process.stdout.readline().strip()
            try:
                yield Running(process, said, time.monotonic() - begun)
            finally:
                process.terminate()
                process.wait(30)

    def pull(self, every: float = 0.2) -> tuple[float, float, list[float], dict[str, Any]]:
        """`silah pull`: (seconds, CPU seconds, resident MB over time, its account)."""
        begun, memory, used = time.monotonic(), [0.0], 0.0
        with (self.home / "log").open("ab") as log, self._silah("pull", "--json", stderr=log) as process:
            while process.poll() is None:
                memory.append(resident(process.pid) or memory[-1])
                used = cpu_seconds(process.pid)
                time.sleep(every)
            assert process.stdout is not None
            return time.monotonic() - begun, used, memory, json.loads(process.stdout.read())

    def _silah(self, *command: str, stderr: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"SILAH_CONFIG": str(self.home / "silah.toml"), "PYTHONPATH": str(ROOT_DIR)}
        return subprocess.Popen(
            [sys.executable, "-m", "connector.cli", *command], cwd=self.home, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        )  # fmt: skip


@contextmanager
def node(**settings: Any) -> Iterator[Node]:
    """A node in a folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="silah-bench-") as folder:
        yield Node(Path(folder), **settings)


def _copy(one: Prepared, index: int) -> Prepared:
    ids = {"root_id": ROOT % index, "instance_id": ROOT % index, "order": index}
    return replace(one, submission=replace(one.submission, **ids))


def _submission(index: int) -> dict[str, object]:
    return {
        "record_id": f"known-{index}", "server": "kobo", "form_id": "tracing_request", "root_id": ROOT % index, "ord": index,
        "instance_id": ROOT % index, "version": 1, "state": "live", "presence": "listed", "first_at": 1, "changed_at": 1,
    }  # fmt: skip


def _history(connection: Any, some: range, sealed: bytes) -> None:
    """What delivered submissions leave behind, row for row; their audit is not a chain, nothing here asks it."""
    of: dict[Table, list[dict[str, object]]] = {}
    last = connection.execute(text("SELECT coalesce(max(seq), 0) FROM audit")).scalar_one()
    known = [{**_submission(index), "id": index} for index in some]
    of[schema.submissions] = known
    for place, row in enumerate(known):
        record, delivery = str(row["record_id"]), f"dl_{secrets.token_hex(12)}"
        of.setdefault(schema.receipts, []).append(
            {"id": secrets.token_hex(16), "server": "kobo", "form_id": "tracing_request", "root_id": row["root_id"], "ord": row["ord"],
             "instance_id": row["instance_id"], "state": "read", "attempts": 0, "next_at": 1, "kept_at": 1})  # fmt: skip
        of.setdefault(schema.data_keys, []).append({"record_id": record, "wrapped": b"x" * 64, "key_id": "00000000"})
        of.setdefault(schema.versions, []).append(
            {"submission_id": row["id"], "version": 1, "instance_id": row["instance_id"], "digest": "0" * 64, "record": sealed, "read_at": 1})  # fmt: skip
        of.setdefault(schema.deliveries, []).append(
            {"id": delivery, "submission_id": row["id"], "version": 1, "target": "national", "action": "upsert", "revision": 0,
             "state": "delivered", "attempts": 1, "next_at": 1, "content": "0" * 64, "maybe_held": True, "made_at": 1})  # fmt: skip
        of.setdefault(schema.attempts, []).append({"delivery_id": delivery, "at": 1, "outcome": "delivered"})
        of.setdefault(schema.audit, []).extend(
            {"seq": last + 2 * place + number, "at": 1, "event": event, "actor": "silah", "record_id": record, "target": None,
             "detail": "{}", "hash": "0" * 64} for number, event in ((1, "read"), (2, "upsert")))  # fmt: skip
    for table, rows in of.items():
        connection.execute(insert(table), rows)


def _toml(data: dict[str, Any], prefix: str = "") -> str:
    """The few kinds of values that a bench's configuration has."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in data.items() if not isinstance(value, dict)]
    inner = [
        f"[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}" for key, value in data.items() if isinstance(value, dict)
    ]
    return "\n".join(plain + inner) + "\n"
