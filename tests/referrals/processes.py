"""Two nodes in two processes, joined by a relay that loses, repeats and cuts; for tests and for the soak.

python -m tests.referrals.processes FOLDER ADDRESS SKEW_SECONDS     serves one node with a wrong clock
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from connector import config as configuration
from connector.app import assemble, open_ledger
from connector.referrals.exchange import Exchange, exchange_of
from connector.setup import new_key
from tests.referrals.nodes import configuration_text

_ROOT = Path(__file__).parent.parent.parent
_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature", "Content-Type")


class Room:
    """Where a node runs: beside this process, on loopback."""

    outside = inside = "127.0.0.1"  # this side's address and the node's, on the line between them

    def command(self) -> list[str]:
        """What goes before the node's command."""
        return []

    def close(self) -> None:
        """Nothing was made."""


class Namespace(Room):
    """A network namespace of its own with one line to this process; needs root and `ip`. *number* is 0 to 60."""

    def __init__(self, number: int) -> None:
        self._name, ends = (
            f"silah-soak-{os.getpid()}-{number}",
            (f"sk{os.getpid()}h{number}", f"sk{os.getpid()}n{number}"),
        )
        self.outside, self.inside = f"10.213.77.{4 * number + 1}", f"10.213.77.{4 * number + 2}"
        here, there = ends
        for line in (
            f"netns add {self._name}", f"link add {here} type veth peer name {there}", f"link set {there} netns {self._name}",
            f"addr add {self.outside}/30 dev {here}", f"link set {here} up",
            f"-n {self._name} addr add {self.inside}/30 dev {there}", f"-n {self._name} link set {there} up",
            f"-n {self._name} link set lo up",
        ):  # fmt: skip
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)

    def command(self) -> list[str]:
        return ["ip", "netns", "exec", self._name]

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self._name], check=True, capture_output=True)


class Relay:
    """A port that passes requests on to another: some are lost, some answers are lost, some requests come twice."""

    def __init__(
        self, seed: int, *, lose: float = 0.0, cut: float = 0.0, repeat: float = 0.0, at: str = "127.0.0.1"
    ) -> None:
        self.target, self.behind = 0, "127.0.0.1"
        self.host = at
        self.bodies: dict[str, bytes] = {}
        self.lose, self.cut, self.repeat = lose, cut, repeat
        self.counts = {"passed": 0, "lost": 0, "cut": 0, "repeated": 0, "replayed_late": 0}
        self.statuses: dict[int, int] = {}
        self._rng, self._lock = random.Random(seed), threading.Lock()
        self._kept: list[tuple[str, dict[str, str], bytes]] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                relay.handle(self)

            def log_message(self, *_: object) -> None:
                """Nothing is written to the terminal."""

        self._server = _Quiet((at, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        with self._lock:
            self.bodies[headers.get("webhook-id", "")] = body
            fate = self._rng.random()
            twice = self._rng.random() < self.repeat
            old = self._rng.choice(self._kept) if self._kept and twice else None
            self._kept = [*self._kept[-50:], (request.path, headers, body)]
        if fate < self.lose:
            self._count("lost")
            request.close_connection = True
            return
        if twice:
            self._count("repeated")
            self._pass(request.path, headers, body)
        if old is not None:
            self._count("replayed_late")
            self._pass(*old)
        answer = self._pass(request.path, headers, body)
        if answer is None or fate < self.lose + self.cut:
            self._count("cut")
            request.close_connection = True
            return
        self._count("passed")
        self._answer(request, *answer)

    def _answer(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _pass(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        connection = http.client.HTTPConnection(self.behind, self.target, timeout=10)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            self._status(answer.status)
            return (
                answer.status,
                {name: answer.headers[name] for name in _SIGNED if name in answer.headers},
                answer.read(),
            )
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def _status(self, status: int) -> None:
        with self._lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    """A sender that was killed in the middle of a request is no news."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing."""


class NodeProcess:
    """A node that is served by a process of its own, and the same ledger opened here, as the command line does."""

    def __init__(self, folder: Path, relay: Relay, room: Room | None = None) -> None:
        self.folder, self.relay, self.room = folder, relay, room or Room()
        relay.behind = self.room.inside
        folder.mkdir(parents=True)
        list(new_key(folder / "keys" / "master.key"))
        text = (
            configuration_text(f"http://{relay.host}:{relay.port}")
            + '\n[dispatch]\nretry_first = "200ms"\nretry_max = "1s"\n'
        )
        (folder / "silah.toml").write_text(text, encoding="utf-8")
        self.skew = timedelta(0)
        self._process: subprocess.Popen[str] | None = None
        self._config = configuration.load(folder / "silah.toml")
        self._ledger = open_ledger(self._config, self.now)
        self.desk: Exchange = exchange_of(self._config, self._ledger)
        self.output = ""

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew

    def pair(self, other: NodeProcess) -> None:
        self.desk.pair(json.loads(other.desk.export().model_dump_json()), other.folder.name, None, "test")

    def start(self, skew: float = 0.0) -> None:
        """Starts the process and waits until it says where it listens."""
        self.skew = timedelta(seconds=skew)
        serve = [sys.executable, "-m", "tests.referrals.processes", str(self.folder), self.room.inside, str(skew)]
        command = [*self.room.command(), *serve]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Silah listens on"):
                self.relay.target = int(line.rpartition(":")[2])
                return
            self.output += line
        raise AssertionError(f"the node did not start: {self.output}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the process; SIGKILL leaves it no time for anything."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                rest, _ = self._process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGUSR1)
                time.sleep(1)
                self._process.kill()
                raise AssertionError(f"the node did not stop:\n{self._process.communicate()[0]}") from None
            self.output += rest
            self._process = None
            self.relay.target = 0

    def states(self) -> dict[str, str]:
        return {row.id: row.state for row in self.desk.referrals.rows()}

    def close(self) -> None:
        self.stop()
        self._ledger.database.close()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for *condition*; fails after *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def _serve(folder: Path, host: str, skew: float) -> None:
    import faulthandler

    from connector.serving import serve_forever

    faulthandler.register(signal.SIGUSR1)
    flow = assemble(configuration.load(folder / "silah.toml"), lambda: datetime.now(UTC) + timedelta(seconds=skew))
    serve_forever(flow, host, 0, dispatch=True, say=lambda line: print(line, flush=True))
    flow.ledger.database.close()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
