"""The paper version of a form, and cards for the enquirer: self-contained HTML that a browser prints on A4.

The same tables that the devices ask from, consent included, in one language. What a device works out by itself (case
code, age, script) is left out or has a box; what it hides is preceded by "only if …".
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from forms import conditions
from forms.errors import FormError
from forms.expressions import references
from forms.packs import DEMO
from forms.tables import BEGINS, FORMS, LANGUAGES, TITLE_NOTE, FormDefinition, Row, load
from forms.translations import texts_of
from forms.words import words

RIGHT_TO_LEFT = frozenset({"ar", "fa"})
Kind: TypeAlias = Literal[
    "line", "lines", "boxes", "date", "moment", "time", "one", "many", "write_in", "photo", "note"
]

_MOST_CHOICES = 24
_MOST_MINIMAL = 12
_SMALL_REPEAT = 8
_SHORT = 60
_DIGITS = {"fa": str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")}
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
_CONSENT = frozenset({"c_collect"})
_UNPRINTED = frozenset(
    {"calculate", "hidden", "start", "end", "today", "username", "xml-external", "csv-external", "audit"}
)
_KINDS: Mapping[str, Kind] = {
    "integer": "boxes",
    "decimal": "boxes",
    "range": "boxes",
    "date": "date",
    "dateTime": "moment",
    "time": "time",
    "select_one": "one",
    "select_multiple": "many",
    "rank": "many",
    "acknowledge": "many",
    "select_one_from_file": "write_in",
    "select_multiple_from_file": "write_in",
    "image": "photo",
    "audio": "photo",
    "video": "photo",
    "file": "photo",
    "note": "note",
}
_EMBLEMS = frozenset({"image/png", "image/jpeg", "image/svg+xml"})
_CARDS_A_PAGE = 8


@dataclass(frozen=True)
class Item:
    """One question or note as it stands on paper."""

    kind: Kind
    number: str
    label: Markup
    hint: Markup
    only_if: str
    choices: tuple[str, ...] = ()
    required: bool = False
    columns: int = 1

    @property
    def beside(self) -> bool:
        """The answer fits on the line of a short question: paper, and leafing, are saved."""
        short = len(self.label) <= _SHORT and len(self.hint) <= _SHORT
        return short and (self.kind in ("line", "boxes", "date") or (self.kind == "one" and _is_short(self.choices)))


@dataclass
class Section:
    """A group. *copies* of a short repeat stand below each other; a long one has a sheet of its own."""

    title: str
    only_if: str
    depth: int
    repeat: bool = False
    copies: int = 1
    own_page: bool = False
    parts: list[Item | Section] = field(default_factory=list)

    @property
    def items(self) -> int:
        return sum(part.items if isinstance(part, Section) else 1 for part in self.parts)


def print_form(form_id: str, language: str, root: Path = FORMS, emblem: Path | None = None, pack: str = DEMO) -> str:
    """The paper version of a form as one HTML page.

    Args:
        language: a code of the form's languages: the four, and those of the pack.
        emblem: the society's own emblem as a picture, for the head of the first page.

    Raises:
        FormError: unknown form or language, or a picture that is none.
    """
    form = load(form_id, root, pack)
    spoken = _spoken(form, language)
    said = words(spoken)
    paper = _Paper(form, language, said)
    return _render(
        "form.html",
        language,
        spoken,
        title=form.title(language),
        version=form.version,
        sections=paper.sections(),
        about=paper.about(),
        case_code="case_code" in form.questions,
        emblem=_picture(emblem),
        w=said,
    )


def print_cards(
    form_id: str,
    language: str,
    root: Path = FORMS,
    *,
    emblem: Path | None = None,
    phone: str = "",
    hours: str = "",
    pack: str = DEMO,
) -> str:
    """A page of cards for enquirers: case code, phone, hours, and that they can change their mind.

    Without *emblem* a card tells nobody whose it is. With it half of the cards carry it. What is not given is left to
    be written by hand.
    """
    spoken = _spoken(load(form_id, root, pack), language)
    picture = _picture(emblem)
    half = _CARDS_A_PAGE // 2
    emblems = [picture] * half + [""] * half if picture else [""] * _CARDS_A_PAGE
    said = words(spoken)
    return _render(
        "cards.html", language, spoken, title=said["card_title"], emblems=emblems, phone=phone, hours=hours, w=said
    )


def _spoken(form: FormDefinition, language: str) -> str:
    """The one of the four languages whose words and digits a page in *language* takes: a pack's language has a fallback."""
    if language not in form.languages:
        raise FormError("forms.unknown_language", language, f"Languages: {', '.join(form.languages)}.")
    return form.pack.fallback.get(language, language if language in LANGUAGES else "en")


class _Paper:
    """Turns the rows of one form into what stands on paper in one language."""

    def __init__(self, form: FormDefinition, language: str, said: Mapping[str, str]) -> None:
        self._form = form
        self._words = said
        self._texts = texts_of(form, language)
        self._digits = _DIGITS.get(_spoken(form, language), {})
        self._rows = form.rows_of("kobo")
        asked = [row for row in self._rows if _kind(row, form) not in (None, "note")]
        self._numbers = {row.name: str(number).translate(self._digits) for number, row in enumerate(asked, start=1)}
        self._calculated = {row.name: row["calculation"] for row in self._rows if row.type == "calculate"}

    def sections(self) -> Section:
        """Everything, inside one outermost section without a title."""
        top = Section("", "", 0)
        open_ = [top]
        for row in self._rows:
            if row.type in BEGINS:
                open_.append(self._section(row, len(open_)))
            elif row.type in BEGINS.values():
                _close(open_)
            elif (kind := _kind(row, self._form)) is not None:
                open_[-1].parts.append(self._item(row, kind))
        return top

    def about(self) -> str:
        """What the form is for: the note under its title."""
        said = next((row["label"] for row in self._rows if row.name == TITLE_NOTE), "")
        return self._text(said).partition("\n")[2]

    def _section(self, row: Row, depth: int) -> Section:
        title = self._text(row["label"])
        return Section(title, self._only_if(row), depth, repeat=row.type == "begin_repeat")

    def _item(self, row: Row, kind: Kind) -> Item:
        choices = self._choices(row)
        return Item(
            kind=kind,
            number=self._numbers.get(row.name, ""),
            label=self._rich(row["label"]),
            hint=self._rich(row["hint"]),
            only_if=self._only_if(row),
            choices=choices,
            required=row["required"] == "yes",
            columns=_columns(choices),
        )

    def _choices(self, row: Row) -> tuple[str, ...]:
        if row.type == "acknowledge":
            return ("",)
        known = self._form.choices.get(row.list_name or "")
        return tuple(self._text(choice.label) for choice in known.choices) if known else ()

    def _text(self, english: str) -> str:
        return self._texts.get(english, english)

    def _rich(self, english: str) -> Markup:
        """A text with its bold words and lines; what a device would put in is a dotted line."""
        text = str(escape(self._text(english)))
        text = _BOLD.sub(r"<strong>\1</strong>", text)
        text = _REFERENCE.sub('<span class="blank"></span>', text)
        return Markup(text.replace("\n", "<br>"))  # noqa: S704 (escaped above)

    def _only_if(self, row: Row) -> str:
        """ "Only if …"; empty when it is always asked."""
        expression = row["relevant"]
        if not expression:
            return ""
        if self._hangs_on_consent(expression):
            return self._words["after_agreement"]
        condition = conditions.read(expression)
        if condition is None or not conditions.questions(condition) <= self._numbers.keys():
            return self._words["if_applies"]
        told = conditions.told(condition, self._words, self._called, self._choice_of)
        return f"{self._words['only_if']} {told}"

    def _hangs_on_consent(self, expression: str) -> bool:
        """Whether a calculated gate stands in between that looks at consent."""
        gates = [name for name in references(expression) if name in self._calculated]
        return any(_CONSENT & set(references(self._calculated[name])) for name in gates)

    def _called(self, question: str) -> str:
        return self._words["question_no"].format(number=self._numbers[question])

    def _choice_of(self, atom: conditions.Atom) -> str:
        named = {choice.name: choice.label for choice in self._form.choices_of(atom.question)}
        return self._text(named.get(atom.choice, atom.choice))


def _kind(row: Row, form: FormDefinition) -> Kind | None:
    """How a row is answered on paper; None for what stands on no paper."""
    if row.type in _UNPRINTED or row.type in BEGINS or row.type in BEGINS.values():
        return None
    if not row["label"] or row.name == TITLE_NOTE:
        return None  # the device fills it in by itself; the title is the page's
    kind = _KINDS.get(row.type, "line")
    if kind in ("one", "many") and row.list_name:
        most = _MOST_MINIMAL if "minimal" in row["appearance"] else _MOST_CHOICES
        return kind if len(form.choices[row.list_name].choices) <= most else "write_in"
    return "lines" if kind == "line" and "multiline" in row["appearance"] else kind


def _close(open_: list[Section]) -> None:
    """Ends the innermost section; an empty one (all of it worked out by the device) leaves no trace."""
    done = open_.pop()
    if not done.parts:
        return
    if done.repeat:
        done.own_page = done.items > _SMALL_REPEAT
        done.copies = 1 if done.own_page else 2
    only = done.parts[0]
    if len(done.parts) == 1 and isinstance(only, Section) and only.title == done.title and not only.only_if:
        done.parts = only.parts  # a group around a screen of the same name: one heading is enough
    open_[-1].parts.append(done)


def _is_short(choices: Sequence[str]) -> bool:
    return len(choices) <= 3 and sum(map(len, choices)) <= 30  # noqa: PLR2004 (letters beside a question)


def _columns(choices: Sequence[str]) -> int:
    """As many columns as the longest label leaves room for."""
    longest = max(map(len, choices), default=0)
    return 4 if longest <= 14 else 3 if longest <= 24 else 2 if longest <= 44 else 1  # noqa: PLR2004 (letters on A4)


def _picture(file: Path | None) -> str:
    """A picture as a data: address, so that the page needs no other file."""
    if file is None:
        return ""
    kind = mimetypes.guess_type(file.name)[0] or ""
    if kind not in _EMBLEMS:
        raise FormError("forms.not_a_picture", file.name, "Give a .png, .jpg or .svg file.")
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("forms", "paper"), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _render(template: str, language: str, spoken: str, **values: object) -> str:
    direction = "rtl" if spoken in RIGHT_TO_LEFT else "ltr"
    style = (FORMS / "paper" / "paper.css").read_text(encoding="utf-8")
    page = _environment().get_template(template)
    return page.render(language=language, direction=direction, style=Markup(style), **values)  # noqa: S704 (our own file)


def sections_in(top: Section) -> Iterable[Section]:
    """A section and all inside it."""
    yield top
    for part in top.parts:
        if isinstance(part, Section):
            yield from sections_in(part)
