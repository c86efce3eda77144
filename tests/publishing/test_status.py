"""`silah forms status` and the command line: what stands where, and what is not in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from connector.cli import main
from tests.publishing.conftest import EDITORS_TOKEN, FORM, READERS_TOKEN, Office, settings
from tests.publishing.test_publish import AS_EDITOR, hooks


def test_after_publishing_everything_is_in_order(office: Office) -> None:
    """Version, deployment, tables, hook and media as they should be; nothing to do."""
    ref = office.publish().ref

    (standing,) = office.publisher().standing()

    assert () == standing.findings
    assert (ref, "deployed", "same", "ok", False) == (
        standing.ref, standing.state, standing.tables, standing.hook, standing.encrypted,
    )  # fmt: skip
    assert {"places.csv": "ok", "cases.csv": "ok"} == standing.media


def test_newer_tables_are_seen(office: Office) -> None:
    """The tables moved on since the last publication."""
    office.publish()
    office.write(settings=settings("2026112102"))

    (standing,) = office.publisher().standing()

    assert ("tables_newer",) == standing.findings
    assert ("2026112101", "2026112102") == (standing.version, standing.local_version)


def test_a_broken_hook_and_a_lost_list_are_findings(office: Office) -> None:
    """What an editor broke is named by code."""
    ref = office.publish().ref
    (hook,) = hooks(office, ref)
    requests.patch(
        f"{office.url}/api/v2/assets/{ref}/hooks/{hook['uid']}/",
        json={"subset_fields": []},
        headers=AS_EDITOR,
        timeout=10,
    )
    files = requests.get(f"{office.url}/api/v2/assets/{ref}/files/", headers=AS_EDITOR, timeout=10).json()["results"]
    place = next(file for file in files if file["metadata"]["filename"] == "places.csv")
    requests.delete(f"{office.url}/api/v2/assets/{ref}/files/{place['uid']}/", headers=AS_EDITOR, timeout=10)

    (standing,) = office.publisher().standing()

    assert ("hook_sends_answers", "media_missing") == standing.findings


def test_a_reader_sees_everything_but_the_hook(office: Office) -> None:
    """Hooks show their secret, so the reading account must not see them; that is no finding."""
    office.publish()

    (standing,) = office.publisher(READERS_TOKEN).standing()

    assert ("not visible", ()) == (standing.hook, standing.findings)


def test_a_project_of_ours_that_nobody_configured_is_listed(office: Office) -> None:
    """Its records would be read by nobody."""
    office.publish()
    office.forms = {}

    (standing,) = office.publisher().standing()

    assert (FORM, ("not_in_silah_toml",)) == (standing.form, standing.findings)


def test_a_project_that_is_gone_is_a_finding(office: Office) -> None:
    """The configuration names a project that is not there, or not for this account."""
    office.forms = {FORM: "aNobodyKnowsThisProject0"}

    (standing,) = office.publisher().standing()

    assert ("project_not_there",) == standing.findings


@pytest.fixture(name="written")
def _written(office: Office, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A silah.toml beside the sandbox, and the editor's token in the environment."""
    file = office.root / "silah.toml"
    file.write_text(
        f'society = "SY-RC"\ndatabase = "sqlite:///silah.db"\npublic_url = "https://silah.example.org"\n[servers.kobo]\n'
        f'type = "kobo"\nurl = "{office.url}"\ntoken_env = "KOBO_TOKEN"\nwebhook_secret_env = "KOBO_WEBHOOK_SECRET"\n'
    )
    monkeypatch.setenv("EDITORS_TOKEN", EDITORS_TOKEN)
    return file


def silah(file: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["--config", str(file), "forms", *arguments])
    return done.exit_code, done.output


def test_the_commands_publish_a_real_form(office: Office, written: Path) -> None:
    """publish prints the line for silah.toml; with it, status finds everything in order and a second publish nothing to do."""
    code, told = silah(written, "publish", "referral", "--token-env", "EDITORS_TOKEN")
    assert 0 == code, told
    line = next(line for line in told.splitlines() if line.startswith("referral = "))
    written.write_text(f"{written.read_text()}[servers.kobo.forms]\n{line}\n")

    again = silah(written, "publish", "--token-env", "EDITORS_TOKEN")
    code, told = silah(written, "status", "--json", "--token-env", "EDITORS_TOKEN")

    assert (0, "referral: nothing to do\n") == again
    assert 0 == code, told
    (form,) = json.loads(told)["forms"]
    assert ("referral", "deployed", "ok") == (form["form"], form["state"], form["hook"])


def test_a_dry_run_changes_nothing(office: Office, written: Path) -> None:
    """It shows the steps alone."""
    code, told = silah(written, "publish", "referral", "--dry-run", "--token-env", "EDITORS_TOKEN")

    assert (0, 0) == (code, office.changing())
    assert told.startswith("referral: make a project of the form, version ")


def test_a_token_that_is_not_there_is_a_fault_of_the_configuration(written: Path) -> None:
    """Exit status 2, and the variable's name."""
    code, told = silah(written, "publish", "referral", "--token-env", "NOWHERE")

    assert 2 == code
    assert "NOWHERE" in told


def test_secrets_are_never_printed(office: Office, written: Path) -> None:
    """Neither tokens nor the hook's secret stand in what the commands say."""
    _, told = silah(written, "publish", "referral", "--token-env", "EDITORS_TOKEN")
    _, standing = silah(written, "status")

    assert not {EDITORS_TOKEN, READERS_TOKEN, "hook-secret-for-tests"} & set((told + standing).split())
    assert "hook-secret-for-tests" not in told + standing
