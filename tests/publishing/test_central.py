"""`silah forms publish` to ODK Central: drafts, versions that are taken once, files, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from connector import config as configuration
from connector.errors import Refused, ServerError
from connector.publishing import Plan, Published, Publisher
from connector.sandbox.central import CentralSandbox, serve
from connector.servers.central_publishing import CentralForms
from forms.tables import forget
from tests.forms.tiny import complete, write_form
from tests.publishing.conftest import CASES, COLOURS, FORM, PLACES, SURVEY, settings


@dataclass
class Centre:
    """A society's Central and its tables."""

    root: Path
    central: CentralSandbox
    url: str
    token: str
    project: str
    forms: dict[str, str] = field(default_factory=dict)

    def publisher(self, project: str | None = None) -> Publisher:
        data = {"type": "central", "url": self.url, "token_env": "CENTRAL_TOKEN"}
        whole = {"society": "SY-RC", "database": "sqlite:///silah.db", "servers": {"central": data}}
        server = configuration.parse(whole, self.root / "silah.toml").servers["central"]
        server = server.model_copy(update={"forms": self.forms})
        return Publisher(CentralForms("central", server, None, project), server, public_url=None, root=self.root)

    def write(self, survey: str = SURVEY, choices: str = COLOURS, **files: str) -> None:
        files = {"settings": settings(), "media_places": PLACES, "media_cases": CASES, **files}
        write_form(self.root, FORM, survey=survey, choices=choices, **files)
        complete(self.root, FORM)
        forget()

    def plan(self, **options: Any) -> Plan:
        return self.publisher(self.project).plan(FORM, **options)

    def publish(self, *, force: bool = False, **options: Any) -> Published:
        publisher = self.publisher(self.project)
        done = publisher.carry_out(publisher.plan(FORM, **options), force=force)
        if done.line:
            self.forms = {FORM: done.ref}
        return done

    def asked(self, path: str) -> Any:
        answer = requests.get(
            f"{self.url}/v1/projects/{self.project}/forms/{path}",
            headers={"Authorization": f"Bearer {self.token}"}, timeout=10,
        )  # fmt: skip
        return answer.json()

    def changing(self) -> int:
        return len([one for one in self.central.requests if one.method != "GET"])


@pytest.fixture(name="centre")
def _centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    central = CentralSandbox()
    central.add_user("manager@example.org", admin=True)
    token = central.log_in("manager@example.org")
    monkeypatch.setenv("CENTRAL_TOKEN", token)
    running = serve(central)
    centre = Centre(tmp_path, central, running.url, token, str(central.add_project("Family links")))
    centre.write()
    yield centre
    running.close()
    forget()


def test_a_new_form_is_published_with_its_files(centre: Centre) -> None:
    """Draft, files, publication; the line for silah.toml names project and form; twice changes nothing."""
    done = centre.publish()

    before = centre.changing()
    assert f'{FORM} = "{centre.project}/{FORM}"' == done.line
    assert "2026112101" == centre.asked(FORM)["version"]
    assert {"places.csv": True, "cases.csv": True} == {
        one["name"]: one["exists"] for one in centre.asked(f"{FORM}/attachments")
    }
    assert () == centre.plan().steps
    assert () == centre.publish().steps
    assert before == centre.changing()


def test_an_upgrade_takes_the_place_of_the_version_before(centre: Centre) -> None:
    """The next version is shown with its differences, and the files stay."""
    centre.publish()
    centre.write(SURVEY + "text,remark,Anything else?,,\n", settings=settings("2026112102"))

    plan = centre.plan()
    centre.publish()

    assert {"question_added", "version"} == {change.code for change in plan.changes}
    assert {} == plan.media
    assert ["2026112102", "2026112101"] == [one["version"] for one in centre.asked(f"{FORM}/versions")]
    assert () == centre.plan().steps


@pytest.mark.parametrize(
    ("survey", "choices", "code"),
    [
        (SURVEY.replace("visitors", "guests"), COLOURS, "question_renamed"),
        (SURVEY.replace("integer,visitors", "text,visitors"), COLOURS, "type_changed"),
        (SURVEY, COLOURS.replace("colour,blue,Blue\n", ""), "choices_narrowed"),
    ],
)
def test_what_would_break_records_is_refused(centre: Centre, survey: str, choices: str, code: str) -> None:
    """As on KoboToolbox, read from the XForm that devices have."""
    centre.publish()
    centre.write(survey, choices, settings=settings("2026112102"))

    with pytest.raises(Refused, match=r"publish\.breaks"):
        centre.publish()
    assert [code] == [change.code for change in centre.plan().breaking]


def test_a_version_is_taken_once(centre: Centre) -> None:
    """A changed form under the old version string is refused before anything is sent."""
    centre.publish()
    centre.write(SURVEY + "text,remark,Anything else?,,\n")
    before = centre.changing()

    with pytest.raises(Refused, match=r"publish\.breaks"):
        centre.publish()
    assert ["version_not_raised"] == [change.code for change in centre.plan().breaking]
    assert before == centre.changing()


def test_a_publication_that_stopped_halfway_goes_on(centre: Centre) -> None:
    """The draft is there, the publication was refused: the earlier version is live, the next try publishes alone."""
    centre.publish()
    centre.write(SURVEY + "text,remark,Anything else?,,\n", settings=settings("2026112102"))
    centre.central.faults.next(r"/draft/publish$", status=409, body=b'{"message":"taken","code":409.3}')

    with pytest.raises(ServerError, match=r"central\.version_taken"):
        centre.publish()

    assert "2026112101" == centre.asked(FORM)["version"]
    assert ("redeploy it",) == centre.plan().steps
    centre.publish()
    assert "2026112102" == centre.asked(FORM)["version"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "form_refused"), (401, "unauthorized"), (403, "no_right"), (404, "not_found"), (500, "server_error")],
)
def test_a_refusal_says_what_to_do(centre: Centre, status: int, code: str) -> None:
    """Each status has its code and its advice."""
    centre.central.faults.next(r"/forms$", status=status, method="POST", body=b'{"message":"m"}')

    with pytest.raises(ServerError) as refused:
        centre.publish()

    assert f"central.{code}" == refused.value.code
    assert refused.value.next_step


def test_training_is_a_form_of_its_own(centre: Centre) -> None:
    """Another id in the same project, and no line for silah.toml; in silah.toml it is refused."""
    centre.publish()

    done = centre.publish(training=True)

    assert (f"{centre.project}/{FORM}_training", None) == (done.ref, done.line)
    assert () == centre.plan(training=True).steps
    centre.forms = {FORM: done.ref}
    with pytest.raises(Refused, match=r"publish\.training_project"):
        centre.plan()


def test_the_project_has_to_be_told(centre: Centre) -> None:
    """With no form configured nobody knows where a new one belongs."""
    publisher = centre.publisher()

    with pytest.raises(Refused, match="--project"):
        publisher.carry_out(publisher.plan(FORM))


def test_status_tells_what_stands_there(centre: Centre) -> None:
    """Published and in order; then newer tables."""
    centre.publish()
    (standing,) = centre.publisher().standing()
    assert ("deployed", "same", "not wanted", ()) == (
        standing.state, standing.tables, standing.hook, standing.findings,
    )  # fmt: skip

    centre.write(SURVEY + "text,remark,Anything else?,,\n", settings=settings("2026112102"))
    (standing,) = centre.publisher().standing()
    assert ("tables_newer",) == standing.findings
