"""`silah forms … --pack`: what a country lays over the forms reaches servers, paper and telephones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from forms.packs import places
from forms.tables import FORMS, LANGUAGES, forget, load
from forms.translations import merge_into, texts
from forms.words import in_every_language
from tests.publishing.conftest import EDITORS_TOKEN, FORM, Office
from tests.publishing.test_publish import seen
from tests.publishing.test_status import silah

PLACES = "name,label,level,source\nXX,Land,0,\nXX01,North,1,The Land's own list\n"
DARI = "دری (prs)"


@pytest.fixture(name="land")
def _land(office: Office) -> Office:
    """The office in a country whose pack has its own title language, colours and a fifth language."""
    office.write(media_places="name,label,level,parent\nXX,Land,0,\nYY,Made up,1,YY\n")
    pack = office.root / "packs" / "land"
    (pack / "translations").mkdir(parents=True)
    manifest = f'title = "Land"\nlanguage = "ar"\n[languages]\nprs = "{DARI}"\n[fallback]\nprs = "fa"\n'
    (pack / "pack.toml").write_text(manifest, encoding="utf-8")
    (pack / "places.csv").write_text(PLACES, encoding="utf-8")
    merge_into(pack / "translations", "ar", LANGUAGES, {"Tiny form": "استمارة"})
    office.pack = "land"
    forget()
    return office


def test_a_pack_is_published_with_its_title_its_languages_and_its_places(land: Office) -> None:
    """The title and the language in which the form opens are the country's; the places are its own; twice changes nothing."""
    done = land.publish()

    project = seen(land, done.ref)
    assert "استمارة" == project["name"]
    assert {*LANGUAGES.values(), DARI} == set(project["content"]["translations"])  # type: ignore[index]
    assert LANGUAGES["ar"] == project["content"]["settings"]["default_language"]  # type: ignore[index]
    assert places(land.root, load(FORM, land.root, "land").pack) == put_up(land, done.ref, "places.csv")
    before = land.changing()
    assert () == land.plan().steps
    land.publish()
    assert before == land.changing()


def put_up(office: Office, ref: str, name: str) -> bytes:
    """What the server has of an attached file."""
    files = f"{office.url}/api/v2/assets/{ref}/files/"
    asked = {"headers": {"Authorization": f"Token {EDITORS_TOKEN}"}, "timeout": 10}
    listed = requests.get(files, **asked).json()["results"]  # type: ignore[arg-type]
    content = next(one["content"] for one in listed if one["metadata"]["filename"] == name)
    return requests.get(content, **asked).content  # type: ignore[arg-type]


def test_status_holds_the_pack_against_what_stands_there(land: Office) -> None:
    """With the pack all is the same; whoever forgets it is told that the tables differ, before anything is done."""
    land.publish()

    (standing,) = land.publisher().standing()
    land.pack = "demo"
    (without,) = land.publisher().standing()

    assert ("same", ()) == (standing.tables, standing.findings)
    assert "tables_differ" in without.findings


def test_a_training_project_warns_in_the_language_of_the_pack_too(land: Office) -> None:
    """A language that the pack adds takes the banner of the language it falls back to."""
    project = seen(land, land.publish(training=True).ref)

    first = project["content"]["survey"][0]  # type: ignore[index]
    said = dict(zip(project["content"]["translations"], first["label"], strict=True))  # type: ignore[index]
    assert in_every_language("training_banner")["fa"] == said[DARI]
    assert str(project["name"]).endswith("– استمارة")


@pytest.fixture(name="written")
def _written(office: Office, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A silah.toml of a society in Iran, and the editor's token in the environment."""
    file = office.root / "silah.toml"
    file.write_text(
        f'society = "IR-RCS"\npack = "ir"\ndatabase = "sqlite:///silah.db"\n[servers.kobo]\n'
        f'type = "kobo"\nurl = "{office.url}"\ntoken_env = "KOBO_TOKEN"\nwebhook_secret_env = "KOBO_WEBHOOK_SECRET"\n'
    )
    monkeypatch.setenv("EDITORS_TOKEN", EDITORS_TOKEN)
    monkeypatch.chdir(office.root)
    return file


def test_the_commands_take_the_pack_of_silah_toml(office: Office, written: Path) -> None:
    """publish, status, print and qr speak of the same form; --pack names another one."""
    code, told = silah(written, "publish", "tracing_action", "--token-env", "EDITORS_TOKEN")
    assert 0 == code, told
    line = next(line for line in told.splitlines() if line.startswith("tracing_action = "))
    written.write_text(f"{written.read_text()}[servers.kobo.forms]\n{line}\n")
    title = texts("fa")[load("tracing_action").settings.title]

    assert title == seen(office, line.split('"')[1])["name"]
    code, told = silah(written, "status", "--json", "--token-env", "EDITORS_TOKEN")
    assert (0, "same") == (code, json.loads(told)["forms"][0]["tables"])
    code, told = silah(written, "status", "--json", "--pack", "demo", "--token-env", "EDITORS_TOKEN")
    assert (1, ["tables_differ", "media_differs"]) == (code, json.loads(told)["forms"][0]["findings"])

    assert 0 == silah(written, "print", "referral", "--lang", "prs")[0]
    paper = (office.root / "referral-prs.html").read_text(encoding="utf-8")
    assert '<html lang="prs" dir="rtl">' in paper
    assert load("referral", pack="ir").title("prs") in paper

    assert 0 == silah(written, "qr", "--form", "tracing_action", "--lang", "prs")[0]
    assert (office.root / "tracing_action-qr.png").is_file()


def test_an_unknown_pack_stops_before_anything_is_done(office: Office, written: Path) -> None:
    """In silah.toml it is a fault of the configuration; on the command line the packs that there are are named."""
    code, told = silah(written, "publish", "referral", "--pack", "atlantis", "--token-env", "EDITORS_TOKEN")
    assert (1, 0) == (code, office.changing())
    assert "demo, ae, ir, jo, sa" in told
    written.write_text(written.read_text().replace('"ir"', '"atlantis"'))
    done = silah(written, "status", "--token-env", "EDITORS_TOKEN")
    assert 2 == done[0]
    assert "config.bad_value" in done[1]


def test_the_packs_of_the_project_can_be_published() -> None:
    """Their language is one that their forms have."""
    for pack in ("ae", "ir", "jo", "sa"):
        form = load("tracing_request", FORMS, pack)
        assert form.pack.language == form.language != "en"
