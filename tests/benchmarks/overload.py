"""More webhooks than can be taken: what is answered, what is kept, and how soon all is as before.

A served Silah in a process of its own, sixteen clients for what it can take, then many times as many. Every answer is
counted, every receipt that was answered 201 is looked for afterwards. `make bench` runs it after the speed table.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from connector.setup import new_key

_FEW, _MANY = 16, int(os.environ.get("SILAH_BENCH_MANY", "600"))
_SECONDS = float(os.environ.get("SILAH_BENCH_SECONDS", "5"))
_SECRET = "of-the-hook"
_CONFIG = """
society = "SY-RC"
database = "sqlite:///var/silah.db"
data_dir = "var"
master_key_file = "keys/master.key"
[door]
rate = 1000000
burst = 1000000
[servers.kobo]
type = "kobo"
url = "http://127.0.0.1:9"
token_env = "BENCH_SECRET"
webhook_secret_env = "BENCH_SECRET"
reconcile_every = "off"
reconcile_on_start = false
[servers.kobo.forms]
tracing_request = "aBench"
"""


@dataclass
class Load:
    """What so many clients saw: statuses (0: no answer), seconds of each answer, receipts that were promised."""

    clients: int
    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    receipts: set[str] = field(default_factory=set)
    retry_after: int = 0

    def percentile(self, share: float) -> float:
        times = sorted(self.took)
        return 1000 * times[min(len(times) - 1, int(share * len(times)))]

    def row(self, seconds: float) -> str:
        taken, refused, cut = self.statuses[201], self.statuses[503], self.statuses[0]
        return (
            f"{self.clients:>8} {taken / seconds:>8.0f} {refused / seconds:>8.0f} {cut:>8} "
            f"{self.percentile(0.5):>8.0f} {self.percentile(0.99):>8.0f}"
        )


_numbers = iter(range(1, 1 << 30))
_lock = threading.Lock()


def ring(connection: http.client.HTTPConnection, load: Load) -> None:
    with _lock:
        number = next(_numbers)
    body = json.dumps({"_id": number, "_uuid": f"u-{number}", "_xform_id_string": "aBench"})
    begun = time.monotonic()
    try:
        connection.request("POST", "/webhooks/kobo/kobo", body, {"X-Silah-Token": _SECRET})
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()
        with _lock:
            load.statuses[0] += 1
        return
    with _lock:
        load.statuses[answer.status] += 1
        load.took.append(time.monotonic() - begun)
        if answer.status == 201:
            load.receipts.add(told["receipt"])
        load.retry_after += "Retry-After" in answer.headers


def press(url: str, clients: int, seconds: float) -> Load:
    """So many clients that ring without a pause."""
    load, until = Load(clients), time.monotonic() + seconds
    address = urlsplit(url)

    def run() -> None:
        connection = http.client.HTTPConnection(str(address.hostname), int(address.port or 80), timeout=30)
        while time.monotonic() < until:
            ring(connection, load)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return load


def resident(process: int) -> float:
    """MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    os.environ["BENCH_SECRET"] = _SECRET
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        list(new_key(home / "keys" / "master.key"))
        (home / "silah.toml").write_text(_CONFIG)
        command = [sys.executable, "-m", "connector.cli", "serve", "--port", "0"]
        environment = {**os.environ, "SILAH_CONFIG": str(home / "silah.toml"), "PYTHONPATH": str(Path.cwd())}
        with (home / "log").open("wb") as log:
            served = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=log, env=environment)
        assert served.stdout is not None
        url = served.stdout.readline().decode().split()[-1]
        try:
            measure(url, served.pid, home)
        finally:
            served.terminate()
            served.wait(15)
            served.stdout.close()


def measure(url: str, process: int, home: Path) -> None:
    print(f"two cores or more: {os.cpu_count()} here, load {os.getloadavg()[0]:.1f}; {_SECONDS:.0f} s each")
    print(f"{'clients':>8} {'201/s':>8} {'503/s':>8} {'cut':>8} {'p50 ms':>8} {'p99 ms':>8}")
    few = press(url, _FEW, _SECONDS)
    print(few.row(_SECONDS), f"   resident {resident(process):.0f} MB")
    many = press(url, _MANY, _SECONDS)
    ended = time.monotonic()
    print(many.row(_SECONDS), f"   resident {resident(process):.0f} MB")
    while requests.get(f"{url}/readyz", timeout=30).status_code != 200:
        pass
    one = press(url, 1, 0.0001)
    recovered = time.monotonic() - ended
    again = press(url, _FEW, _SECONDS)
    print(again.row(_SECONDS), f"   resident {resident(process):.0f} MB")
    with closing(sqlite3.connect(home / "var" / "silah.db")) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM receipts")}
    promised = few.receipts | many.receipts | one.receipts | again.receipts
    print(f"refused with Retry-After: {many.retry_after} of {many.statuses[503]}")
    print(f"answered 201: {len(promised)}, lost: {len(promised - kept)}")
    print(f"the next bell was answered {recovered:.2f} s after the load ended")


if __name__ == "__main__":
    main()
