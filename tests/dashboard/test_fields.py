"""Whatever somebody types into any field of any form: never a fault of ours, never shown as anything but text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dashboard.conftest import Person, people_of
from tests.dashboard.stage import Stage, staged

_MARK = "<i>typed</i>"
_PAGES = (
    "/",
    "/week",
    "/matches",
    "/referrals",
    "/referrals/new",
    "/publications",
    "/figures",
    "/me",
    "/policy",
    "/servers",
)
_ALIKE = ("public-late", "public-proposed", "public-published")  # their cases have the forms of the others
_TYPED = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "'", '"><script>x</script>', "{{ 7*7 }}", "../../etc", "9" * 40, "-1", "2026-13-45", "٣", "\x00", "a" * 40_000]),
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """One form as a page shows it: where it is sent, how, and what it asks."""

    action: str
    method: str
    fields: tuple[str, ...]


@pytest.fixture(name="stage", scope="module")
def _stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("typed")) as stage:
        yield stage


@pytest.fixture(name="person", scope="module")
def _person(stage: Stage) -> Person:
    person = people_of(stage.node.flow)["supervisor"]
    person.sign_in()
    return person


@pytest.fixture(name="forms", scope="module")
def _forms(stage: Stage, person: Person) -> list[Form]:
    """Every form of every page but the one that signs out, each once."""
    pages = [*_PAGES, *(f"/cases/{case.record_id}" for name, case in stage.cases.items() if name not in _ALIKE)]
    pages += [f"/referrals/{id_}" for id_ in stage.referrals.values()]
    pages += re.findall(r'href="(/matches/[^"?]+)"', person.client.get("/matches").text)[:2]
    found = {form: None for page in pages for form in forms_of(person.client.get(page).text, page)}
    return [form for form in found if form.action != "/sign-out"]


def forms_of(html: str, page: str) -> Iterator[Form]:
    for attributes, body in re.findall(r"<form([^>]*)>(.*?)</form>", html, re.DOTALL):
        told = dict(re.findall(r'(\w+)="([^"]*)"', attributes))
        fields = tuple(sorted(set(re.findall(r'name="(\w+)"', body)) - {"token"}))
        for action in {told.get("action", page), *re.findall(r'formaction="([^"]+)"', body)}:
            yield Form(action, told.get("method", "get"), fields)


def test_forms_were_found(forms: list[Form]) -> None:
    """The pages' forms are what is tried; were they not found, nothing would be."""
    actions = " ".join(form.action for form in forms)
    assert all(
        part in actions
        for part in (
            "/release/",
            "/do/discard/",
            "/pause",
            "/rule_out",
            "/accept",
            "/copy",
            "/me",
            "/propose",
            "/decline",
        )
    )


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_typed_breaks_a_page(stage: Stage, person: Person, forms: list[Form], data: st.DataObject) -> None:
    """Every form, every field: the answer is below 500 and shows what was typed as text alone."""
    token = person.token("/me")
    for form in forms:
        typed = {name: data.draw(_TYPED) + _MARK * data.draw(st.booleans()) for name in form.fields}
        sent = {**typed, "to": f"/{_MARK}", "token": token}
        answer = (
            person.client.get(form.action, query_string=typed)
            if form.method == "get"
            else person.client.post(form.action, data=sent, follow_redirects=data.draw(st.booleans()))
        )
        assert answer.status_code < 500, form
        assert _MARK not in answer.text, form


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from([*_PAGES, "/matches/{}", "/referrals/{}", "/cases/{}"]), typed=_TYPED, after=_TYPED)
def test_no_address_breaks_a_page(person: Person, path: str, typed: str, after: str) -> None:
    """The same of what stands in an address."""
    from urllib.parse import quote

    query = {"after": after, "which": typed, "from": typed, "to": after, "as": typed, "finished": typed}
    answer = person.client.get(path.format(quote(typed[:200], safe="")), query_string=query)
    assert answer.status_code < 500
