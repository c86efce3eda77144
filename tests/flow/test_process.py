"""Silah as an admin runs it: real processes, the command line beside them, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import HOOK_SECRET, FillIn, Node, eventually
from tests.people import MARKS, request

SILAH = [sys.executable, "-m", "connector.cli"]


def toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(value)


def write_config(node: Node) -> Path:
    """The node's configuration as a file."""
    lines: list[str] = []

    def table(path: str, data: dict[str, Any]) -> None:
        if path:
            lines.append(f"[{path}]")
        lines.extend(f"{key} = {toml(value)}" for key, value in data.items() if not isinstance(value, dict | None))
        for key, value in data.items():
            if isinstance(value, dict):
                table(f"{path}.{key}" if path else key, value)

    table("", node.data)
    file = node.home / "silah.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


class Served:
    """A running `silah serve`."""

    def __init__(self, node: Node, *options: str, command: Sequence[str] = SILAH) -> None:
        self._log = (node.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [*command, "serve", "--port", "0", *options], cwd=node.home, stdout=subprocess.PIPE, stderr=self._log
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert "listens on" in line, (node.home / "serve.log").read_text()
        self.url = line.split()[-1]

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        status = self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return status


@pytest.fixture(name="config")
def _config(node: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    return config_of(node, monkeypatch)


def config_of(node: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    """The node, with its configuration in a file that processes read."""
    monkeypatch.setenv("SILAH_CONFIG", str(write_config(node)))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # the product that these tests stand in
    return node


def silah(node: Node, *arguments: str, stdin: str = "", status: int = 0) -> str:
    """Runs one command and returns what it printed; its exit status must be *status*."""
    done = subprocess.run(
        [*SILAH, *arguments], cwd=node.home, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert status == done.returncode, (done.stdout, done.stderr)
    for mark in MARKS:
        assert mark not in done.stderr
    return done.stdout if status != 2 else done.stderr


def ring(node: Node, url: str, submission: dict[str, Any]) -> int:
    ids = {key: submission[key] for key in ("_id", "_uuid", "meta/rootUuid", "_xform_id_string")}
    return requests.post(
        f"{url}/webhooks/kobo/kobo", json=ids, headers={"X-Silah-Token": HOOK_SECRET}, timeout=10
    ).status_code


def test_from_the_hook_to_the_target(config: Node, fill_in: FillIn) -> None:
    """A served Silah delivers within seconds of the bell, tells commands beside it the truth, and stops when asked."""
    served = Served(config)
    try:
        submission = config.submit(fill_in(request()))
        started = time.monotonic()
        assert 201 == ring(config, served.url, submission)
        eventually(lambda: len(config.received()) == 1)
        print(f"from hook to target: {1000 * (time.monotonic() - started):.0f} ms")
        eventually(lambda: json.loads(silah(config, "queue", "list", "--json"))[0]["state"] == "delivered")

        told = json.loads(silah(config, "pull", "--json"))
        assert {"on_server": 1, "here": 1, "delivered": 1, "missing": 0}.items() <= told["total"].items()
        assert "on server 1 · here 1 · delivered 1 · withheld 0 · waiting 0 · parked 0 · missing 0" in silah(
            config, "pull"
        )
        [row] = json.loads(silah(config, "queue", "list", "--json"))
        assert {"id", "root_id", "form", "target", "action", "state", "attempts", "error", "next_at"} == set(row)
        assert "dispatch.already_running" in second_dispatcher(config)
    finally:
        status = served.stop()
    assert 0 == status


def second_dispatcher(node: Node) -> str:
    done = subprocess.run(
        [*SILAH, "serve", "--port", "0"], cwd=node.home, capture_output=True, text=True, check=False, timeout=30
    )
    assert 1 == done.returncode
    return done.stderr


def test_killed_between_the_bell_and_the_delivery(config: Node, fill_in: FillIn) -> None:
    """kill -9 after a 201: the receipt is there, and the next process delivers once."""
    served = Served(config, "--no-dispatch")
    submission = config.submit(fill_in(request()))
    assert 201 == ring(config, served.url, submission)
    served.kill()
    assert [] == config.received()

    served = Served(config)
    try:
        eventually(lambda: len(config.received()) == 1)
    finally:
        served.stop()


def test_killed_while_a_target_answers(config: Node, fill_in: FillIn) -> None:
    """kill -9 while the target works: it is asked again with the same key, and holds the record once."""
    config.receivers["national"].faults.next(".*", delay_seconds=1.0, times=1, after=True)
    served = Served(config)
    submission = config.submit(fill_in(request()))
    ring(config, served.url, submission)
    eventually(lambda: len(config.attempts()) == 1)
    served.kill()

    served = Served(config)
    try:
        eventually(lambda: len(config.attempts()) == 2)
        eventually(lambda: json.loads(silah(config, "queue", "list", "--json"))[0]["state"] == "delivered")
    finally:
        served.stop()
    assert 1 == len({one.headers["Idempotency-Key"] for one in config.attempts()})
    assert 1 == len(config.received())


def test_asked_to_stop_while_a_target_hangs(config: Node, fill_in: FillIn) -> None:
    """SIGTERM: it ends within ten seconds although its target does not answer; the next process delivers with the same key."""
    config.receivers["national"].faults.next(".*", delay_seconds=13.0, times=1)
    served = Served(config)
    ring(config, served.url, config.submit(fill_in(request())))
    eventually(lambda: len(config.attempts()) == 1)
    asked = time.monotonic()
    assert 0 == served.stop()
    stopped = time.monotonic() - asked
    print(f"stopped {stopped:.1f} s after SIGTERM")
    assert stopped < 10

    served = Served(config)
    try:
        eventually(lambda: len(config.attempts()) == 2, 30)
    finally:
        served.stop()
    assert 1 == len({one.headers["Idempotency-Key"] for one in config.attempts()})


def test_start_to_ready_is_quick(config: Node) -> None:
    """A fresh process listens within a few seconds (the bound is loose: test machines are slow; the figure is printed)."""
    started = time.monotonic()
    served = Served(config)
    elapsed = time.monotonic() - started
    served.stop()
    print(f"start to ready: {elapsed:.2f} s")
    assert elapsed < 10


def test_preview_release_and_withdraw_by_command(config: Node, fill_in: FillIn) -> None:
    """An officer sees what would leave, releases with a second factor, and takes it back."""
    import pyotp

    config.targets = {"icrc": {"recipient": "icrc"}}
    write_config(config)
    submission = config.submit(fill_in(request({"search_danger": "unknown"})))
    root = submission["meta/rootUuid"]
    served = Served(config)
    try:
        assert 201 == ring(config, served.url, submission)
        eventually(lambda: [r["state"] for r in json.loads(silah(config, "queue", "list", "--json"))] == ["waiting"])
        told = json.loads(silah(config, "preview", root, "--target", "icrc", "--json"))
        assert ("waiting", "caution.danger") == (told["state"], told["reason"])
        assert "s_name_full_native" not in told["held_back"]

        [row] = json.loads(silah(config, "queue", "list", "--json"))
        secret = json.loads(silah(config, "user", "add", "amal", "--json"))["secret"]
        silah(config, "queue", "release", row["id"], "--as", "amal", stdin="000000\n", status=1)
        silah(config, "queue", "release", row["id"], "--as", "amal", stdin=pyotp.TOTP(secret).now() + "\n")
        silah(config, "queue", "release", row["id"], "--as", "amal", stdin=pyotp.TOTP(secret).now() + "\n", status=1)
        eventually(lambda: len(config.received("icrc")) == 1)

        silah(config, "withdraw", root, "--reason", "asked")
        eventually(lambda: [body["action"] for body in config.received("icrc")] == ["upsert", "withdraw"])
        assert "fit their chain" in silah(config, "audit", "verify")
    finally:
        served.stop()


def test_pull_says_what_is_missing_or_parked(config: Node, fill_in: FillIn) -> None:
    """Exit status 3 when something needs a person."""
    config.submit(fill_in(request()).replace(b">brother<", b">nobody_knows<"))
    told = json.loads(silah(config, "pull", "--json", status=3))

    assert {"on_server": 1, "here": 1, "parked": 1, "missing": 0}.items() <= told["total"].items()


def test_check_tells_what_works_and_what_does_not(config: Node) -> None:
    """`silah check`: 0 when all is well; a wrong token is named with what to do."""
    silah(config, "check", "--json")
    os.environ["KOBO_TOKEN"] = "f" * 40
    told = json.loads(silah(config, "check", "--json", status=1))

    assert ["kobo.unauthorized"] == [one["code"] for one in told if not one["ok"]]


@pytest.mark.parametrize(
    ("change", "code", "key"),
    [
        ({"colour": "blue"}, "config.unknown_key", "colour"),
        ({"master_key_file": "keys/none.key"}, "keys.no_master_key", "none.key"),
    ],
)
def test_a_wrong_configuration_stops_before_anything_is_served(
    config: Node, change: dict[str, Any], code: str, key: str
) -> None:
    """Exit status 2 with the key and the file."""
    config.extra = change
    write_config(config)
    told = silah(config, "serve", "--port", "0", status=2)

    assert code in told
    assert key in told


def test_init_writes_what_check_can_read(tmp_path: Path) -> None:
    """A new admin answers four questions and has a configuration, a key and its recovery sheet."""
    answers = "SY-RC\nhttp://127.0.0.1:9\naXXXXXXXXXXXXXXXXXXXXXX\nhttp://127.0.0.1:9/rfl\n"
    done = subprocess.run(
        [*SILAH, "init"], cwd=tmp_path, input=answers, capture_output=True, text=True, check=False, timeout=30
    )
    assert 0 == done.returncode, done.stderr
    assert "RECOVERY SHEET" in done.stdout
    assert (tmp_path / "keys" / "master.key").stat().st_mode & 0o077 == 0
    secrets = {"KOBO_TOKEN": "x", "KOBO_WEBHOOK_SECRET": "y", "NATIONAL_TOKEN": "z", "NATIONAL_SIGNING": "whsec_AAAA"}
    checked = subprocess.run(
        [*SILAH, "check"],
        cwd=tmp_path,
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert 1 == checked.returncode
    assert "kobo.refused" in checked.stdout


def test_the_master_key_may_come_from_a_command(config: Node, tmp_path: Path) -> None:
    """A key service prints the key; nothing else on this machine holds it."""
    kept_elsewhere = tmp_path / "elsewhere"
    kept_elsewhere.write_text((config.home / "keys" / "master.key").read_text(encoding="ascii"), encoding="ascii")
    (config.home / "keys" / "master.key").unlink()
    config.extra = {"master_key_file": None, "master_key_command": ["cat", str(kept_elsewhere)]}
    write_config(config)
    silah(config, "check", "--json")


@pytest.mark.parametrize(
    "command", [["no-such-program"], ["sh", "-c", "echo SECRET-OF-THE-SERVICE >&2; exit 1"], ["printf", r"\377"]]
)
def test_a_command_that_gives_no_key_stops_before_anything_is_served(config: Node, command: list[str]) -> None:
    """Exit status 2 with where and what to do; nothing that the command said is repeated."""
    config.extra = {"master_key_file": None, "master_key_command": command}
    write_config(config)
    told = silah(config, "serve", "--port", "0", status=2)

    assert "keys.command_failed" in told
    assert "master_key_command" in told
    assert "SECRET-OF-THE-SERVICE" not in told
