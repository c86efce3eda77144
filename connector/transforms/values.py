"""XLSForm values in one place: what a form server stores as text becomes typed values, by the form's own tables.

Nothing is guessed. A question that the form's tables do not know, a number that is none, a choice that is not in its
list raises `TransformError` with the question's path and never what was answered. Questions are found by name (unique
over a form), so an older version that grouped them otherwise is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeAlias

from connector.errors import TransformError
from connector.model import Answer, Answers, Submission
from connector.transforms.codes import coded_questions, is_code
from forms.tables import FormDefinition, Question, codes_of_every_pack, load


@dataclass(frozen=True, slots=True)
class FileName:
    """The answer to a photo or recording question: the name of one of the submission's attachments."""

    name: str


Value: TypeAlias = "str | int | float | date | datetime | bool | tuple[str, ...] | FileName"


@dataclass(frozen=True, slots=True)
class Entry:
    """The answers of a form, or of one entry of a repeat, by question name. What was not answered is absent."""

    values: Mapping[str, Value] = field(default_factory=dict)
    repeats: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)

    def text(self, question: str) -> str | None:
        """A text, a code or a calculated value; None when there is none."""
        value = self.values.get(question)
        return value if isinstance(value, str) else None

    def yes(self, question: str) -> bool:
        """Only a plain yes is yes: blank, unknown and refused are not."""
        return self.values.get(question) == "yes"

    def codes(self, question: str) -> frozenset[str]:
        """The codes that were ticked, or the one that was chosen."""
        value = self.values.get(question, ())
        return frozenset((value,) if isinstance(value, str) else value if isinstance(value, tuple) else ())

    def day(self, question: str) -> date | None:
        value = self.values.get(question)
        return value.date() if isinstance(value, datetime) else value if isinstance(value, date) else None


_Reader = Callable[[str], Value]
_PLAIN = frozenset(
    {"text", "calculate", "barcode", "hidden", "start", "end", "today", "username", "trigger", "acknowledge", "audit"}
)
_FILES = frozenset({"image", "audio", "video", "file", "background-audio"})
_READERS: Mapping[str, _Reader] = {
    "integer": int,
    "range": float,
    "decimal": float,
    "date": lambda text: date.fromisoformat(text[:10]),
    "dateTime": datetime.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": str,
}
_MOST_TEXT = 32 * 1024
_CODE = re.compile(r"[A-Za-z0-9_.+-]{1,30}")


def read_answers(submission: Submission) -> Entry:
    """Every answer of *submission*, typed.

    Raises:
        TransformError: the submission's own fault, `answer.encrypted`, `answer.unknown_question`, `answer.not_readable`, `answer.unknown_choice`,
            `answer.too_long`, `answer.not_a_code`; where is the question's path.
    """
    if submission.fault:
        raise TransformError(submission.fault, submission.form_id, "See docs/errors.md; then replay.")
    if submission.encrypted:
        raise TransformError("answer.encrypted", submission.form_id, "Give Silah the form's private key, then replay.")
    return _Reading(load(submission.form_id), codes_of_every_pack(submission.form_id)).entry(submission.answers)


class _Reading:
    def __init__(self, form: FormDefinition, codes: Mapping[str, frozenset[str] | None]) -> None:
        self._form = form
        self._codes = codes
        self._coded = coded_questions(form.form_id)
        self._repeats = {path.rpartition("/")[2] for path in form.repeats}

    def entry(self, answers: Answers) -> Entry:
        values: dict[str, Value] = {}
        repeats: dict[str, tuple[Entry, ...]] = {}
        for path, answer in answers.items():
            name = path.rpartition("/")[2]
            if name in self._repeats:
                repeats[name] = self._entries(path, answer)
            else:
                values[name] = self._value(path, name, answer)
        return Entry(values, repeats)

    def _entries(self, path: str, answer: Answer) -> tuple[Entry, ...]:
        if isinstance(answer, str):
            raise _unreadable(path)
        return tuple(self.entry(entry) for entry in answer)

    def _value(self, path: str, name: str, answer: Answer) -> Value:
        question = self._form.questions.get(name)
        if question is None:
            advice = "It is of another version of the form: publish the current one, or add the question to the tables, then replay."
            raise TransformError("answer.unknown_question", path, advice)
        if not isinstance(answer, str):
            raise _unreadable(path)
        if len(answer) > _MOST_TEXT:
            raise TransformError("answer.too_long", path, "Shorten the text on the form server, then replay.")
        if name in self._coded and answer.strip() and not is_code(answer.strip()):
            raise _not_a_code(path)
        return self._typed(question, path, answer)

    def _typed(self, question: Question, path: str, answer: str) -> Value:
        kind = question.type
        if kind in _PLAIN:
            return answer
        if kind in _FILES:
            return FileName(answer)
        if kind.startswith("select_multiple"):
            return tuple(self._known(question, path, code) for code in answer.split())
        if kind.startswith("select_one"):
            return self._known(question, path, answer)
        try:
            return _READERS[kind](answer)
        except (KeyError, ValueError):
            raise _unreadable(path) from None

    def _known(self, question: Question, path: str, code: str) -> str:
        """A choice that some country pack offers; where a pack lets it be typed, anything that can be a code."""
        offered = self._codes.get(question.name, frozenset({code}))
        if code not in offered if offered is not None else not _CODE.fullmatch(code):
            raise TransformError(
                "answer.unknown_choice", path, "Add the choice to the form's list, or mend the record, then replay."
            )
        if offered is None and not is_code(code):
            raise _not_a_code(path)
        return code


def _not_a_code(path: str) -> TransformError:
    advice = "Write the code alone there, on the form server: no number or address of anybody. Then replay."
    return TransformError("answer.not_a_code", path, advice)


def _unreadable(path: str) -> TransformError:
    return TransformError("answer.not_readable", path, "Mend the record on the form server, then replay.")
