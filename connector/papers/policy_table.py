"""`silah policy show`: who may receive which question of a form, in one table for the data protection officer.

The table is made of the same `Policy` that the gate asks. A question without a line goes to nobody and is shown so.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from connector.errors import Refused
from connector.model import Recipient
from connector.papers.page import Language, has_word, html, word
from forms.policy import Keep, Policy, as_written, policy_in
from forms.tables import FORMS, FormDefinition, load
from forms.translations import texts_of

MARK = "●"
_FILE = "policy.toml"
_UNDECIDED = PatternFill("solid", fgColor="FDE2E2")
_MOST_SHEET_NAME = 31


@dataclass(frozen=True, slots=True)
class Line:
    """One question: its label in the reader's language, its class of data (None: not decided), who may receive it."""

    question: str
    label: str
    class_of_data: str | None
    recipients: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What is different for one question. *kind*: `added`, `removed`, `gains`, `loses`, `class_changed`; *what* is the
    recipient, or the class before."""

    question: str
    kind: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """One form's policy. *keep*: class as the policy writes it -> how long it stays. *changes* is None when there was nothing to compare with."""

    form_id: str
    title: str
    purpose: str
    lines: tuple[Line, ...]
    keep: Mapping[str, Keep]
    changes: tuple[Change, ...] | None = None


def table_of(form_id: str, language: Language, against: Path | None = None, root: Path = FORMS) -> PolicyTable:
    """The table of one form.

    Args:
        against: an earlier policy.toml, or a folder with `<form_id>/policy.toml` as in `forms/`.

    Raises:
        Refused: `policy.nothing_there`. FormError: `forms.policy_unreadable`, or the form cannot be read.
    """
    form, now = load(form_id, root), as_written(form_id, root)
    lines = tuple(_lines(form, now, language))
    changes = tuple(changes_between(_earlier(against, form_id), now)) if against else None
    return PolicyTable(form_id, form.title(language), now.purpose, lines, now.keep, changes)


def changes_between(before: Policy, now: Policy) -> Iterator[Change]:
    """What changed from *before* to *now*, question by question, in the order of the newer policy."""
    for question in dict.fromkeys([*now.line_of, *before.line_of]):
        had, has = _may(before, question), _may(now, question)
        if question not in before.line_of or question not in now.line_of:
            yield Change(question, "added" if question in now.line_of else "removed")
        elif before.class_of[question] != now.class_of[question]:
            yield Change(question, "class_changed", before.class_of[question])
        if _stays(before, question) != _stays(now, question):
            yield Change(question, "keep_changed")
        yield from (Change(question, "gains", one) for one in _ordered(has - had))
        yield from (Change(question, "loses", one) for one in _ordered(had - has))


def _stays(rules: Policy, question: str) -> Keep | None:
    return rules.keep.get(rules.line_of.get(question, ""))


def _earlier(against: Path, form_id: str) -> Policy:
    file = against / form_id / _FILE if against.is_dir() else against
    if not file.is_file():
        raise Refused("policy.nothing_there", str(file), "Name an earlier policy.toml, or a folder of forms.")
    return policy_in(file, form_id)


def _lines(form: FormDefinition, rules: Policy, language: Language) -> Iterator[Line]:
    translated = texts_of(form, language)
    for question in form.questions.values():
        label = " ".join(translated.get(question.label, question.label).split())
        yield Line(question.name, label, rules.class_of.get(question.name), _may(rules, question.name))


def _may(rules: Policy, question: str) -> frozenset[str]:
    return frozenset(one for one in Recipient if rules.may_receive(question, one))


def _ordered(recipients: frozenset[str]) -> list[str]:
    return [one for one in Recipient if one in recipients]


# As a page


def as_html(tables: Sequence[PolicyTable], language: Language) -> str:
    """All tables on one page, each with its changes before it."""
    title = word("table.title", language)
    parts = [f"<h1>{escape(title)}</h1>\n<p>{escape(word('table.intro', language))}</p>\n"]
    parts += [part for one in tables for part in _form(one, language)]
    return html(title, language, "".join(parts), wide=True)


def _form(one: PolicyTable, language: Language) -> Iterator[str]:
    purpose = f"{word('table.purpose', language)}: {_said('purpose', one.purpose, language)}"
    yield f"<h2>{escape(one.title)} <code>{escape(one.form_id)}</code></h2>\n<p>{escape(purpose)}</p>\n"
    for line, keep in one.keep.items():
        yield f"<p>{escape(_kept(line, keep, language))}</p>\n"
    if one.changes is not None:
        yield f"<h3>{escape(word('table.changes', language))}</h3>\n"
        lines = [
            f"<li><code>{escape(change.question)}</code>: {escape(text)}</li>" for change, text in _told(one, language)
        ]
        yield f"<ul>{''.join(lines)}</ul>\n" if lines else f"<p>{escape(word('table.no_changes', language))}</p>\n"
    heads = "".join(f"<th scope=col class=turned>{escape(text)}</th>" for text in _recipients(language))
    yield f"<table class=grid><thead><tr>{''.join(f'<th scope=col>{escape(text)}</th>' for text in _heads(language))}{heads}</tr></thead><tbody>\n"
    yield from (_row(line, language) for line in one.lines)
    yield "</tbody></table>\n"


def _row(line: Line, language: Language) -> str:
    marks = "".join(f"<td class=mark>{MARK if one in line.recipients else ''}</td>" for one in Recipient)
    name = f"{escape(line.label)} <code dir=ltr>({escape(line.question)})</code>"
    undecided = "" if line.class_of_data else " class=undecided"
    return f"<tr{undecided}><td>{name}</td><td class=class>{escape(_class(line, language))}</td>{marks}</tr>\n"


# As a workbook


def as_xlsx(tables: Sequence[PolicyTable], language: Language) -> bytes:
    """A sheet a form, and one with the changes where there was something to compare with; every cell is text."""
    book = Workbook()
    first = book.active
    if first is not None:
        book.remove(first)
    for one in tables:
        rows = [[f"{line.label} ({line.question})", _class(line, language), *_marks(line)] for line in one.lines]
        sheet = _sheet(book, one.form_id, [*_heads(language), *_recipients(language)], rows, language)
        for number, line in enumerate(one.lines, 2):
            for cell in sheet[number] if line.class_of_data is None else ():
                cell.fill = _UNDECIDED
    changes = [[one.form_id, change.question, text] for one in tables for change, text in _told(one, language)]
    if any(one.changes is not None for one in tables):
        title = word("table.changes", language)
        _sheet(book, title, ["form_id", word("table.question", language), title], changes, language)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet(
    book: Workbook, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], language: Language
) -> Worksheet:
    sheet: Worksheet = book.create_sheet(title[:_MOST_SHEET_NAME])
    sheet.sheet_view.rightToLeft = language in {"ar", "fa"}
    for row in (head, *rows):
        sheet.append(list(row))
    for cells in sheet.iter_rows():
        for cell in cells:
            cell.data_type = "s"  # a label that begins with = is no formula
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for number in range(1, len(head) + 1):
        sheet.column_dimensions[get_column_letter(number)].width = 60 if number == 1 else 24 if number == 2 else 14  # noqa: PLR2004
    sheet.freeze_panes = "B2"
    return sheet


# As text


def as_rows(one: PolicyTable, language: Language) -> list[list[str]]:
    """The table for a terminal, recipients by their codes."""
    return [[line.question, _class(line, language), *_marks(line)] for line in one.lines]


def as_json(one: PolicyTable) -> Mapping[str, object]:
    """`form`, `purpose`, `questions` (question, label, class or null, recipients), `keep`, `changes` (or null)."""
    questions = [
        {
            "question": line.question,
            "label": line.label,
            "class": line.class_of_data,
            "recipients": _ordered(line.recipients),
        }
        for line in one.lines
    ]
    changes = None
    if one.changes is not None:
        changes = [{"question": change.question, "change": change.kind, "what": change.what} for change in one.changes]
    keep = {line: {"days": time.days, "after": time.after} for line, time in one.keep.items()}
    return {"form": one.form_id, "purpose": one.purpose, "questions": questions, "keep": keep, "changes": changes}


def changes_told(one: PolicyTable, language: Language) -> list[str]:
    """The changes as sentences, one a line."""
    return [f"{change.question}: {text}" for change, text in _told(one, language)]


def _kept(line: str, keep: Keep, language: Language) -> str:
    what = f"{_said('class', line.partition('.')[0], language)} ({line})"
    return word("table.keep", language, what=what, days=str(keep.days), after=keep.after)


def _told(one: PolicyTable, language: Language) -> list[tuple[Change, str]]:
    return [(change, _change(change, language)) for change in one.changes or ()]


def _change(change: Change, language: Language) -> str:
    if change.kind in {"gains", "loses"}:
        return f"{_said('recipient', change.what, language)}: {word(f'table.{change.kind}', language)}"
    return word(f"table.{change.kind}", language, before=_said("class", change.what, language))


def _heads(language: Language) -> list[str]:
    return [word("table.question", language), word("table.class", language)]


def _recipients(language: Language) -> list[str]:
    return [word(f"recipient.{one}", language) for one in Recipient]


def _marks(line: Line) -> list[str]:
    return [MARK if one in line.recipients else "" for one in Recipient]


def _class(line: Line, language: Language) -> str:
    if line.class_of_data is None:
        return word("table.undecided", language)
    return _said("class", line.class_of_data, language)


def _said(kind: str, code: str, language: Language) -> str:
    key = f"{kind}.{code}"
    return word(key, language) if has_word(key) else code
