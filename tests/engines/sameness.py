"""What two engines must have in common after the same conversation, and what may differ between them.

They may differ in: what is random or the time of day, empty elements, the order of the names of a select_multiple, how
a yes of an entity is spelt, the fractions and offset with which a time is written, the powers of ten of a decimal
(JavaRosa: `1.25E7`), and the name that a device gives a photo.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from functools import reduce
from xml.etree.ElementTree import Element, fromstring

from forms.tables import FormDefinition
from tests.engines.javarosa import Filled

_VOLATILE = frozenset({"start", "end", "consent_ts", "instanceID"})
_TRUE = {"true": "1", "false": "0"}
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?")


def kept(done: Filled, form: FormDefinition) -> list[tuple[str, str]]:
    """(path, value) of every answer of a record, in the same words from every engine; a volatile one shows only that it is there."""
    types = {name: question.type for name, question in form.questions.items()}
    hide = _without_code(done)
    leaves = [(path, hide(_same(value, *_kind(path, types)))) for path, value in _leaves(fromstring(done.record), "")]
    return sorted(
        leaf for leaf in leaves if done.complete or leaf[0] != "end[1]"
    )  # the end is written when it is reached


def shown(done: Filled) -> list[tuple[object, ...]]:
    """What an enumerator met, in order: place, texts, choices, and what became of each answer with the message shown."""
    hide = _without_code(done)
    return [
        (
            visit.path,
            hide(_plain(visit.label)),
            hide(_plain(visit.hint)),
            visit.choices,
            tuple(
                (_refusal(one.result), _plain(one.message) if one.result == "constraint" else "") for one in visit.tries
            ),
        )
        for visit in done.visits
    ]


def _without_code(done: Filled) -> Callable[[str], str]:
    """Case codes that a form makes are random: in texts and answers only that there is one can be compared."""
    if not done.value("case_code_base"):
        return str
    codes = [done.value(name) for name in ("case_code", "case_code_spoken", "case_code_base")]
    return lambda text: reduce(lambda left, code: left.replace(code, "#"), filter(None, codes), text)


def _leaves(node: Element, path: str) -> Iterator[tuple[str, str]]:
    counted: dict[str, int] = {}
    for child in node:
        name = child.tag.rpartition("}")[2]
        counted[name] = counted.get(name, 0) + 1
        place = f"{path}{name}[{counted[name]}]"
        text = (child.text or "").strip()
        if len(child):
            yield from _leaves(child, f"{place}/")
        elif text:
            yield place, text


def _kind(path: str, types: Mapping[str, str]) -> tuple[str, str]:
    name = re.sub(r"\[\d+\]$", "", path.rpartition("/")[2])
    return name, types.get(name, "")


def _same(value: str, name: str, type_: str) -> str:
    if name in _VOLATILE:
        return "…"
    if type_.startswith("select_multiple"):
        return " ".join(sorted(value.split()))
    if type_ == "decimal":
        return format(Decimal(value).normalize(), "f")
    if type_ == "image":
        return "a file"
    if _DATE_TIME.match(value):
        return datetime.fromisoformat(value).astimezone().isoformat()
    if _TIME.fullmatch(value):
        return time.fromisoformat(value).replace(tzinfo=None, microsecond=0).isoformat()
    return _TRUE.get(value, " ".join(value.split()))


def _refusal(result: str) -> str:
    return "refused" if result in {"unreadable", "not offered"} else result


def _plain(text: str) -> str:
    """Without what belongs to the page and not to the text: emphasis, and how lines are broken."""
    return " ".join(text.replace("*", "").split())
