"""Passes referrals between two nodes in two processes while everything goes wrong, and counts what came of it.

    python -m tests.benchmarks.referral_soak [--referrals 1000] [--seed 1] [--namespaces] [--out FILE.json]

Requests and answers are lost, requests come twice and again later, processes are killed and started with other
clocks (now and then too far apart for any message to pass), and on both sides people act at once. It ends with
exit status 0 only if both sides show the same final state for every referral, none lost, none doubled, and no
identity at the receiver that was not accepted. Every message on the line is decrypted at the end and searched for names,
numbers and words. `--namespaces` puts each node into a network namespace of its own, with one line to the relay (root
and `ip` are needed). At the end, on a good line, it measures the time from writing a referral to its being in the other
side's inbox.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from connector.errors import Refused
from connector.ledger.audit import verify
from connector.referrals.envelope import unseal
from connector.referrals.machine import FINAL, Deed, State
from connector.referrals.messages import read_message
from tests.referrals.nodes import CANARIES, case_code, draft
from tests.referrals.processes import Namespace, NodeProcess, Relay, Room, until

_BATCH = 20
_MOST_MINUTES = 40
# What somebody may do next, from either side; a refusal is an answer too.
_RECEIVER = {
    State.RECEIVED: ["accept", "accept", "accept", "reject"],
    State.ACCEPTED: ["start", "start", "complete", "fail"],
    State.IN_PROGRESS: ["complete", "complete", "hold", "fail"],
    State.ON_HOLD: ["start"],
}
_CODES = {"reject": ("no_capacity", None), "fail": ("cannot_contact", None), "complete": (None, "completed_full")}


class Soak:
    """One run. *count* referrals, and a seeded chance for everything; *rooms* is where the two nodes run."""

    def __init__(self, folder: Path, count: int, seed: int, rooms: tuple[Room, Room]) -> None:
        self._rng, self._count = random.Random(seed), count
        others = (rooms[1], rooms[0])  # a node is reached through the other's line
        relays = [
            Relay(seed + side, lose=0.05, cut=0.05, repeat=0.15, at=other.outside)
            for side, other in enumerate(others, 1)
        ]
        self.police = NodeProcess(folder / "police", relays[0], rooms[0])
        self.shelter = NodeProcess(folder / "shelter", relays[1], rooms[1])
        self.police.pair(self.shelter)
        self.shelter.pair(self.police)
        self.ids: set[str] = set()
        self.counts: Counter[str] = Counter()

    def run(self) -> dict[str, object]:
        started = time.monotonic()
        self.police.start()
        self.shelter.start()
        while len(self.ids) < self._count or self._open():
            self._say()
            time.sleep(0.1)
            self._new()
            self._act()
            if self._rng.random() < 0.12:
                self._break()
            if time.monotonic() - started > _MOST_MINUTES * 60:
                break
        self._mend()
        verdict = self._verdict(time.monotonic() - started)
        return verdict | {"milliseconds_to_the_inbox": self._to_inbox()}

    def _to_inbox(self, count: int = 40) -> dict[str, int]:
        """From writing a referral to its being in the other side's ledger, one after the other, on a good line."""
        taken = []
        for _ in range(count):
            written = draft("shelter", self.police.now(), case_code=case_code(self._rng))
            begun = time.monotonic()
            one = self.police.desk.new(written, "shelter", "soak").row.id
            until(lambda: one in self.shelter.states())  # noqa: B023 (called at once)
            taken.append(round((time.monotonic() - begun) * 1000))
        return {"median": sorted(taken)[count // 2], "p95": sorted(taken)[count * 95 // 100], "longest": max(taken)}

    def _new(self) -> None:
        for _ in range(min(_BATCH, self._count - len(self.ids))):
            written = draft("shelter", self.police.now() - timedelta(days=1), case_code=case_code(self._rng))
            self.ids.add(self.police.desk.new(written, "shelter", "soak").row.id)

    def _act(self) -> None:
        """Some of the open referrals move on, on both sides."""
        for one, state in self.shelter.states().items():
            if state in _RECEIVER and self._rng.random() < 0.5:
                deed = self._rng.choice(_RECEIVER[State(state)])
                reason, outcome = _CODES.get(deed, (None, None))
                self._try("shelter", lambda: self.shelter.desk.act(one, Deed(deed), "soak", reason, outcome))  # noqa: B023 (called at once)
        for one, state in self.police.states().items():
            if state not in FINAL and self._rng.random() < 0.03:
                deed = self._rng.choice(["cancel", "withdraw", "confirm"])
                self._try("police", lambda: self.police.desk.act(one, Deed(deed), "soak"))  # noqa: B023 (called at once)

    def _try(self, who: str, act: Callable[[], object]) -> None:
        with suppress(Refused):
            act()
            self.counts[f"acts_{who}"] += 1

    def _break(self) -> None:
        """Kills one process and starts it with another clock; now and then the clocks are too far apart."""
        node = self._rng.choice([self.police, self.shelter])
        how = self._rng.choice([signal.SIGKILL, signal.SIGTERM])
        node.stop(how)
        self.counts["killed" if how is signal.SIGKILL else "stopped"] += 1
        self._act()
        skew = self._rng.choice([0, 60, 140, -60, -140, 400])
        self.counts["clock_too_far"] += skew > 300
        node.start(skew)

    def _mend(self) -> None:
        """Good clocks and a good line: whatever waits arrives."""
        for node in (self.police, self.shelter):
            node.stop()
            node.relay.lose = node.relay.cut = node.relay.repeat = 0.0
            node.start()
        end = time.monotonic() + 120
        while (self._unsent() or self.police.states() != self.shelter.states()) and time.monotonic() < end:
            time.sleep(0.2)

    def _open(self) -> bool:
        return any(state not in FINAL for node in (self.police, self.shelter) for state in node.states().values())

    def _unsent(self) -> int:
        return sum(node.desk.referrals.unsent() for node in (self.police, self.shelter))

    def _say(self) -> None:
        if sys.stderr.isatty():
            done = sum(state in FINAL for state in self.police.states().values())
            print(f"\r{len(self.ids)} sent, {done} ended ", end="", file=sys.stderr)

    def _verdict(self, seconds: float) -> dict[str, object]:
        here, there = self.police.states(), self.shelter.states()
        told = self._told()
        never_left = {one for one in self.ids - set(there) if here.get(one) == State.WITHDRAWN}
        chains = [self._chain(node) for node in (self.police, self.shelter)]
        relays = (self.police.relay, self.shelter.relay)
        return {
            "referrals": len(self.ids),
            "seconds": round(seconds, 1),
            "same_final_state": sum(here.get(one) == there.get(one) for one in self.ids),
            "withdrawn_before_anything_left": len(never_left),
            "lost": len(self.ids - set(there) - never_left),
            "doubled_or_foreign": len(set(there) - self.ids),
            "not_final": sum(state not in FINAL for state in here.values()),
            "unsent": self._unsent(),
            "states": dict(Counter(here.values())),
            "identities_told": len(told),
            **self._scanned(),
            "identities_without_acceptance": sum(not self._accepted(one) for one in told),
            "identities_in_a_process_log": sum(
                word in node.output for node in (self.police, self.shelter) for word in CANARIES.values()
            ),
            "audit_chains_whole": all(chains),
            "line": {key: sum(relay.counts[key] for relay in relays) for key in relays[0].counts},
            "answers": dict(sum((Counter(relay.statuses) for relay in relays), Counter())),
            **self.counts,
        }

    def _scanned(self) -> dict[str, int]:
        """Every message that was on the line to the shelter, decrypted, and the shelter's database as bytes."""
        found = Counter(messages_decrypted=0, messages_with_identity=0, messages_with_identity_before_acceptance=0)
        for body in self.shelter.relay.bodies.values():
            message = read_message(unseal(body, self.shelter.desk.keys))
            told = any(word in message.as_bytes().decode() for word in CANARIES.values())
            may = message.deed is Deed.DISCLOSE and self._accepted(str(message.referral))
            found.update(
                messages_decrypted=1,
                messages_with_identity=told,
                messages_with_identity_before_acceptance=told and not may,
            )
        self.shelter.desk.referrals.database.settle()
        kept = b"".join(file.read_bytes() for file in self.shelter.folder.glob("silah.db*"))
        in_file = sum(word.encode() in kept for word in CANARIES.values())
        return {**found, "identities_in_the_clear_in_the_receivers_database": in_file}

    def _told(self) -> set[str]:
        return {one for one in self.shelter.states() if self.shelter.desk.referrals.disclosed(one, "soak") is not None}

    def _accepted(self, one: str) -> bool:
        return any(
            logged.changed and logged.event.deed is Deed.ACCEPT
            for logged in self.shelter.desk.referrals.show(one).events
        )

    def _chain(self, node: NodeProcess) -> bool:
        with node.desk.referrals.database.reading() as connection:
            return verify(connection)[1] is None

    def close(self) -> None:
        for node in (self.police, self.shelter):
            node.close()
            node.relay.close()


def good(verdict: dict[str, object], count: int) -> bool:
    """Whether nothing was lost, doubled, told too early or left different."""
    zero = (
        "lost",
        "doubled_or_foreign",
        "not_final",
        "unsent",
        "identities_without_acceptance",
        "messages_with_identity_before_acceptance",
        "identities_in_the_clear_in_the_receivers_database",
        "identities_in_a_process_log",
    )
    same = int(str(verdict["same_final_state"])) + int(str(verdict["withdrawn_before_anything_left"]))
    return (
        same == count == verdict["referrals"]
        and bool(verdict["audit_chains_whole"])
        and not any(verdict[key] for key in zero)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Referrals through outages, replays and wrong clocks.")
    parser.add_argument("--referrals", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--namespaces", action="store_true", help="each node in a network namespace; needs root")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rooms = (Namespace(1), Namespace(2)) if asked.namespaces else (Room(), Room())
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), asked.referrals, asked.seed, rooms)
        try:
            verdict = soak.run()
        finally:
            soak.close()
            for room in rooms:
                room.close()
    text = json.dumps(verdict, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(0 if good(verdict, asked.referrals) else 1)


if __name__ == "__main__":
    main()
