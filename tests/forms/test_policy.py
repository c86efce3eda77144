"""policy.toml says for every question who may receive it, and a faulty one lets nothing through."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_form

from forms.errors import FormError
from forms.linter import check
from forms.policy import policy

SURVEY = "type,name,label\ntext,s_name,Name\ntext,s_note,Note\nnote,hello,Hello\ncalculate,s_key,\n"
GOOD = """
purpose = "tracing"
[classes]
identity = ["own_society", "icrc"]
[questions]
s_name = "identity"
s_note = "internal"
s_key = "never"
"""


def test_each_class_goes_to_its_recipients_alone(tmp_path: Path) -> None:
    """Internal stays in the own society, never goes to nobody, a question without a line goes to nobody."""
    write_form(tmp_path, survey=SURVEY, policy=GOOD)
    read = policy("tiny", tmp_path)
    assert read.may_receive("s_name", "icrc")
    assert not read.may_receive("s_name", "ngo")
    assert read.may_receive("s_note", "own_society")
    assert not read.may_receive("s_note", "icrc")
    assert not read.may_receive("s_key", "own_society")
    assert not read.may_receive("new_question", "own_society")


FAULTS = {
    "a question without a line": (GOOD.replace('s_note = "internal"\n', ""), "question_without_policy"),
    "a line without a question": (GOOD + 's_gone = "identity"\n', "policy_without_question"),
    "a line for a note": (GOOD + 'hello = "identity"\n', "policy_without_question"),
    "an unknown class": (GOOD.replace("[questions]", 'secret = ["icrc"]\n[questions]'), "unknown_class"),
    "a class nobody receives": (GOOD.replace('s_name = "identity"', 's_name = "health"'), "class_without_recipients"),
    "an unknown recipient": (GOOD.replace('"icrc"', '"redcross"'), "unknown_recipient"),
    "identity to the public": (GOOD.replace('"icrc"', '"public"'), "recipient_not_for_class"),
    "identity to the statistics": (GOOD.replace('"icrc"', '"statistics"'), "recipient_not_for_class"),
    "internal for others": (GOOD.replace("[questions]", 'internal = ["icrc"]\n[questions]'), "class_fixed"),
    "another purpose": (GOOD.replace('"tracing"', '"figures"'), "purpose_differs"),
    "an unknown key": ('owner = "x"\n' + GOOD, "unknown_key"),
}


@pytest.mark.parametrize(("text", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_policy_is_found_and_refused(tmp_path: Path, text: str, code: str) -> None:
    """The check names the fault, and the policy cannot be read at run time."""
    write_form(tmp_path, survey=SURVEY, policy=text)
    assert code in {finding.code for finding in check("tiny", tmp_path)}
    with pytest.raises(FormError) as refused:
        policy("tiny", tmp_path)
    assert code in {finding.code for finding in refused.value.findings}
