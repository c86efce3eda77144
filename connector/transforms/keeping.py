"""What of a Record has been kept long enough, by the form's policy, and the Record without it. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TypeVar, cast

from connector.model import Answer, Answers
from connector.transforms.record import INNER, Each, Part, Record, Within, fields_of, questions_of
from forms.policy import Policy

P = TypeVar("P", bound=Part)


def over(record: Record, rules: Policy, arrived: date, today: date) -> frozenset[str]:
    """The questions whose answers are to go: their class has a time in the policy, and it is over *today*.

    Args:
        arrived: the day from which it counts where the record gives no day.
    """
    found: frozenset[str] = frozenset()
    for line, keep in rules.keep.items():
        begins = _day(_answer(record, keep.after, "")) or arrived
        if begins + timedelta(days=keep.days) < today:
            found |= rules.questions_in(line)
    return found


def without(part: P, gone: frozenset[str], prefix: str = "") -> P:
    """*part* without the answers to the questions *gone*."""
    changes: dict[str, object] = {}
    for one in fields_of(type(part)):
        value = getattr(part, one.name)
        if one.name in INNER or value is None:
            continue
        if isinstance(one.mark, Within) and isinstance(value, Part):
            changes[one.name] = without(value, gone, one.mark.prefix.replace("{p}", prefix))
        elif isinstance(one.mark, Each) and isinstance(value, tuple):
            inner = one.mark.prefix.replace("{p}", prefix)
            changes[one.name] = tuple(without(entry, gone, inner) for entry in value)
        elif gone & set(questions_of(one, prefix)):
            changes[one.name] = type(part).model_fields[one.name].get_default()
    return part.model_copy(update=changes)


def answers_without(answers: Answers, gone: frozenset[str]) -> Answers:
    """The answers as they were read, without those to the questions *gone*, in repeats as well."""
    return {path: _left(value, gone) for path, value in answers.items() if path.rpartition("/")[2] not in gone}


def _left(value: Answer, gone: frozenset[str]) -> Answer:
    return value if isinstance(value, str) else tuple(answers_without(entry, gone) for entry in value)


def _answer(part: Part, question: str, prefix: str) -> object:
    """The answer to *question*, wherever it stands outside a repeat."""
    for one in fields_of(type(part)):
        value = getattr(part, one.name)
        if isinstance(one.mark, Within) and isinstance(value, Part):
            value = _answer(value, question, one.mark.prefix.replace("{p}", prefix))
            if value is not None:
                return value
        elif question in questions_of(one, prefix):
            return cast("object", value)
    return None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
