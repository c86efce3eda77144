"""`python -m tests.benchmarks.encryption`: what sealing costs a record, in processor time, with it on against off.

Off is a Silah that does not exist: the same flow, with sealing and opening replaced by copying. Both are measured in
turns in one run, so that a busy machine is busy for both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector import config, keys
from connector.app import assemble
from connector.setup import new_key
from tests.benchmarks.sample import submissions

_RECORDS = 1500
_ROUNDS = 5


def _copied(secret: bytes, value: bytes, context: str) -> bytes:
    return value


@contextmanager
def _without_sealing() -> Iterator[None]:
    seal, opened = keys._seal, keys._open
    keys._seal = keys._open = _copied
    try:
        yield
    finally:
        keys._seal, keys._open = seal, opened


def _round() -> tuple[float, int]:
    """(seconds of processor for reading, keeping and opening again; bytes of the database)."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        list(new_key(home / "master.key"))
        (home / "token").write_text("x", encoding="utf-8")
        server: dict[str, Any] = {
            "type": "kobo", "url": "http://127.0.0.1:9", "token_file": "token", "webhook_secret_file": "token",
            "forms": {"tracing_request": "aBench"},
        }  # fmt: skip
        target = {
            "type": "rest",
            "url": "http://127.0.0.1:9",
            "recipient": "own_society",
            "accepts": ["tracing_request"],
        }
        data = {"society": "SY-RC", "database": "sqlite:///silah.db", "master_key_file": "master.key"}
        written = {**data, "servers": {"kobo": server}, "targets": {"national": target}}
        flow = assemble(config.parse(written, home / "silah.toml"))
        records = list(submissions(_RECORDS))
        begun = time.process_time()
        for start in range(0, _RECORDS, 500):
            flow.ledger.store(
                [flow.prepare(one, None) for one in records[start : start + 500]], lambda _: ("national",)
            )
        opened = [flow.ledger.opened(one) for one in flow.ledger.due("national", _RECORDS)]
        spent = time.process_time() - begun
        flow.ledger.database.close()
        if len(opened) != _RECORDS or None in opened:
            raise SystemExit("not every record came back")
        return spent, (home / "silah.db").stat().st_size


def main() -> None:
    on, off = [], []
    for _ in range(_ROUNDS):
        on.append(_round())
        with _without_sealing():
            off.append(_round())

    def per(rounds: list[tuple[float, int]]) -> float:
        return 1e6 * statistics.median(s for s, _ in rounds) / _RECORDS

    print(f"{_ROUNDS} rounds of {_RECORDS} records each, read, kept and opened once; median, processor time")
    print(f"sealed      {per(on):7.0f} µs a record, {on[0][1] / _RECORDS:6.0f} bytes")
    print(f"not sealed  {per(off):7.0f} µs a record, {off[0][1] / _RECORDS:6.0f} bytes")
    print(f"difference  {per(on) - per(off):7.0f} µs a record, {100 * (per(on) / per(off) - 1):.0f} %")


if __name__ == "__main__":
    main()
