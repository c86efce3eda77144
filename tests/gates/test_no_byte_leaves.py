"""R1, R2, R5: over random consents, recipients and records, no byte of a person reaches a recipient without consent."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.disclosure import Approvals, Release, Stamp, clear
from connector.model import Audience, Cautions, Consent, Recipient
from connector.transforms.record import INNER, Record, walk
from connector.transforms.registry import RECORDS
from forms.policy import policy
from forms.tables import load

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STAMP = Stamp("record", 1, "SY-RC", "key", NOW)
KINDS = sorted(RECORDS)

NAMES = ("TR-RC", "unhcr", "nrc", "child_protection", "police", "other", "")
consents = st.builds(
    Consent,
    collected=st.booleans(),
    notice_given=st.booleans(),
    giver_named=st.booleans(),
    given_on=st.none() | st.dates(date(2025, 6, 1), date(2027, 6, 1)),
    review_on=st.none() | st.dates(date(2025, 6, 1), date(2027, 6, 1)),
    shares=st.dictionaries(st.sampled_from(list(Recipient)), st.frozensets(st.sampled_from(NAMES))),
    confirmed=st.none() | st.booleans(),
    risk_explained=st.booleans(),
    publish=st.booleans(),
    basis=st.sampled_from(["consent", "best_interests", "vital_interest", "public_interest"]),
    basis_complete=st.booleans(),
)
cautions = st.builds(
    Cautions,
    danger=st.booleans(),
    restricted=st.booleans(),
    detention=st.booleans(),
    supervisor=st.booleans(),
    child=st.booleans(),
    never_tell=st.frozensets(st.sampled_from(["icrc", "ngo", "authorities", "TR-RC"])),
    never_send=st.frozensets(st.sampled_from(["location", "name", "photo", "contact", "health", "detention"])),
)
audiences = st.builds(
    Audience,
    st.just("target"),
    st.sampled_from(list(Recipient)),
    st.sampled_from([None, *NAMES]),
    st.none(),
    st.booleans(),
)
approvals = st.builds(
    Approvals,
    st.booleans(),
    st.frozensets(st.sampled_from(["amal", "basim"])),
    st.frozensets(st.sampled_from(["*", "icrc", "target"])),
)


def filled(question: str) -> str:
    """A text that says which question it answers."""
    return f"<{question}>"


def full_record(kind: str, consent: Consent, caution: Cautions) -> Record:
    """A record in which every text field of every part holds a mark."""
    model = RECORDS[kind]
    return model.model_validate({**_marks(model, ""), "consent": consent, "cautions": caution})


def _marks(model: Any, prefix: str) -> dict[str, Any]:
    from connector.transforms.record import Each, Photo, Q, Within, fields_of, questions_of

    made: dict[str, Any] = {}
    for one in fields_of(model):
        if isinstance(one.mark, Each | Within):
            part = _marks(one.model, one.mark.prefix.replace("{p}", prefix))
            made[one.name] = [part] if isinstance(one.mark, Each) else part
        elif one.model is Photo:
            made[one.name] = {"name": filled(questions_of(one, prefix)[0])}
        elif isinstance(one.mark, Q) and "str" in str(model.model_fields[one.name].annotation):
            made[one.name] = (
                [filled(questions_of(one, prefix)[0])] if one.many else filled(questions_of(one, prefix)[0])
            )
    return made


def may_receive_anything(consent: Consent, caution: Cautions, to: Audience, given: Approvals) -> bool:
    """The promise, written anew: who may receive anything of a person at all."""
    if given.withdrawn & {"*", "target", str(to.recipient)}:
        return False
    if to.recipient is Recipient.STATISTICS:
        return True
    named = to.who in consent.shares.get(to.recipient, frozenset()) and to.who is not None
    if consent.basis != "consent":
        near = to.recipient in {Recipient.OWN_SOCIETY, Recipient.ICRC} or (
            to.recipient is Recipient.NATIONAL_SOCIETY and named
        )
        return consent.basis_complete and near
    if not (consent.collected and consent.notice_given and consent.giver_named and consent.given_on):
        return False
    end = consent.review_on or consent.given_on + timedelta(days=366)
    if consent.given_on > NOW.date() + timedelta(days=1) or end < NOW.date() - timedelta(days=2):
        return False
    if to.recipient is Recipient.OWN_SOCIETY:
        return True
    if consent.confirmed is False:
        return False
    if to.recipient is Recipient.PUBLIC:
        return consent.publish and not caution.child
    if to.recipient not in consent.shares or (to.recipient is not Recipient.ICRC and not named):
        return False
    return to.recipient is not Recipient.AUTHORITIES or consent.risk_explained


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=250, deadline=None)
@given(consents, cautions, audiences, approvals)
def test_no_byte_without_consent(
    kind: str, consent: Consent, caution: Cautions, to: Audience, given_: Approvals
) -> None:
    """What clear() lets out goes to someone the person agreed to, and holds only questions that the policy lets them have."""
    rules = policy(kind)
    became = clear(full_record(kind, consent, caution), rules, to, STAMP, given_, NOW)

    if not isinstance(became, Release):
        return
    assert may_receive_anything(consent, caution, to, given_)
    sent = json.dumps(became.fields, ensure_ascii=False) + "".join(became.photos)
    for _, questions in walk(RECORDS[kind]):
        for question in questions:
            if filled(question) in sent:
                assert rules.may_receive(question, str(to.recipient)), question
                assert to.recipient is Recipient.OWN_SOCIETY or rules.class_of[question] not in caution.never_send


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(consents, cautions, audiences)
def test_no_caution_is_passed_without_a_person(kind: str, consent: Consent, caution: Cautions, to: Audience) -> None:
    """Danger, restrictions, detention, family disputes: without a named user nothing goes beyond the own society."""
    became = clear(full_record(kind, consent, caution), policy(kind), to, STAMP, Approvals(form_server=True), NOW)

    if isinstance(became, Release) and to.recipient not in {Recipient.OWN_SOCIETY, Recipient.STATISTICS}:
        assert not any((caution.danger, caution.restricted, caution.supervisor))
        assert not caution.detention or to.recipient is Recipient.ICRC
        assert to.recipient not in {Recipient.AUTHORITIES, Recipient.PUBLIC}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None)
@given(consents, cautions)
def test_statistics_and_the_public_see_nothing_that_names(kind: str, consent: Consent, caution: Cautions) -> None:
    """R10, R15: coded facts alone for figures; for the public the enquirer's photo and the relation."""
    everyone = Approvals(form_server=True, users=frozenset({"amal", "basim"}))
    for recipient, allowed in ((Recipient.STATISTICS, {"case", "count"}), (Recipient.PUBLIC, {"published"})):
        record = full_record(kind, consent, caution)
        became = clear(record, policy(kind), Audience("target", recipient), STAMP, everyone, NOW)
        if isinstance(became, Release):
            assert set(became.classes) <= allowed


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_record_comes_from_questions_that_were_decided_on(kind: str) -> None:
    """A field whose question has no line in the policy would silently stay: there is none among the form's questions."""
    decided = set(policy(kind).class_of) | (_shared_with_other_forms(kind))
    undecided = [
        (path, question)
        for path, questions in walk(RECORDS[kind])
        if path not in INNER
        for question in questions[:1]
        if question not in decided
    ]
    assert [] == undecided


def _shared_with_other_forms(kind: str) -> set[str]:
    """Parts are shared: a form that leaves a question of a block out leaves the field empty."""
    asked = set(load(kind).questions)
    return {question for _, questions in walk(RECORDS[kind]) for question in questions if question not in asked}
