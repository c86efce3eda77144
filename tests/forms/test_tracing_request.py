"""What the tracing request promises by its tables alone: who can ever receive what, and how soon a name is asked."""

from __future__ import annotations

from forms.policy import policy
from forms.tables import load, walk

FORM = "tracing_request"
WIDER = ("un_agency", "ngo", "state_services", "authorities")


def _received_by(recipient: str) -> set[str]:
    rules = policy(FORM)
    return {name for name in load(FORM).questions if rules.may_receive(name, recipient)}


def test_everyone_sees_the_photo_and_the_relation_alone() -> None:
    """Publication shows the enquirer's own photo and whom they look for, never a name, a place or the other's photo."""
    assert _received_by("public") == {"enq_photo", "s_relation"}


def test_authorities_learn_who_is_looked_for_and_nothing_else() -> None:
    """Names, birth and sex of the person looked for; not where they were, nor anything of the enquirer."""
    received = _received_by("authorities")
    assert {name for name in received if not name.startswith("s_")} == set()
    assert {policy(FORM).class_of[name] for name in received} == {"identity", "birth", "count"}


def test_detention_never_goes_beyond_the_icrc() -> None:
    """Neither what the family believes nor where somebody is held reaches any other recipient, the public least."""
    told = {name for name in load(FORM).questions if name.startswith("s_detention_")} | {"s_believed_status"}
    assert len(told) > 5
    for recipient in ("national_society", *WIDER, "public", "statistics"):
        assert _received_by(recipient) & told == set()


def test_how_to_reach_the_enquirer_stays_in_the_movement() -> None:
    """Telephone, safe hours, address and name of the enquirer go to the own society, the ICRC and the one asked to search."""
    kept = {
        "enq_phone",
        "enq_phone_safe_when",
        "enq_email",
        "enq_adm1",
        "enq_place_text",
        "enq_name_full_native",
        "enq_dob",
    }
    for recipient in ("own_society", "icrc", "national_society"):
        assert kept <= _received_by(recipient)
    for recipient in (*WIDER, "public", "statistics"):
        assert _received_by(recipient) & kept == set()


def test_figures_hold_no_person() -> None:
    """What statistics receive are codes: branch, context, sex and age group."""
    assert _received_by("statistics") == {
        "branch_code",
        "org_code",
        "context",
        "context_detail",
        "enq_sex",
        "s_sex",
        "s_minor",
    }


def test_the_own_society_receives_all_but_the_helpers_of_the_form() -> None:
    """Nothing a person said is lost on the way home."""
    lost = {name for name in load(FORM).questions if name not in _received_by("own_society")}
    assert {
        name for name in lost if load(FORM).questions[name].type not in {"calculate", "start", "end", "today"}
    } == set()


def test_the_name_is_asked_within_five_screens() -> None:
    """Who is not asked for other organisations has met four screens before the name, all others five."""
    form = load(FORM)
    place = next(n for n, (row, _) in enumerate(walk(form.rows)) if row.name == "enq_name_full_native")
    before = [row.name for row, _ in list(walk(form.rows))[:place] if row["appearance"] == "field-list"]
    assert before == ["interview", "beginning", "consent_opening", "consent_sharing", "consent_wider", "enq_name"]
