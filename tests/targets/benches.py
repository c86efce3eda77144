"""One bench for each type of target: the target, the system it writes to, and how to look at and disturb that system."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyrage
from pyrage import x25519

from connector import config as configuration
from connector.targets import Target
from connector.targets.dhis2 import Dhis2
from connector.targets.espocrm import EspoCrm
from connector.targets.handover import Handover
from connector.targets.primero import Primero
from connector.targets.workbook import Workbook
from tests.targets import stub_dhis2, stub_espocrm, stub_primero
from tests.targets.releases import root
from tests.targets.stub_dhis2 import Dhis2Stub
from tests.targets.stub_espocrm import EspoStub
from tests.targets.stub_primero import PrimeroStub


class Bench(Protocol):
    """What the contract suite needs of a type of target."""

    target: Target
    identities: bool
    """Whether it holds people, or counts only."""

    def held(self, number: int) -> str | None:
        """Everything that the other side holds of a record, as text; None when it holds nothing (any more)."""

    def count(self) -> int:
        """How many records it holds."""

    def down(self) -> None:
        """From now on nothing can be delivered, for a reason that may pass."""

    def refuse(self) -> None:
        """From now on everything is refused for good."""

    def up(self) -> None:
        """Everything works again."""

    def close(self) -> None:
        """The other side ends."""


def target_config(home: Path, monkeypatch_env: Mapping[str, str] | None = None, **table: Any) -> configuration.Target:
    """The table `[targets.bench]` as `silah.toml` would have it, in *home*."""
    data = {
        "society": "SY-RC", "database": "sqlite:///silah.db", "master_key_env": "UNUSED",
        "targets": {"bench": {"recipient": "own_society", "accepts": ["tracing_request"], **table}},
    }  # fmt: skip
    return configuration.parse(data, home / "silah.toml").targets["bench"]


_TIMES = frozenset({"last_updated_at", "modifiedAt"})


def without_nulls(value: Any) -> Any:
    """What is null is not held, and when it was last touched is no part of it."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None and key not in _TIMES}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


class WorkbookBench:
    """A folder of workbooks, written at once."""

    identities = True

    def __init__(self, home: Path, **table: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.folder = home / "books"
        settings = {"type": "workbook", "folder": "books", "rewrite_every": "off", "language": "ar", **table}
        self.target = Workbook("bench", target_config(home, **settings))

    def rows(self) -> list[dict[str, str]]:
        return [
            row
            for file in sorted(self.folder.glob("bench-*.csv"))
            for row in csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines())
        ]

    def held(self, number: int) -> str | None:
        rows = [row for row in self.rows() if row["record"] == root(number) and row["case_code"]]
        return "\n".join(" ".join(row.values()) for row in rows) or None

    def count(self) -> int:
        return len({row["record"] for row in self.rows() if row["case_code"]})

    def down(self) -> None:
        if self.folder.exists():
            self.folder.rename(self.folder.with_name("aside"))
        self.folder.write_text("a file where the folder should be")

    def refuse(self) -> None:
        raise AssertionError("a folder refuses nothing for good")

    def up(self) -> None:
        self.folder.unlink()
        aside = self.folder.with_name("aside")
        if aside.exists():
            aside.rename(self.folder)

    def close(self) -> None:
        """Nothing runs."""


class HandoverBench:
    """A hand-over folder, and the key of whoever collects from it."""

    identities = True

    def __init__(self, home: Path, **table: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.folder = home / "out"
        self.identity = x25519.Identity.generate()
        keys = [str(self.identity.to_public())]
        settings = {
            "type": "handover",
            "folder": "out",
            "public_keys": keys,
            "receipt": "none",
            "language": "fa",
            **table,
        }
        self.target = Handover("bench", target_config(home, **settings))

    def sealed(self) -> list[Path]:
        return sorted(self.folder.glob("*.age"))

    def opened(self, file: Path) -> dict[str, bytes]:
        """What whoever has the key finds in a file."""
        plain = pyrage.decrypt(file.read_bytes(), [self.identity])
        with zipfile.ZipFile(io.BytesIO(plain)) as bundle:
            return {name: bundle.read(name) for name in bundle.namelist()}

    def records(self) -> list[dict[str, Any]]:
        """The newest word on each record."""
        found = [json.loads(self.opened(file)["record.json"]) for file in self.sealed()]
        assert len(found) == len({one["id"] for one in found})
        return [one for one in found if one["action"] == "upsert"]

    def held(self, number: int) -> str | None:
        found = [json.dumps(one, ensure_ascii=False) for one in self.records() if one["id"] == root(number)]
        return found[0] if found else None

    def count(self) -> int:
        return len(self.records())

    down, refuse, up = WorkbookBench.down, WorkbookBench.refuse, WorkbookBench.up

    def close(self) -> None:
        """Nothing runs."""


class PrimeroBench:
    """A Primero instance whose role has the forms that Primero ships."""

    identities = True

    def __init__(self, home: Path, **table: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "user").write_text(stub_primero.USER)
        (home / "password").write_text(stub_primero.PASSWORD)
        self.stub = PrimeroStub()
        self.server = self.stub.serve()
        settings = {
            "type": "primero", "url": self.server.url, "module": stub_primero.MODULE,
            "username_file": "user", "password_file": "password", "timeout": "2s", **table,
        }  # fmt: skip
        self.target = Primero("bench", target_config(home, **settings))

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        return self.stub.records["tracing_requests"]

    def held(self, number: int) -> str | None:
        record = self.records.get(root(number))
        if record is None or not record["record_state"]:
            return None
        traces = [one for one in self.stub.traces.values() if one["tracing_request_id"] == root(number)]
        return json.dumps(without_nulls([record, traces]), ensure_ascii=False)

    def count(self) -> int:
        return sum(record["record_state"] for record in self.records.values())

    def down(self) -> None:
        self.stub.configuring = True

    def refuse(self) -> None:
        self.stub.forms["tracing_request"]["tracing_request_inquirer"]["relation_telephone"] = "numeric_field"

    def up(self) -> None:
        self.stub.configuring = False

    def close(self) -> None:
        self.server.close()


class EspoBench:
    """An EspoCRM with the entities that the mapping we ship needs."""

    identities = True

    def __init__(self, home: Path, **table: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "key").write_text(stub_espocrm.KEY)
        (home / "secret").write_text(stub_espocrm.SECRET)
        self.stub = EspoStub(signed="signing_secret_file" in table, digest=table.get("hmac_digest", "raw"))
        self.server = self.stub.serve()
        settings = {"type": "espocrm", "url": self.server.url, "token_file": "key", "timeout": "2s", **table}
        self.target = EspoCrm("bench", target_config(home, **settings))

    def held(self, number: int) -> str | None:
        found = [one for one in self.stub.live("CTracingRequest") if one["silahId"] == root(number)]
        if not found:
            return None
        rows = [one for one in self.stub.live("CSoughtPerson") if one["tracingRequestId"] == found[0]["id"]]
        return json.dumps(without_nulls([found[0], rows]), ensure_ascii=False)

    def count(self) -> int:
        return len(self.stub.live("CTracingRequest"))

    def down(self) -> None:
        self.stub.down = True

    def refuse(self) -> None:
        self.stub.fields["CTracingRequest"]["enquirerPhone"] = "int"

    def up(self) -> None:
        self.stub.down = False

    def close(self) -> None:
        self.server.close()


class Dhis2Bench:
    """A DHIS2 that counts requests by the enquirer's sex and people looked for by theirs."""

    identities = False

    def __init__(self, home: Path, **table: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "token").write_text(stub_dhis2.TOKEN)
        combinations = "\n".join(f'"{code}" = "{uid}"' for code, uid in stub_dhis2.COMBINATIONS.items())
        (home / "dhis2.toml").write_text(
            f'[values.branch]\n101 = "{stub_dhis2.UNIT}"\n[values.sex]\n{combinations}\n'
            '[tracing_request]\nto = "lyLU2wR22tC"\n[tracing_request.fields]\n'
            'orgUnit = { from = "interview.branch", values = "branch" }\n'
            f'{stub_dhis2.REQUESTS} = {{ from = "enquirer.sex", values = "sex" }}\n'
            '[[tracing_request.rows]]\nto = "people"\nfrom = "sought"\n'
            f'fields = {{ {stub_dhis2.PEOPLE} = {{ from = "sex", values = "sex" }} }}\n'
        )
        self.folder = home / "tally"
        self.stub = Dhis2Stub()
        self.server = self.stub.serve()
        settings = {
            "type": "dhis2", "url": self.server.url, "token_file": "token", "folder": "tally", "mapping": "dhis2.toml",
            "recipient": "statistics", "timeout": "2s", **table,
        }  # fmt: skip
        self.target = Dhis2("bench", target_config(home, **settings))

    def held(self, number: int) -> str | None:
        """The numbers there, as long as the record is one of those that are counted."""
        tally = self.folder / "tally.jsonl"
        lines = [json.loads(line) for line in tally.read_text().splitlines()] if tally.exists() else []
        counted = {record: cells for record, _, _, cells in lines}
        return json.dumps(sorted(self.stub.values.items())) if counted.get(root(number)) else None

    def count(self) -> int:
        return self.stub.total(stub_dhis2.REQUESTS)

    def down(self) -> None:
        self.stub.down = True

    def refuse(self) -> None:
        self.stub.closed.add("202611")

    def up(self) -> None:
        self.stub.down = False

    def close(self) -> None:
        self.server.close()
