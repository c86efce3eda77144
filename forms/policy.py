"""policy.toml: who may receive which question of a form, given consent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from forms.errors import Finding, FormError
from forms.tables import FORMS, FormDefinition, load, read_toml

RECIPIENTS = frozenset(
    {
        "own_society",
        "national_society",
        "icrc",
        "un_agency",
        "ngo",
        "state_services",
        "authorities",
        "public",
        "statistics",
    }
)
IDENTIFYING = frozenset(
    {
        "identity",
        "birth",
        "contact",
        "location",
        "family",
        "circumstances",
        "detention",
        "health",
        "photo",
        "published",
        "restriction",
    }
)
"""Classes of data that are asked only after a yes to `c_collect`."""

CLASSES = IDENTIFYING | {"case", "count", "consent", "internal", "never"}
_FIXED: Mapping[str, frozenset[str]] = {"internal": frozenset({"own_society"}), "never": frozenset()}
"""Classes whose recipients no policy can change."""
_CLASSES_FOR = {"public": frozenset({"published"}), "statistics": frozenset({"case", "count"})}
"""Recipients that may be named for these classes alone."""
_KEYS = frozenset({"purpose", "classes", "questions", "keep"})
_KEEP = frozenset({"days", "after"})


@dataclass(frozen=True, slots=True)
class Keep:
    """How long answers of one class stay: *days* after the day that the question *after* gives, else after arrival."""

    days: int
    after: str


@dataclass(frozen=True)
class Policy:
    """Who may receive what.

    Args:
        purpose: what the answers are collected for.
        class_of: question -> class of data, one of `CLASSES`.
        line_of: question -> class as the policy writes it: `identity.sought` is a part of `identity`.
        recipients_of: class as the policy writes it -> the recipients that may receive it, given consent.
        keep: class as the policy writes it -> how long it stays; the others stay as long as the record.
    """

    form_id: str
    purpose: str
    class_of: Mapping[str, str]
    line_of: Mapping[str, str]
    recipients_of: Mapping[str, frozenset[str]]
    keep: Mapping[str, Keep] = field(default_factory=dict)
    _verdicts: dict[tuple[tuple[str, ...], str, frozenset[str]], frozenset[str] | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def lets_go(self, questions: tuple[str, ...], recipient: str, never: frozenset[str]) -> frozenset[str] | None:
        """The classes of data in a value that comes from *questions*, when *recipient* may have all of it and none of
        its classes is in *never*; else None. A value that comes from no question goes to nobody."""
        key = (questions, recipient, never)
        if key not in self._verdicts:
            classes = frozenset(self.class_of.get(question, "never") for question in questions)
            allowed = bool(questions) and all(self.may_receive(question, recipient) for question in questions)
            self._verdicts[key] = classes if allowed and not classes & never else None
        return self._verdicts[key]

    def questions_in(self, line: str) -> frozenset[str]:
        """The questions of one class as the policy writes it."""
        return frozenset(name for name, written in self.line_of.items() if written == line)

    def may_receive(self, question: str, recipient: str) -> bool:
        """Whether the policy lets *recipient* have the answer. A question without a line goes to nobody."""
        return recipient in self.recipients_of.get(self.line_of.get(question, "never"), frozenset())


def policy(form_id: str, root: Path = FORMS) -> Policy:
    """The policy of a form, as it stands in the file now.

    Raises:
        FormError: `forms.policy_faulty`, with every fault: a faulty policy lets nothing through.
    """
    file = root / form_id / "policy.toml"
    return _policy(form_id, root, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=64)
def _policy(form_id: str, root: Path, _changed_at: int) -> Policy:
    """Read once for each state of the file: the gate asks before every attempt."""
    read, faults = _read(load(form_id, root), root)
    if faults:
        raise FormError("forms.policy_faulty", f"{form_id}/policy.toml", "Mend what is listed and try again.", faults)
    return read


def as_written(form_id: str, root: Path = FORMS) -> Policy:
    """The policy of a form as far as it can be read, faulty or not: for showing it, never for letting anything through."""
    return _read(load(form_id, root), root)[0]


def policy_in(file: Path, form_id: str) -> Policy:
    """The policy in *file*, an earlier version of a form's, without looking at the form; for comparing the two.

    Raises:
        FormError: `forms.policy_unreadable`.
    """
    faults: list[Finding] = []
    found = read_toml(file.parent, file.name, faults)
    if faults or not found:
        raise FormError("forms.policy_unreadable", str(file), "Give a policy.toml as it once stood.", faults)
    return _parsed(form_id, found)


def findings(form: FormDefinition) -> list[Finding]:
    """The faults of a form's policy: unknown names, questions without a line, lines without a question."""
    return _read(form, form.root)[1]


def classes_of(form: FormDefinition) -> Mapping[str, str]:
    """Question -> class, as far as the policy can be read."""
    return _read(form, form.root)[0].class_of


def _read(form: FormDefinition, root: Path) -> tuple[Policy, list[Finding]]:
    file = f"{form.form_id}/policy.toml"
    faults: list[Finding] = []
    found = read_toml(root, file, faults)
    read = _parsed(form.form_id, found)
    if found:
        faults += [*_faults_of_keys(file, found, form), *_faults_of_fixed(file, found)]
        faults += _faults_of_keep(file, found, read)
        faults += [
            fault
            for name, recipients in read.recipients_of.items()
            for fault in _faults_of_class(file, name, recipients)
        ]
        faults += _faults_of_questions(file, read, form)
    return read, faults


def _parsed(form_id: str, found: Mapping[str, object]) -> Policy:
    """What a policy says, without looking for faults."""
    line_of = {name: str(line) for name, line in _table(found, "questions").items()}
    class_of = {name: _class(line) for name, line in line_of.items()}
    recipients_of = {name: _names(value) for name, value in _table(found, "classes").items()}
    recipients_of.update(_FIXED)
    return Policy(
        form_id,
        str(found.get("purpose", "")),
        MappingProxyType(class_of),
        MappingProxyType(line_of),
        MappingProxyType(recipients_of),
        MappingProxyType(dict(_keep(found))),
    )


def _keep(found: Mapping[str, object]) -> Iterator[tuple[str, Keep]]:
    for line, told in _table(found, "keep").items():
        if isinstance(told, dict) and isinstance(told.get("days"), int):
            yield line, Keep(told["days"], str(told.get("after", "")))


def _class(line: str) -> str:
    """`identity` of `identity.sought`."""
    return line.partition(".")[0]


def _table(found: Mapping[str, object], key: str) -> dict[str, object]:
    table = found.get(key)
    return dict(table) if isinstance(table, dict) else {}


def _names(value: object) -> frozenset[str]:
    return frozenset(str(name) for name in value) if isinstance(value, list) else frozenset({str(value)})


def _faults_of_keys(file: str, found: Mapping[str, object], form: FormDefinition) -> list[Finding]:
    faults = [
        Finding(file, 0, key, "unknown_key", f"A policy has no {key!r}.", f"Known: {', '.join(sorted(_KEYS))}.")
        for key in sorted(set(found) - _KEYS)
    ]
    if found.get("purpose") != form.purpose:
        faults.append(
            Finding(
                file,
                0,
                "purpose",
                "purpose_differs",
                "The purpose is not that of settings.toml.",
                f"Write {form.purpose!r} in both.",
            )
        )
    return faults


def _faults_of_keep(file: str, found: Mapping[str, object], read: Policy) -> list[Finding]:
    """A time that cannot be read would keep papers for ever: it is a fault."""
    advice = 'Write { days = 30, after = "visit_date" }: a class of this policy, and a question that gives a day.'
    faults = []
    for line, told in _table(found, "keep").items():
        whole = isinstance(told, dict) and set(told) == _KEEP and isinstance(told["days"], int) and told["days"] > 0
        if not whole or line not in read.line_of.values() or read.keep[line].after not in read.line_of:
            faults.append(
                Finding(file, 0, f"keep.{line}", "keep_faulty", f"How long {line!r} stays cannot be read.", advice)
            )
    return faults


def _faults_of_fixed(file: str, found: Mapping[str, object]) -> list[Finding]:
    return [
        Finding(
            file,
            0,
            f"classes.{name}",
            "class_fixed",
            f"Who receives {name!r} cannot be changed.",
            "Take the line away.",
        )
        for name, value in _table(found, "classes").items()
        if _class(name) in _FIXED and _names(value) != _FIXED[_class(name)]
    ]


def _faults_of_class(file: str, name: str, recipients: frozenset[str]) -> list[Finding]:
    key = f"classes.{name}"
    faults = []
    if _class(name) not in CLASSES:
        faults.append(
            Finding(
                file, 0, key, "unknown_class", f"There is no class {name!r}.", f"Known: {', '.join(sorted(CLASSES))}."
            )
        )
    faults += [
        Finding(
            file,
            0,
            key,
            "unknown_recipient",
            f"There is no recipient {other!r}.",
            f"Known: {', '.join(sorted(RECIPIENTS))}.",
        )
        for other in sorted(recipients - RECIPIENTS)
    ]
    faults += [
        Finding(
            file,
            0,
            key,
            "recipient_not_for_class",
            f"{recipient!r} never receives the class {name!r}.",
            f"It may receive only: {', '.join(sorted(classes))}.",
        )
        for recipient, classes in _CLASSES_FOR.items()
        if recipient in recipients and _class(name) not in classes
    ]
    return faults


def _faults_of_questions(file: str, read: Policy, form: FormDefinition) -> list[Finding]:
    named, asked = set(read.class_of), set(form.questions)
    faults = [
        Finding(
            file,
            0,
            name,
            "question_without_policy",
            f"The question {name!r} has no line.",
            "Give it a class under [questions].",
        )
        for name in form.questions
        if name not in named
    ]
    faults += [
        Finding(
            file,
            0,
            name,
            "policy_without_question",
            f"There is no question {name!r}.",
            "Take the line away or mend the name.",
        )
        for name in sorted(named - asked)
    ]
    faults += [
        Finding(
            file,
            0,
            name,
            "class_without_recipients",
            f"The class {cls!r} is not under [classes].",
            "Say there who may receive it.",
        )
        for name, cls in read.line_of.items()
        if cls not in read.recipients_of
    ]
    return faults
