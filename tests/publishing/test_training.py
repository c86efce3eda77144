"""`silah forms publish --training`: a project of its own whose records reach no target and no figure."""

from __future__ import annotations

import pytest
import requests

from connector.errors import Refused, TransformError
from connector.model import Submission
from connector.transforms.values import read_answers
from forms.tables import LANGUAGES
from forms.training import MARK
from forms.words import in_every_language
from tests.publishing.conftest import EDITORS_TOKEN, FORM, READER, Office
from tests.publishing.test_publish import hooks, seen


def test_training_has_a_project_of_its_own(office: Office) -> None:
    """Its title says training in every language, a banner stands first, and the real project is untouched."""
    real = office.publish()
    before = seen(office, real.ref)

    training = office.publish(training=True)

    project = seen(office, training.ref)
    assert training.ref != real.ref
    assert before == seen(office, real.ref)
    assert all(word in str(project["name"]) for word in in_every_language("training_title").values())
    first = project["content"]["survey"][0]  # type: ignore[index]
    assert ("note", [in_every_language("training_banner")[code] for code in LANGUAGES]) == (
        first["type"],
        first["label"],
    )
    assert () == office.plan(training=True).steps


def test_training_is_not_connected(office: Office) -> None:
    """No hook, no reading right for our account, no line for silah.toml."""
    done = office.publish(training=True)

    assert [] == hooks(office, done.ref)
    assert READER not in office.publisher()._host.readers(done.ref)
    assert None is done.line


def test_a_training_project_in_the_real_configuration_is_refused(office: Office) -> None:
    """Publishing stops, and status finds it."""
    office.forms = {FORM: office.publish(training=True).ref}

    with pytest.raises(Refused, match=r"publish\.training_project"):
        office.plan()
    (standing,) = office.publisher().standing()
    assert ("training_in_real_config",) == standing.findings


def test_every_training_record_is_refused_where_records_are_read(office: Office) -> None:
    """The record says so itself, in a question that no table has: no transform reads it, whatever is configured."""
    ref = office.publish(training=True).ref
    xform = requests.get(
        f"{office.url}/api/v2/assets/{ref}.xml", headers={"Authorization": f"Token {EDITORS_TOKEN}"}, timeout=10
    ).text
    assert f'nodeset="/{ref}/{MARK}"' in xform
    submission = Submission(
        server="kobo", form_id="tracing_request", root_id="r", instance_id="i", order=1, form_version=None,
        submitted_at=None, answers={MARK: "yes"}, attachments=(), review=None, encrypted=False,
    )  # type: ignore[arg-type] # fmt: skip

    with pytest.raises(TransformError, match=r"answer\.unknown_question"):
        read_answers(submission)
