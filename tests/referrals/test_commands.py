"""`silah referral` and `silah partner` as contract §5 and §8 have them, through the real command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pyrage
import pytest
from click.testing import CliRunner

from connector.cli import main
from connector.ledger.users import Users
from connector.setup import new_key
from tests.referrals.nodes import CANARIES, Machine, Pair, configuration_text, draft


class Desk:
    """The command line of one node; no server runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.exists():
            folder.mkdir(parents=True)
            list(new_key(folder / "keys" / "master.key"))
            (folder / "silah.toml").write_text(
                configuration_text(f"https://{folder.name}.example.org"), encoding="utf-8"
            )

    def run(self, *words: str, status: int = 0) -> str:
        done = CliRunner().invoke(main, ["--config", str(self.folder / "silah.toml"), *words])
        assert status == done.exit_code, done.output
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def file(self, name: str, value: object) -> str:
        path = self.folder / name
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        return str(path)


@pytest.fixture
def desk(pair: Pair) -> Desk:
    """The sender's command line; its node knows `shelter`."""
    return Desk(pair.sender.folder)


@pytest.fixture
def other(pair: Pair) -> Desk:
    """The receiver's command line."""
    return Desk(pair.receiver.folder)


@pytest.fixture
def fresh(tmp_path: Path) -> Desk:
    """A node whose database does not exist yet."""
    return Desk(tmp_path / "fresh")


def test_a_node_is_paired_before_it_was_ever_served(fresh: Desk, pair: Pair) -> None:
    """`partner export` and `partner add` work on a machine where nothing has run; the export holds nothing private."""
    exported = json.loads(fresh.run("partner", "export"))
    theirs = json.loads(pair.sender.exchange.export().model_dump_json())
    added = fresh.json("partner", "add", fresh.file("theirs.json", theirs), "--name", "police")

    assert "https://fresh.example.org" == exported["url"]
    assert exported == fresh.json("partner", "export")
    assert {"name": "police", "url": theirs["url"], "fingerprint": theirs["fingerprint"]} == added
    assert '"d"' not in json.dumps(exported)
    assert ["police"] == [one["name"] for one in fresh.json("partner", "list")]


def test_a_partner_whose_keys_were_changed_is_refused(fresh: Desk, pair: Pair) -> None:
    """The fingerprint is that of both keys: another key, our own export and a private key are refused, another address is not."""
    theirs = json.loads(pair.sender.exchange.export().model_dump_json())
    another = json.loads(pair.receiver.exchange.export().model_dump_json())
    ours = json.loads(fresh.run("partner", "export"))
    private = {**theirs, "encryption_key": {**theirs["encryption_key"], "d": theirs["signing_key"]["x"]}}
    for wrong in ({**theirs, "encryption_key": another["encryption_key"]}, ours, private, {"url": "x"}, []):
        fresh.run("partner", "add", fresh.file("wrong.json", wrong), "--name", "police", status=1)
    moved = fresh.json(
        "partner", "add", fresh.file("moved.json", {**theirs, "url": "https://moved.example.org"}), "--name", "police"
    )

    assert "https://moved.example.org" == moved["url"]


def test_one_name_is_one_node(desk: Desk, tmp_path: Path, pair: Pair) -> None:
    """A name that stands for a node cannot be given to another: consents name it."""
    third = Machine(tmp_path / "third", pair.clock)
    exported = json.loads(third.exchange.export().model_dump_json())
    third.close()

    desk.run("partner", "add", desk.file("third.json", exported), "--name", "shelter", status=1)


def test_export_needs_an_address(fresh: Desk) -> None:
    """Without `public_url` it stops with exit status 2 and names the key."""
    file = fresh.folder / "silah.toml"
    file.write_text(
        "\n".join(line for line in file.read_text().splitlines() if "public_url" not in line), encoding="utf-8"
    )

    fresh.run("partner", "export", status=2)


def test_new_prints_id_state_and_code_while_nothing_runs(desk: Desk) -> None:
    """Exactly these keys; kept at once, sent when the server runs."""
    written = draft("shelter", datetime.now(UTC))
    told = desk.json("referral", "new", desk.file("r.json", written), "--to", "shelter")
    listed = desk.json("referral", "list")

    assert {"id", "state", "case_code"} == set(told)
    assert ("requested", written["case_code"]) == (told["state"], told["case_code"])
    assert [{"id", "state", "case_code", "partner", "direction", "due_at", "overdue"}] == [set(one) for one in listed]
    assert [(told["id"], "shelter", "out", False)] == [
        (one["id"], one["partner"], one["direction"], one["overdue"]) for one in listed
    ]


def test_an_emergency_begins_with_a_call(desk: Desk, pair: Pair) -> None:
    """The duty number stands on the terminal, beside the JSON and not in it."""
    exported = json.loads(pair.receiver.exchange.export().model_dump_json())
    desk.run("partner", "add", desk.file("shelter.json", exported), "--name", "shelter", "--duty-number", "199")
    file = desk.file("r.json", draft("shelter", datetime.now(UTC), priority="emergency_24h"))
    words = ["--config", str(desk.folder / "silah.toml"), "referral", "new", file, "--to", "shelter", "--json"]
    done = CliRunner().invoke(main, words)

    assert "CALL NOW: 199" in done.stderr
    assert {"id", "state", "case_code"} == set(json.loads(done.stdout))


def test_the_loop_by_command_line(desk: Desk, other: Desk, pair: Pair) -> None:
    """New, accept, start, hold, start, complete: identity after acceptance alone, the same end on both sides."""
    file = desk.file("r.json", draft("shelter", datetime.now(UTC)))
    one = desk.json("referral", "new", file, "--to", "shelter")["id"]
    pair.clock.forward(minutes=1)  # the command line looks at the real clock
    pair.settle()
    before = other.json("referral", "show", one)
    states = [other.json("referral", "accept", one)["state"]]
    pair.settle()
    after = other.json("referral", "show", one)
    states += [other.json("referral", deed, one)["state"] for deed in ("start", "hold", "start")]
    states.append(other.json("referral", "complete", one, "--outcome", "completed_full")["state"])
    pair.settle()
    seen = desk.json("referral", "show", one)

    assert "identity" not in before
    assert CANARIES == after["identity"]
    assert ["accepted", "in_progress", "on_hold", "in_progress", "completed"] == states
    assert ("completed", "completed_full") == (seen["state"], seen["events"][-1]["outcome"])
    assert "identity" not in seen


@pytest.mark.parametrize(
    "words",
    [
        ("accept",), ("start",), ("hold",), ("complete", "--outcome", "completed_full"), ("confirm",),
        ("fail", "--reason", "other"), ("reject", "--reason", "other"), ("cancel", "--reason", "she_left"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_what_is_not_allowed_exits_1_and_changes_nothing(desk: Desk, pair: Pair, words: tuple[str, ...]) -> None:
    """The sender does what only the receiver may, confirms what is not late, gives a reason that is no code."""
    one = pair.delivered()
    before = desk.json("referral", "show", one)
    desk.run("referral", words[0], one, *words[1:], status=1)

    assert before == desk.json("referral", "show", one)


def test_the_receiver_gives_a_reason(other: Desk, pair: Pair) -> None:
    """`reject` without a reason, or with one that is not of the list, exits 1; with one of the list it is rejected."""
    one = pair.delivered()
    other.run("referral", "reject", one, status=1)
    other.run("referral", "reject", one, "--reason", "did not like it", status=1)

    assert "rejected" == other.json("referral", "reject", one, "--reason", "no_capacity")["state"]


@pytest.mark.parametrize("deed", ["cancel", "withdraw"])
def test_the_sender_ends_it(desk: Desk, pair: Pair, deed: str) -> None:
    """Before an answer and without one."""
    one = pair.delivered()
    words = ["--reason", "no_longer_needed"] if deed == "cancel" else []

    assert {"cancel": "cancelled", "withdraw": "withdrawn"}[deed] == desk.json("referral", deed, one, *words)["state"]


def test_what_is_not_there_exits_1(desk: Desk) -> None:
    """An unknown referral, an unknown partner, a file that is not JSON: a code, no traceback, no contents."""
    desk.run("referral", "show", "no-such-id", status=1)
    desk.run("referral", "accept", "no-such-id", status=1)
    desk.run("referral", "new", desk.file("r.json", draft("nobody", datetime.now(UTC))), "--to", "nobody", status=1)
    desk.run("referral", "new", desk.file("list.json", [1]), "--to", "shelter", status=1)
    file = desk.folder / "broken.json"
    file.write_text("{Zahra", encoding="utf-8")
    done = CliRunner().invoke(
        main, ["--config", str(desk.folder / "silah.toml"), "referral", "new", str(file), "--to", "shelter"]
    )

    assert 1 == done.exit_code
    assert "Zahra" not in done.output


def test_tables_tell_no_identity(desk: Desk, other: Desk, pair: Pair) -> None:
    """What a terminal shows without --json names nobody."""
    one = pair.delivered()
    pair.receiver.do(one, "accept")
    pair.settle()
    shown = other.run("referral", "show", one) + other.run("referral", "list") + desk.run("referral", "show", one)

    assert one in shown
    assert not any(word in shown for word in CANARIES.values())


def test_the_desk_without_a_dashboard(desk: Desk, other: Desk, pair: Pair) -> None:
    """A joint case, its notes and its paper; a partner by hand, its link; counts of a month; services delivered before."""
    key = str(pyrage.x25519.Identity.generate().to_public())
    desk.run("partner", "by-hand", "aman", "--key", key, "--folder", "out", "--language", "ar")
    desk.run("partner", "by-hand", "aman", "--key", "no key", "--folder", "out", status=1)
    written = draft("", datetime.now(UTC))
    yes = {name: written["consent"][name] for name in ("given", "expires")}
    parties = [
        {"partner": name, "services_requested": ["housing"], "tell": ["name"], "consent": yes}
        for name in ("shelter", "aman")
    ]
    common = {key: written[key] for key in written if key not in {"services_requested", "reason_code", "consent"}}
    rows = desk.json("referral", "joint", desk.file("joint.json", {**common, "parties": parties}))
    assert [("shelter", "requested"), ("aman", "requested")] == [(row["partner"], row["state"]) for row in rows]
    code, by_hand = rows[0]["case_code"], rows[1]["id"]
    pair.settle()

    assert "nobody else reads it" in desk.run("referral", "note", code, desk.file("note.json", {"text": "ours alone"}))
    [note] = desk.json("referral", "notes", code)
    assert ("own", [], "ours alone") == (note["origin"], note["readers"], note["text"])
    paper = desk.run("referral", "paper", code, "--language", "fa")
    assert 'dir="rtl"' in paper
    assert [] == [word for word in (*CANARIES.values(), "ours alone") if word in paper]

    link = desk.json("referral", "link", by_hand)
    assert link["url"].startswith("https://police.example.org/answer/")
    assert link["code"] not in link["url"]
    desk.run("referral", "link", rows[0]["id"], status=1)

    said = desk.run("partner", "report", "shelter", "--month", "2020-01")
    assert said.startswith("0 counts of 2020-01")
    desk.run("partner", "report", "aman", "--month", "2020-01", status=1)
    [report] = desk.json("partner", "reports")
    assert ("shelter", "out", "2020-01", "due") == tuple(
        report[key] for key in ("partner", "direction", "period", "state")
    )
    assert [] == other.json("partner", "reports")

    table = desk.folder / "done.csv"
    table.write_text("id,day,branch,service\n1,2020-01-05,501,housing\n", encoding="utf-8")
    assert "1 services were counted" in desk.run("referral", "services", "delivered", str(table))


def test_a_referral_to_authorities_by_command(desk: Desk, pair: Pair) -> None:
    """It stays a draft; a wrong second factor, a role that may not and the same user twice do not release it."""
    exported = desk.file("shelter.json", json.loads(pair.receiver.exchange.export().model_dump_json()))
    desk.run("partner", "add", exported, "--name", "shelter", "--recipient", "authorities")
    written = draft("shelter", datetime.now(UTC), purpose="protection_order", risk_explained=True)
    id_ = desk.json("referral", "new", desk.file("one.json", written), "--to", "shelter")["id"]
    users = Users(pair.sender.flow.ledger.database, pair.sender.flow.ledger.master, pair.sender.flow.ledger.now)
    roles = {"amal": "case_worker", "yusuf": "supervisor", "clerk": "admin"}
    secrets = {
        name: users.add(name, role, "test").partition("secret=")[2].partition("&")[0] for name, role in roles.items()
    }

    def release(name: str, code: str | None = None) -> tuple[int, str]:
        typed = (code or pyotp.TOTP(secrets[name]).now()) + "\n"
        words = ["--config", str(desk.folder / "silah.toml"), "referral", "release", id_, "--as", name]
        done = CliRunner().invoke(main, words, input=typed)
        return done.exit_code, pair.sender.state(id_)

    assert [(1, "draft"), (1, "draft"), (0, "draft"), (1, "draft"), (0, "requested")] == [
        release("amal", "000000"), release("clerk"), release("amal"), release("amal"), release("yusuf"),
    ]  # fmt: skip
