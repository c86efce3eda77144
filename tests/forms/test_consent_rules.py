"""Consent comes first, in layers, and is never filled in beforehand: what the tables can show of it is checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import SETTINGS, complete, write_form

from forms.linter import check

GATED = "${c_collect} = 'yes'"
WIDER = "${share_wider} = 'yes'"
SOUND = f"""type,name,label,relevant,calculation,default
select_one yes_no,info_notice_given,Notice given?,,,
select_one danger,search_danger,Danger?,,,
select_one yes_no,c_collect,May we write it down?,,,
begin_group,body,Body,{GATED},,
select_one giver,consent_giver,Who agrees?,,,
text,enq_name,Name,,,
integer,enq_age,Age,,,
calculate,enq_adult,,,"if(${{enq_age}} >= 18, 'yes', 'no')",
select_one yes_no,c_share_icrc,ICRC?,,,
select_one yes_no,c_share_ns_destination,Society there?,,,
select_multiple society,ns_destination,Which?,${{c_share_ns_destination}} = 'yes',,
select_one yes_no,share_wider,Others?,,,
select_one yes_no,c_share_un_agency,UN?,{WIDER},,
text,which_un_agency,Which?,${{c_share_un_agency}} = 'yes',,
select_one yes_no,c_share_ngo,NGO?,{WIDER},,
text,which_ngo,Which?,${{c_share_ngo}} = 'yes',,
select_one yes_no,c_share_state_services,State?,{WIDER},,
text,which_state_services,Which?,${{c_share_state_services}} = 'yes',,
select_one yes_no,risk_explained,Risk explained?,{WIDER},,
select_one yes_no,c_share_authorities,Authorities?,${{risk_explained}} = 'yes',,
text,which_authorities,Which?,${{c_share_authorities}} = 'yes',,
select_one yes_no,c_share_family,Family?,,,
select_one location,c_location_to_family,Where you are?,,,
select_one yes_no,c_publish_photo_online,Publish?,${{enq_adult}} = 'yes',,
text,enq_photo,Photo,${{c_publish_photo_online}} = 'yes',,
select_one yes_no,consent_confirm,Right?,,,
end_group,,,,,
"""
LISTS = {
    "list_yes_no": "name,label\nyes,Yes\nno,No\n",
    "list_danger": "name,label\nyes,Yes\nno,No\nunknown,Not known\n",
    "list_location": "name,label\nyes,Yes\nafter_asking_me,Ask me first\nno,No\n",
    "list_giver": "name,label\nsubject,Self\n",
    "list_society": "name,label\ntr,Turkish Red Crescent\n",
}
CLASSES = {"enq_name": "identity", "enq_age": "birth", "enq_photo": "published"}


def codes(root: Path, survey: str, form_id: str = "tracing_request", **classes: str) -> set[str]:
    """Codes of what the linter says of a form with the lists and classes above."""
    write_form(root, form_id, survey=survey, settings=SETTINGS, **LISTS)
    complete(root, form_id, **CLASSES | classes)
    return {finding.code for finding in check(form_id, root)}


def without(name: str) -> str:
    return "".join(line for line in SOUND.splitlines(keepends=True) if f",{name}," not in line)


def moved_to_front(name: str) -> str:
    (line,) = [line for line in SOUND.splitlines(keepends=True) if f",{name}," in line]
    header, rest = without(name).split("\n", 1)
    return f"{header}\n{line}{rest}"


def test_the_layers_in_their_order_pass(tmp_path: Path) -> None:
    """The form that the other tests spoil is itself without fault."""
    assert codes(tmp_path, SOUND) == set()


@pytest.mark.parametrize("name", ["info_notice_given", "consent_giver", "c_share_family", "consent_confirm"])
def test_a_question_of_consent_that_a_form_lacks_is_found(tmp_path: Path, name: str) -> None:
    """Each form asks the consent that its kind needs."""
    assert "consent_missing" in codes(tmp_path, without(name))


def test_consent_that_a_form_must_not_ask_is_found(tmp_path: Path) -> None:
    """No publication in a message: what is not asked cannot be agreed to by mistake."""
    assert "consent_not_here" in codes(tmp_path, SOUND, "family_message")


FAULTS = {
    "a default": (SOUND.replace("c_share_icrc,ICRC?,,,", "c_share_icrc,ICRC?,,,yes"), "consent_prefilled"),
    "a calculated consent": (
        SOUND.replace("c_share_ngo,NGO?," + WIDER + ",,", "c_share_ngo,NGO?," + WIDER + ",'yes',"),
        "consent_prefilled",
    ),
    "a third choice": (SOUND.replace("select_one yes_no,c_collect", "select_one danger,c_collect"), "consent_choices"),
    "a danger that cannot be unknown": (SOUND.replace("select_one danger", "select_one yes_no"), "consent_choices"),
    "sharing before collecting": (moved_to_front("c_share_icrc"), "consent_order"),
    "the notice after": (moved_to_front("c_collect"), "consent_order"),
    "the confirmation before": (moved_to_front("consent_confirm"), "consent_order"),
    "sharing wider without the question": (
        SOUND.replace(f"c_share_un_agency,UN?,{WIDER}", "c_share_un_agency,UN?,"),
        "consent_not_gated",
    ),
    "authorities without the risk": (
        SOUND.replace(
            "c_share_authorities,Authorities?,${risk_explained} = 'yes'", f"c_share_authorities,Authorities?,{WIDER}"
        ),
        "consent_not_gated",
    ),
    "a name before consent": (moved_to_front("enq_name"), "identifying_before_consent"),
    "a name even after a no": (SOUND.replace(f"body,Body,{GATED}", "body,Body,"), "identifying_after_no"),
    "a name without any consent": ("type,name,label\ntext,enq_name,Name\n", "consent_missing"),
    "publication of minors": (SOUND.replace("Publish?,${enq_adult} = 'yes'", "Publish?,"), "published_without_age"),
    "a photo without publication": (
        SOUND.replace("Photo,${c_publish_photo_online} = 'yes'", "Photo,${enq_adult} = 'yes'"),
        "consent_not_gated",
    ),
}


@pytest.mark.parametrize(("survey", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_of_consent_is_found(tmp_path: Path, survey: str, code: str) -> None:
    """One change to a sound form gives the finding that names it."""
    assert code in codes(tmp_path, survey)


def test_consent_may_hang_on_a_calculated_question(tmp_path: Path) -> None:
    """What decides may stand in a calculation: the check follows references through it."""
    calculated = SOUND.replace(f"body,Body,{GATED}", "body,Body,${go_on} = 'yes'").replace(
        "begin_group,body", f"calculate,go_on,,,\"if({GATED}, 'yes', 'no')\",\nbegin_group,body"
    )
    assert codes(tmp_path, calculated) == set()


def test_a_form_that_identifies_nobody_needs_no_consent(tmp_path: Path) -> None:
    """Counts and codes alone are collected without asking anybody."""
    assert codes(tmp_path, "type,name,label\ninteger,n_people,How many?\n", "activity") == set()


def test_a_detainees_reference_is_never_a_mere_code(tmp_path: Path) -> None:
    """A case code does not identify, a detainee's reference does."""
    survey = SOUND.replace("text,enq_name", "text,detainee_ref,Reference,,,\ntext,enq_name")
    assert codes(tmp_path, survey) == {"class_too_low"}
    assert codes(tmp_path, survey, detainee_ref="detention") == set()
