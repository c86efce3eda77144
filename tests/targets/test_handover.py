"""The encrypted hand-over: who can open it, what closes it, what is left in the folder."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyrage
import pytest
from openpyxl import load_workbook
from pyrage import x25519

from connector.errors import Misconfigured, TargetError
from connector.model import Recipient
from tests.targets.benches import HandoverBench, target_config
from tests.targets.releases import MARKS, release, root, stamp, withdrawal

PHOTO = b"\xff\xd8\xff the bytes of a picture"


def test_the_file_holds_the_record_for_machines_and_for_people(tmp_path: Path) -> None:
    """Whoever has the key finds the JSON of a REST delivery, the row as a workbook and the printable page."""
    bench = HandoverBench(tmp_path)
    bench.target.deliver(release(photo=PHOTO))
    bundle = bench.opened(bench.sealed()[0])
    record = json.loads(bundle["record.json"])
    sheet = load_workbook(io.BytesIO(bundle["record.xlsx"])).worksheets[0]

    assert {"record.json", "record.xlsx", "case-file.html", "receipt.txt"} == set(bundle)
    assert ("upsert", root(1), 1) == (record["action"], record["id"], len(record["attachments"]))
    assert sheet.sheet_view.rightToLeft
    assert "برادر" in [cell.value for cell in sheet[2]]
    assert "کریم".encode() in bundle["case-file.html"] or "كريم".encode() in bundle["case-file.html"]


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """Nothing in the folder, names of files included, holds an answer; another key opens nothing."""
    bench = HandoverBench(tmp_path)
    bench.target.deliver(release(photo=PHOTO))
    everything = b"".join(file.read_bytes() + file.name.encode() for file in bench.folder.iterdir())
    [sealed] = bench.sealed()

    assert [] == [mark for mark in MARKS if mark.encode() in everything]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed.read_bytes(), [x25519.Identity.generate()])


def test_only_what_the_recipient_may_have_is_in_it(tmp_path: Path) -> None:
    """Another national society receives what policy lets it have: not what the family believes."""
    bench = HandoverBench(tmp_path, recipient="national_society", society="TR-RC", release="auto")
    bench.target.deliver(release(to=Recipient.NATIONAL_SOCIETY))
    bundle = b"".join(bench.opened(bench.sealed()[0]).values())

    assert b"alive_unknown_whereabouts" not in bundle
    assert "كريم".encode() in bundle


def test_the_receipt_from_inside_closes_the_delivery(tmp_path: Path) -> None:
    """Until the recipient gives back what was inside, the delivery is tried again; then it is closed and the file is gone."""
    bench = HandoverBench(tmp_path, receipt="wait", receipt_every="5m")
    with pytest.raises(TargetError) as waiting:
        bench.target.deliver(release())
    [sealed] = bench.sealed()
    sealed.with_suffix(".receipt").write_bytes(bench.opened(sealed)["receipt.txt"] + b"\n")
    receipt = bench.target.deliver(release())

    assert ("target.no_receipt", False, 300.0) == (
        waiting.value.code, waiting.value.permanent, waiting.value.retry_after.total_seconds() if waiting.value.retry_after else 0
    )  # fmt: skip
    assert sealed.name == receipt.external_id
    assert [] == bench.sealed()
    assert receipt == bench.target.deliver(release())


@pytest.mark.parametrize("given", [b"", b"received, thank you", b"0" * 32, b"\xff\xfe"])
def test_a_receipt_of_somebody_who_did_not_open_it_closes_nothing(tmp_path: Path, given: bytes) -> None:
    """Whatever is put there without having opened the file, the delivery stays open and the file stays."""
    bench = HandoverBench(tmp_path, receipt="wait")
    with pytest.raises(TargetError):
        bench.target.deliver(release())
    [sealed] = bench.sealed()
    sealed.with_suffix(".receipt").write_bytes(given)
    with pytest.raises(TargetError) as refused:
        bench.target.deliver(release())

    assert ("target.receipt_not_right", False) == (refused.value.code, refused.value.permanent)
    assert [sealed] == bench.sealed()


def test_the_hash_in_the_folder_is_no_receipt(tmp_path: Path) -> None:
    """What lies in clear beside the file does not do as its receipt."""
    bench = HandoverBench(tmp_path, receipt="wait")
    with pytest.raises(TargetError):
        bench.target.deliver(release())
    [sealed] = bench.sealed()
    sealed.with_suffix(".receipt").write_bytes(sealed.with_suffix(".expects").read_bytes())

    with pytest.raises(TargetError):
        bench.target.deliver(release())


def test_a_file_that_was_taken_away_is_not_made_again(tmp_path: Path) -> None:
    """A recipient moves the file away before confirming: it is waited for, and its receipt still closes the delivery."""
    bench = HandoverBench(tmp_path, receipt="wait")
    with pytest.raises(TargetError):
        bench.target.deliver(release())
    [sealed] = bench.sealed()
    token = bench.opened(sealed)["receipt.txt"]
    sealed.unlink()
    with pytest.raises(TargetError):
        bench.target.deliver(release())
    taken = bench.sealed()
    sealed.with_suffix(".receipt").write_bytes(token)

    assert [] == taken
    assert sealed.name == bench.target.deliver(release()).external_id


def test_a_withdrawal_removes_what_nobody_collected_and_tells_the_rest(tmp_path: Path) -> None:
    """What still lies there is removed; a file without data tells the recipient to remove what it took."""
    bench = HandoverBench(tmp_path)
    bench.target.deliver(release())
    bench.target.deliver(withdrawal(stamp(version=2)))
    [sealed] = bench.sealed()
    bundle = bench.opened(sealed)

    assert {"record.json", "receipt.txt"} == set(bundle)
    assert ("withdraw", {}) == (
        json.loads(bundle["record.json"])["action"],
        json.loads(bundle["record.json"])["fields"],
    )


def test_a_late_repeat_of_an_older_version_changes_nothing(tmp_path: Path) -> None:
    """Version 1 again after version 2: the newer file stays."""
    bench = HandoverBench(tmp_path)
    bench.target.deliver(release())
    bench.target.deliver(release(of=stamp(version=2)))
    before = bench.sealed()
    bench.target.deliver(release())

    assert before == bench.sealed()


def test_several_keys_each_open_it(tmp_path: Path) -> None:
    """Two keys, of the office and of its deputy: each opens the file alone."""
    deputy = x25519.Identity.generate()
    bench = HandoverBench(tmp_path)
    config = target_config(
        tmp_path, type="handover", folder="out", receipt="none",
        public_keys=[str(bench.identity.to_public()), str(deputy.to_public())],
    )  # fmt: skip
    type(bench.target)("bench", config).deliver(release())
    bench.identity = deputy

    assert bench.held(1) is not None


@pytest.mark.parametrize("key", ["", "age1notakey", "ssh-rsa AAAA", "AGE-SECRET-KEY-1"])
def test_a_key_that_is_none_is_refused_at_the_start(tmp_path: Path, key: str) -> None:
    """A wrong key is an error that names the setting, before anything is written."""
    with pytest.raises(Misconfigured) as refused:
        HandoverBench(tmp_path, public_keys=[key])

    assert "config.bad_public_key" == refused.value.code
    assert "targets.bench.public_keys" in refused.value.where
