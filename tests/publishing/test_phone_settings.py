"""`silah forms qr`: the code sets a telephone up safely, and can be read back."""

from __future__ import annotations

import base64
import json
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from click.testing import CliRunner
from PIL import Image

from connector.cli import main
from connector.collect_settings import PhoneSettings
from tests.publishing.conftest import Office

SAFE = PhoneSettings("https://kc.example.org", "بحث", "ar")


def scanned(png: bytes) -> dict[str, Any]:
    """What a telephone makes of the picture."""
    (code,) = zxingcpp.read_barcodes(Image.open(BytesIO(png)))
    return dict(json.loads(zlib.decompress(base64.b64decode(code.text))))


def test_the_picture_is_read_back_whole() -> None:
    """An independent reader finds one code; inflated it is the settings, Arabic name included."""
    assert SAFE.json() == scanned(SAFE.png())


def test_a_lost_telephone_tells_little() -> None:
    """Deletes after sending, hides what was sent, small photos, forms follow the server, no usage statistics."""
    general, admin = SAFE.json()["general"], SAFE.json()["admin"]

    assert isinstance(general, dict)
    assert isinstance(admin, dict)
    wanted = {"delete_send": True, "image_size": "small", "form_update_mode": "match_exactly", "analytics": False}
    assert wanted.items() <= general.items()
    assert {
        "view_sent": False,
        "change_server": False,
        "delete_after_send": False,
        "access_settings": False,
    }.items() <= admin.items()


def test_nothing_secret_is_in_the_code_unless_asked_for() -> None:
    """No password, no lock, no account."""
    assert not SAFE.secret
    assert not {"password", "username", "admin_pw"} & set(str(SAFE.json()).replace("'", " ").split())


def test_what_was_asked_for_is_in_it() -> None:
    """Account, password and the lock of the settings."""
    told = PhoneSettings("https://kc.example.org", "x", username="field", password="p", lock="l")

    assert told.secret
    assert ("field", "p", "l") == (
        scanned(told.png())["general"]["username"], scanned(told.png())["general"]["password"],
        scanned(told.png())["admin"]["admin_pw"],
    )  # fmt: skip


def test_it_fits_a_terminal() -> None:
    """Not wider than 90 columns."""
    lines = SAFE.terminal().splitlines()

    assert max(len(line.replace("\x1b[0m", "")) for line in lines) <= 120
    assert len(lines) <= 50


@pytest.fixture(name="file")
def _file(office: Office, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIELD_PASSWORD", "field-password")
    monkeypatch.setenv("APP_USER", "app-user-token")
    path = office.root / "silah.toml"
    path.write_text(
        f'society = "SY-RC"\ndatabase = "sqlite:///silah.db"\n[servers.kobo]\ntype = "kobo"\nurl = "{office.url}"\n'
        'token_env = "KOBO_TOKEN"\n[servers.kobo.forms]\nreferral = "aXXXXXXXXXXXXXXXXXXXXXX"\n'
        '[servers.central]\ntype = "central"\nurl = "https://central.example.org"\ntoken_env = "KOBO_TOKEN"\n'
        '[servers.central.forms]\nreferral = "7/referral"\n'
    )
    return path


def run(file: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    out = file.parent / "code.png"
    done = CliRunner().invoke(
        main, ["--config", str(file), "forms", "qr", "--form", "referral", "--out", str(out), *arguments]
    )
    return done.exit_code, done.output, scanned(out.read_bytes()) if out.is_file() else {}


def test_kobos_collecting_address_is_asked_for(office: Office, file: Path) -> None:
    """KoboToolbox says itself where telephones go; the project's name is in the reader's language."""
    code, told, settings = run(file, "--server", "kobo", "--lang", "fr", "--user", "field")

    assert 0 == code, told
    assert (office.url, "field") == (settings["general"]["server_url"], settings["general"]["username"])
    assert "field-password" not in told


def test_a_password_comes_from_a_variable(file: Path) -> None:
    """It is never typed on the command line, is said to be in the code, and is not printed."""
    _, told, settings = run(file, "--server", "kobo", "--user", "field", "--password-env", "FIELD_PASSWORD")

    assert "field-password" == settings["general"]["password"]
    assert "holds a secret" in told
    assert "field-password" not in told


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ((), "https://central.example.org/v1/projects/7"),
        (("--app-user-env", "APP_USER"), "https://central.example.org/v1/key/app-user-token/projects/7"),
    ],
)
def test_centrals_address_is_that_of_the_project(file: Path, arguments: tuple[str, ...], url: str) -> None:
    """With an app user's token where one is named."""
    _, _, settings = run(file, "--server", "central", *arguments)

    assert url == settings["general"]["server_url"]


def test_a_form_that_is_not_there_is_refused(file: Path) -> None:
    """Exit status 1 and the forms that are."""
    done = CliRunner().invoke(main, ["--config", str(file), "forms", "qr", "--server", "kobo", "--form", "enquiry"])

    assert 1 == done.exit_code
    assert "referral" in done.output
