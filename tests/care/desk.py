"""People with second factors at a node's command line, in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner

from connector.cli import main
from connector.ledger.posts import Posts
from connector.ledger.users import Users
from tests.conftest import Node


@dataclass
class Office:
    """Those who work at a node."""

    node: Node
    secrets: dict[str, str] = field(default_factory=dict)

    def employ(self, name: str, role: str = "case_worker", **where: Any) -> None:
        """Adds a user; *where* as `Posts.place`."""
        ledger = self.node.flow.ledger
        uri = Users(ledger.database, ledger.master, ledger.now).add(name, role, "test")
        self.secrets[name] = uri.partition("secret=")[2].partition("&")[0]
        if where:
            Posts(ledger).place(name, "test", **where)

    def silah(self, *words: str, as_: str | None = None) -> tuple[int, str]:
        """Exit status and all that a command printed."""
        code = pyotp.TOTP(self.secrets[as_]).now() if as_ else ""
        given = [*words, *(["--as", as_] if as_ else [])]
        done = CliRunner().invoke(main, given, input=code + "\n")
        return done.exit_code, done.output

    def events(self, *wanted: str) -> list[tuple[str, str, dict[str, Any]]]:
        """(event, actor, detail) of the audit."""
        from connector.ledger.audit import export

        with self.node.flow.ledger.database.reading() as connection:
            rows = list(export(connection))
        return [(str(r["event"]), str(r["actor"]), r["detail"]) for r in rows if r["event"] in wanted]  # type: ignore[misc]


@contextmanager
def office_of(node: Node) -> Iterator[Office]:
    """Commands work on *node* itself, whose clock is the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connector.config.load", lambda *_, **__: node.flow.config)
        patch.setattr("connector.app.assemble", lambda *_: node.flow)
        patch.setattr(node.flow.ledger.database, "close", lambda: None)
        yield Office(node)
