"""`silah preview`: exactly what one target would receive, and why the rest is held back. Nothing leaves by this."""

from __future__ import annotations

from connector.disclosure import Release, Waiting, Withheld
from connector.errors import TargetError
from connector.ledger.care import Care
from connector.ledger.flow import Case
from connector.model import JSON
from connector.pairs import may_be_double
from connector.pipeline import Pipeline
from connector.targets import Foretelling
from connector.transforms.record import INNER, Each, Part, Record, Within, fields_of, questions_of
from forms.policy import Policy, policy


def explain(flow: Pipeline, case: Case, target: str, who: str | None = None) -> dict[str, JSON]:
    """`state` (due, waiting, withheld), `reason`, `fields`, `attachments` (names as in the form), and `held_back`:
    question -> why, for every question that was answered and does not go. `dropped`: fields that this target's other side
    would not keep, where it can be asked (None: it did not answer). `warnings`, if there are any: codes of what
    *who* may want to look at first; they hold nothing back."""
    told = _explained(flow, case, target)
    return {**told, "warnings": ["matching.likely_duplicate"]} if may_be_double(flow, case, who) else told


def look(flow: Pipeline, case: Case, target: str, who: str) -> dict[str, JSON]:
    """`explain` for a person: what they see is somebody's data, and the audit says who looked at whose (R21)."""
    told = explain(flow, case, target, who)
    Care(flow.ledger).note("seen", who, {"what": "preview", "version": case.version}, case.record_id, target)
    return told


def _explained(flow: Pipeline, case: Case, target: str) -> dict[str, JSON]:
    shown, waiting, record = flow.preview(case, target)
    rules = policy(case.form_id)
    audience = flow.audiences[target]
    if isinstance(shown, Withheld):
        reasons: dict[str, JSON] = dict.fromkeys(sorted(answered(record)), shown.reason)
        return _told(case, target, "withheld", shown.reason, {}, [], reasons)
    held: dict[str, JSON] = {
        question: _why(rules, question)
        for question in sorted(answered(record))
        if not rules.may_receive(question, audience.recipient)
    }
    state, reason = ("waiting", waiting.reason) if isinstance(waiting, Waiting) else ("due", None)
    told = _told(case, target, state, reason, dict(shown.fields), list(shown.photos), held)
    adapter = flow.targets[target]
    return {**told, "dropped": _dropped(adapter, shown)} if isinstance(adapter, Foretelling) else told


def _dropped(target: Foretelling, shown: Release) -> JSON:
    try:
        return list(target.foretell(shown))
    except TargetError:
        return None


def answered(record: Record) -> set[str]:
    """The questions that something in *record* came from."""
    found: set[str] = set()
    _collect(record, "", found, skip=INNER)
    return found


def _collect(part: Part, prefix: str, found: set[str], skip: frozenset[str] = frozenset()) -> None:
    for one in fields_of(type(part)):
        value = getattr(part, one.name)
        if one.name in skip or value is None or value == ():
            continue
        if isinstance(one.mark, Within | Each):
            entries = value if isinstance(value, tuple) else (value,)
            for entry in entries:
                _collect(entry, one.mark.prefix.replace("{p}", prefix), found)
        else:
            found.add(questions_of(one, prefix)[0])


def _why(rules: Policy, question: str) -> str:
    return f"policy: {rules.class_of.get(question, 'undecided')}"


def _told(
    case: Case,
    target: str,
    state: str,
    reason: str | None,
    fields: dict[str, JSON],
    photos: list[JSON],
    held: dict[str, JSON],
) -> dict[str, JSON]:
    return {
        "id": case.record_id, "root_id": case.root_id, "form": case.form_id, "version": case.version, "target": target,
        "state": state, "reason": reason, "fields": fields, "attachments": photos, "held_back": held,
    }  # fmt: skip
