"""Two nodes in one process, joined by a line that a test can cut, jam and listen to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connector import config as configuration
from connector.app import assemble
from connector.ledger.referrals import Outgoing, Partner, Shown
from connector.model import luhn_valid
from connector.outbound import Answer, Unreachable
from connector.pipeline import Pipeline
from connector.referrals.envelope import unseal
from connector.referrals.exchange import Exchange, exchange_of
from connector.referrals.machine import Deed
from connector.setup import new_key
from webhooks.edge import create_app

# Words that must never be where they do not belong; none of them is a person.
CANARIES = {
    "name": "Zahra Canary-Name", "contact": "+962 79 000 0001", "safe_contact": "Canary-Sister after six",
    "free_text": "canary words, كلمات الكناري",
}  # fmt: skip


class Clock:
    """A clock that a test moves; *skew* is how wrong one machine's clock is."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def forward(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


def case_code(rng: random.Random) -> str:
    """A case code of branch 101."""
    body = f"101{rng.randrange(10**7):07d}"
    return next(body + str(digit) for digit in range(10) if luhn_valid(body + str(digit)))


def draft(partner: str, now: datetime, **changes: Any) -> dict[str, Any]:
    """A referral as a person writes it, canaries for identity, consent good for thirty days."""
    written = {
        "kind": "referral", "priority": "urgent_72h", "case_code": case_code(random.Random(7)), "client_sex": "female",
        "age_group": "18-59", "services_requested": ["psychosocial_service"], "reason_code": ["counselling"],
        "safe_rule": ["no_voicemail", "mornings"], "protocol_version": "1.0",
        "consent": {
            "recipient": partner, "given": (now - timedelta(days=1)).isoformat(),
            "expires": (now + timedelta(days=30)).isoformat(),
        },
        "identity": dict(CANARIES),
    }  # fmt: skip
    return written | changes


@dataclass
class Sent:
    """One request on the line, as an eavesdropper has it, and what was answered (None: nothing)."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None


class Line:
    """From one node to another: an attempt may not arrive, or its answer may not."""

    def __init__(self, receiver: Machine) -> None:
        self._receiver = receiver
        self.log: list[Sent] = []
        self.cut_before = self.cut_after = False
        self.answer: Callable[[Answer], Answer] = lambda answer: answer

    def call(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes, most: int) -> Answer:
        sent = Sent(path, dict(headers), body)
        self.log.append(sent)
        if self.cut_before:
            raise Unreachable("refused")
        answer = self.post(sent)
        if self.cut_after:
            raise Unreachable("cut")
        sent.status = answer.status
        return self.answer(answer)

    def post(self, sent: Sent) -> Answer:
        """The request once more, byte for byte."""
        got = self._receiver.client.post(sent.path, data=sent.body, headers=sent.headers)
        return Answer(got.status_code, {name.lower(): value for name, value in got.headers}, got.data)


@dataclass
class Machine:
    """One node: its own folder, database, keys and clock."""

    folder: Path
    clock: Clock
    skew: timedelta = timedelta(0)
    more: str = ""
    database: str = "sqlite:///silah.db"
    flow: Pipeline = field(init=False)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        list(new_key(self.folder / "keys" / "master.key"))
        text = configuration_text(f"https://{self.folder.name}.example.org", self.database) + self.more
        (self.folder / "silah.toml").write_text(text, encoding="utf-8")
        self.flow = assemble(configuration.load(self.folder / "silah.toml"), self.now)
        self.exchange = exchange_of(self.flow.config, self.flow.ledger, self.flow.tell)
        self.client = create_app(self.flow).test_client()

    def now(self) -> datetime:
        return self.clock.moment + self.skew

    @property
    def name(self) -> str:
        return self.folder.name

    def pair(self, other: Machine) -> Partner:
        exported = json.loads(other.exchange.export().model_dump_json())
        return self.exchange.pair(exported, other.name, None, "test")

    def show(self, referral_id: str) -> Shown:
        return self.exchange.referrals.show(referral_id)

    def state(self, referral_id: str) -> str:
        return self.show(referral_id).row.state

    def do(self, referral_id: str, deed: str, **codes: str) -> None:
        self.exchange.act(referral_id, Deed(deed), "test", **codes)

    def audit(self) -> list[Mapping[str, Any]]:
        from connector.ledger.audit import export

        with self.flow.ledger.database.reading() as connection:
            return list(export(connection))

    def opened(self, sent: Sent) -> str:
        """What an eavesdropper would read with this node's private key."""
        return unseal(sent.body, self.exchange.keys).decode()

    def close(self) -> None:
        self.flow.ledger.database.close()


def configuration_text(url: str, database: str = "sqlite:///silah.db") -> str:
    return f"""society = "JO-RC"
database = "{database}"
data_dir = "var"
master_key_file = "keys/master.key"
public_url = "{url}"
"""


class Pair:
    """A sender (`police`) and a receiver (`shelter`) that know each other."""

    def __init__(
        self, folder: Path, at_sender: str = "", at_receiver: str = "", databases: tuple[str, str] | None = None
    ) -> None:
        self.clock = Clock()
        stores = databases or ("sqlite:///silah.db", "sqlite:///silah.db")
        self.sender = Machine(folder / "police", self.clock, more=at_sender, database=stores[0])
        self.receiver = Machine(folder / "shelter", self.clock, more=at_receiver, database=stores[1])
        self.to_receiver, self.to_sender = Line(self.receiver), Line(self.sender)
        self._receiver_known, self._sender_known = self.sender.pair(self.receiver), self.receiver.pair(self.sender)

    def new(self, **changes: Any) -> str:
        """A referral that the sender wrote; nothing is sent yet."""
        written = draft(self.receiver.name, self.sender.now(), **changes)
        return self.sender.exchange.new(written, self.receiver.name, "test").row.id

    def due(self) -> tuple[list[Outgoing], list[Outgoing]]:
        """What either side would send now."""
        return (
            self.sender.exchange.referrals.outgoing(self._receiver_known, 100, ()),
            self.receiver.exchange.referrals.outgoing(self._sender_known, 100, ()),
        )

    def send(self) -> list[str]:
        """One attempt for all that is due at the sender; what became of each."""
        due = self.due()[0]
        return [self.sender.exchange.attempt(self._receiver_known, self.to_receiver, one) for one in due]  # type: ignore[arg-type]

    def send_back(self) -> list[str]:
        """One attempt for all that is due at the receiver."""
        due = self.due()[1]
        return [self.receiver.exchange.attempt(self._sender_known, self.to_sender, one) for one in due]  # type: ignore[arg-type]

    def settle(self) -> None:
        """Sends both ways until nothing is due."""
        for _ in range(100):
            if not self.send() + self.send_back():
                return
        raise AssertionError("there is no end to what is due")

    def delivered(self, **changes: Any) -> str:
        """A referral that has arrived."""
        referral_id = self.new(**changes)
        self.settle()
        return referral_id

    def states(self, referral_id: str) -> tuple[str, str]:
        return self.sender.state(referral_id), self.receiver.state(referral_id)

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()
