"""Forms as tables: reads `forms/<form_id>/` with its blocks and choice lists into one `FormDefinition`.

docs/adding-a-form.md describes the tables. Nothing here needs pyxform, so that the connector can ask at run time what
type a question has and what its choices are.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from forms.errors import Finding, FormError
from forms.packs import DEMO, SOURCE, Pack, pack_names, read_pack

Build = Literal["kobo", "central"]
BUILDS: tuple[Build, ...] = ("kobo", "central")
FORMS = Path(__file__).parent
"""The folder that holds the tables. Every function takes another as *root*."""

LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"en": "English (en)", "ar": "العربية (ar)", "fa": "فارسی (fa)", "fr": "Français (fr)"}
)
"""Code of a language -> its name in the built forms."""

TEXT_COLUMNS = ("label", "hint", "required_message", "constraint_message")
"""Columns a person reads: they are translated."""
SURVEY_COLUMNS = (
    "type",
    "name",
    "label",
    "hint",
    "required",
    "required_message",
    "relevant",
    "constraint",
    "constraint_message",
    "calculation",
    "choice_filter",
    "appearance",
    "default",
    "parameters",
    "repeat_count",
    "read_only",
    "trigger",
    "image",
    "save_to",
    "#only",
    "#note",
)
EXPRESSION_COLUMNS = (
    "relevant",
    "constraint",
    "calculation",
    "choice_filter",
    "repeat_count",
    "required",
    "default",
    "read_only",
    "trigger",
)
"""Columns that can hold an XPath expression with `${references}`."""
BEGINS = {"begin_group": "end_group", "begin_repeat": "end_repeat"}
"""Type that opens a group -> type that closes it."""
TITLE_NOTE = "form_name"
"""The note at the top of a form: its title, translated, and what it is for; the title in the settings has one language."""
CLEARED = "-"
"""In an `override` row: the question's cell becomes empty."""

_FROM_LIST = ("select_one", "select_multiple", "rank")
_FROM_FILE = ("select_one_from_file", "select_multiple_from_file")
_WITHOUT_ANSWER = frozenset(
    {"note", "begin_group", "end_group", "begin_repeat", "end_repeat", "xml-external", "csv-external"}
)
_NOT_REPLACED = frozenset({"type", "name", "#only", "#note", SOURCE})
_NOT_FORMS = frozenset({"blocks", "choices", "media", "packs", "translations", "xlsx"})
_SETTINGS = {
    "title": str,
    "version": str,
    "purpose": str,
    "style": str,
    "instance_name": str,
    "public_key": str,
    "submission_url": str,
    "media": list,
    "entities": list,
}
_ENTITY_KEYS = frozenset({"list_name", "label", "entity_id", "create_if", "update_if"})
_FILTER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Source:
    """Where a row was written: *file* relative to the forms folder, *row* as a spreadsheet counts."""

    file: str
    row: int


@dataclass(frozen=True)
class Row:
    """One row of a form after its blocks were put in. Cells that are empty are absent.

    Args:
        cells: column -> text, stripped.
        source: where the row was written.
        builds: the builds that have this row; a group's `#only` holds for all inside it.
        included: a block brought it, so that `override` and `omit` may name it.
        replaced: column -> where an `override` wrote the cell.
        via: the row of the form's own table that included the block, None for the form's own rows.
    """

    cells: Mapping[str, str]
    source: Source
    builds: frozenset[Build] = frozenset(BUILDS)
    included: bool = False
    replaced: Mapping[str, Source] = field(default_factory=dict)
    via: Source | None = None

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    @property
    def name(self) -> str:
        return self["name"]

    @property
    def type(self) -> str:
        """First word of the type cell: `select_one` of `select_one sex`."""
        return self["type"].partition(" ")[0]

    @property
    def list_name(self) -> str | None:
        """The choice list of a select, None for all other questions."""
        return self._second_word if self.type in _FROM_LIST else None

    @property
    def file(self) -> str | None:
        """The attached file of a select_…_from_file, None for all other questions."""
        return self._second_word if self.type in _FROM_FILE else None

    @property
    def _second_word(self) -> str:
        return self["type"].partition(" ")[2].strip().partition(" ")[0]

    def finding(self, column: str, code: str, message: str, mend: str) -> Finding:
        """A fault of this row, at the place where the cell of *column* was written."""
        source = self.replaced.get(column, self.source)
        return Finding(source.file, source.row, column, code, message, mend)


@dataclass(frozen=True)
class Choice:
    """One choice: *name* is kept in the record, *label* is the English text, *filters* the further columns."""

    name: str
    label: str
    filters: Mapping[str, str]
    source: Source


@dataclass(frozen=True)
class ChoiceList:
    """A choice list; *columns* are its filter columns in the table's order."""

    name: str
    choices: tuple[Choice, ...]
    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(choice.name for choice in self.choices)


@dataclass(frozen=True)
class Question:
    """A question that can carry an answer; notes and groups are none.

    Args:
        name: unique over the form.
        type: XLSForm type without its list: `select_one`, `text`, `calculate`.
        list_name: choice list of a select, else None.
        file: attached file of a select_one_from_file, else None.
        path: groups and name, `sought/identity/s_dob`: Kobo's key for the answer.
        repeat: path of the innermost repeat around it, None outside repeats.
        builds: the builds that ask it.
        label: English text, empty for calculates and metadata.
    """

    name: str
    type: str
    list_name: str | None
    file: str | None
    path: str
    repeat: str | None
    builds: frozenset[Build]
    label: str


@dataclass(frozen=True)
class Settings:
    """settings.toml. *entities* are the rows of Central's entities sheet; *media* are file names in `media/`."""

    title: str = ""
    version: str = ""
    purpose: str = ""
    style: str = ""
    instance_name: str = ""
    public_key: str = ""
    submission_url: str = ""
    media: tuple[str, ...] = ()
    entities: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class FormDefinition:
    """A form as its tables say it, blocks included.

    Args:
        rows: every row of both builds, `rows_of` gives those of one.
        choices: list name -> list, the used ones only.
        questions: name -> question.
        repeats: paths of the repeats.
        pack: the country pack that was laid over the tables.
    """

    form_id: str
    root: Path
    settings: Settings
    rows: tuple[Row, ...]
    choices: Mapping[str, ChoiceList]
    questions: Mapping[str, Question]
    repeats: tuple[str, ...]
    pack: Pack = field(default_factory=Pack)

    @property
    def languages(self) -> Mapping[str, str]:
        """Code of each language of the form → its name in the build: the four and those of the pack."""
        return {**LANGUAGES, **self.pack.languages}

    @property
    def version(self) -> str:
        return self.settings.version

    @property
    def purpose(self) -> str:
        return self.settings.purpose

    @property
    def media(self) -> tuple[str, ...]:
        return self.settings.media

    @property
    def language(self) -> str:
        """The language in which the form opens, that of its pack; English where the pack names one that is not there."""
        return self.pack.language if self.pack.language in self.languages else "en"

    def title(self, language: str = "en") -> str:
        """The title in *language* (a code of `languages`), in English where nobody has translated it."""
        from forms.translations import texts_of  # late: the PO files are not needed to know the questions

        return texts_of(self, language).get(self.settings.title, self.settings.title)

    def rows_of(self, build: Build) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if build in row.builds)

    def choices_of(self, name: str) -> tuple[Choice, ...]:
        """The choices of the question *name*; empty when it is no select from a list."""
        list_name = self.questions[name].list_name
        return self.choices[list_name].choices if list_name else ()


def form_ids(root: Path = FORMS) -> tuple[str, ...]:
    """Every form that has a survey.csv, sorted."""
    folders = (path.parent.name for path in root.glob("*/survey.csv"))
    return tuple(sorted(name for name in folders if name not in _NOT_FORMS))


def load(form_id: str, root: Path = FORMS, pack: str = DEMO) -> FormDefinition:
    """Reads a form's tables with the country pack *pack* laid over them; once a process, until `forget`.

    Raises:
        FormError: `forms.unknown_form`, or `forms.table_faulty` with every fault found.
    """
    return _load(form_id, root, pack)


@lru_cache(maxsize=64)
def codes_of_every_pack(form_id: str, root: Path = FORMS) -> Mapping[str, frozenset[str] | None]:
    """Select → every choice that the form offers in any pack; None where a pack lets the code be typed.

    For whoever reads records: they come from forms of every country.
    """
    forms = [load(form_id, root, pack) for pack in pack_names(root)]
    known: dict[str, frozenset[str] | None] = {}
    for name, question in forms[0].questions.items():
        if question.list_name is None:
            continue
        same = [form for form in forms if form.questions[name].list_name == question.list_name]
        offered = frozenset(choice.name for form in same for choice in form.choices_of(name))
        known[name] = offered if len(same) == len(forms) else None
    return MappingProxyType(known)


def forget() -> None:
    """Tables that were read are read again: for whoever writes them in the same process."""
    _load.cache_clear()
    codes_of_every_pack.cache_clear()
    read_pack.cache_clear()


@lru_cache(maxsize=128)
def _load(form_id: str, root: Path, pack_name: str) -> FormDefinition:
    if not (root / form_id / "survey.csv").is_file():
        raise FormError("forms.unknown_form", form_id, f"Known forms: {', '.join(form_ids(root)) or 'none'}.")
    faults: list[Finding] = []
    pack = read_pack(pack_name, root)
    settings = _read_settings(root, form_id, faults)
    expanded = _expanded(root, form_id, faults)
    _lay_over(expanded, pack, root, faults)
    rows = _spread_only(expanded, faults)
    choices = _read_choices(root, form_id, rows, pack, faults)
    placed = list(walk(rows))
    if faults:
        raise FormError("forms.table_faulty", form_id, "Mend what is listed and try again.", sorted(faults))
    return FormDefinition(
        form_id=form_id,
        root=root,
        settings=settings,
        rows=tuple(rows),
        choices=MappingProxyType(choices),
        questions=MappingProxyType(_questions(placed)),
        repeats=tuple(dict.fromkeys(path_of(row, groups) for row, groups in placed if row.type == "begin_repeat")),
        pack=pack,
    )


def walk(rows: Iterable[Row]) -> Iterator[tuple[Row, tuple[Row, ...]]]:
    """Each row with the groups and repeats around it, outermost first. Rows that close a group are left out."""
    groups: list[Row] = []
    for row in rows:
        if row.type in BEGINS.values():
            if groups:
                groups.pop()
            continue
        yield row, tuple(groups)
        if row.type in BEGINS:
            groups.append(row)


def path_of(row: Row, groups: Sequence[Row]) -> str:
    """`sought/identity/s_dob`: the names of the groups around a row and its own."""
    return "/".join([*(group.name for group in groups), row.name])


def read_table(root: Path, path: Path, faults: list[Finding]) -> tuple[tuple[str, ...], list[Row]]:
    """Header and rows of one CSV table. Empty rows are skipped; a cell without a column is a fault."""
    file = path.relative_to(root).as_posix()
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.reader(stream))
    header = tuple(cell.strip() for cell in lines[0]) if lines else ()
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.replace("\r\n", "\n").strip() for cell in line]
        if any(cells[len(header) :]):
            faults.append(
                Finding(
                    file,
                    number,
                    "",
                    "too_many_cells",
                    "The row has more cells than the header.",
                    "Quote cells that hold a comma.",
                )
            )
        filled = {column: cell for column, cell in zip(header, cells, strict=False) if cell}
        if filled:
            rows.append(Row(MappingProxyType(filled), Source(file, number)))
    return header, rows


def _read_survey(root: Path, path: Path, faults: list[Finding], columns: Sequence[str] = SURVEY_COLUMNS) -> list[Row]:
    header, rows = read_table(root, path, faults)
    file = path.relative_to(root).as_posix()
    known = f"Known: {', '.join(columns)}."
    faults += [
        Finding(file, 1, column, "unknown_column", f"There is no column {column!r}.", known)
        for column in header
        if column not in columns
    ]
    faults += [
        Finding(file, 1, column, "missing_column", f"The column {column!r} is missing.", "Add it.")
        for column in ("type", "name")
        if column not in header
    ]
    return rows


def _expanded(root: Path, form_id: str, faults: list[Finding]) -> list[Row]:
    """The rows of a form with all blocks put in, overridden and left out as the tables say."""
    done: list[Row] = []
    _add_rows(done, _read_survey(root, root / form_id / "survey.csv", faults), root, (), faults)
    return done


def _add_rows(done: list[Row], rows: Iterable[Row], root: Path, inside: tuple[str, ...], faults: list[Finding]) -> None:
    """Appends *rows* to *done*; *inside* names the blocks we are in, outermost first."""
    for row in rows:
        if row.type == "include":
            _include(done, row, root, inside, faults)
        elif row.type == "override":
            _override(done, row, faults)
        elif row.type == "omit":
            _omit(done, row, faults)
        else:
            done.append(replace(row, builds=_only(row, faults), included=bool(inside)))


def _include(done: list[Row], row: Row, root: Path, inside: tuple[str, ...], faults: list[Finding]) -> None:
    path = root / "blocks" / f"{row.name}.csv"
    if row.name in inside:
        faults.append(
            row.finding("name", "block_in_itself", f"The block {row.name!r} includes itself.", "Take one include away.")
        )
        return
    if not row.name or not path.is_file():
        faults.append(
            row.finding("name", "unknown_block", f"There is no block {row.name!r}.", f"Write blocks/{row.name}.csv.")
        )
        return
    unused = set(row.cells) - {"type", "name", "parameters", "#only", "#note"}
    if unused:
        faults.append(
            row.finding(
                min(unused),
                "cell_unused",
                "An include row has no such cell.",
                "Put a group around the include, or use override.",
            )
        )
    prefix = _prefix(row, faults)
    builds = _only(row, faults)
    start = len(done)
    block = [_prefixed(found, prefix) for found in _read_survey(root, path, faults)]
    _add_rows(done, block, root, (*inside, row.name), faults)
    done[start:] = [replace(added, builds=added.builds & builds, via=row.source) for added in done[start:]]


def _prefix(row: Row, faults: list[Finding]) -> str:
    match = re.fullmatch(r"(?:prefix=([a-z0-9_]*))?", row["parameters"])
    if match is None:
        faults.append(
            row.finding(
                "parameters",
                "bad_prefix",
                "An include takes prefix=… alone.",
                "Write prefix=enq_ (small letters, digits, _).",
            )
        )
        return ""
    return match[1] or ""


def _prefixed(row: Row, prefix: str) -> Row:
    return replace(row, cells={column: cell.replace("{p}", prefix) for column, cell in row.cells.items()})


def _only(row: Row, faults: list[Finding]) -> frozenset[Build]:
    match row["#only"]:
        case "":
            return frozenset(BUILDS)
        case "kobo":
            return frozenset(("kobo",))
        case "central":
            return frozenset(("central",))
        case other:
            faults.append(
                row.finding(
                    "#only", "unknown_build", f"There is no build {other!r}.", "Write kobo, central or nothing."
                )
            )
            return frozenset(BUILDS)


def _override(done: list[Row], row: Row, faults: list[Finding]) -> None:
    """The non-empty cells replace those of the included rows of that name; `-` empties one."""
    _replace_cells(done, _included_places(done, row, faults), row, faults)


def _replace_cells(done: list[Row], places: Iterable[int], row: Row, faults: list[Finding]) -> None:
    new_type = row["type"].partition(" ")[2].strip()
    cells = {column: cell for column, cell in row.cells.items() if column not in _NOT_REPLACED}
    if new_type:
        cells["type"] = new_type
    for place in places:
        old = done[place]
        merged = {column: cell for column, cell in {**old.cells, **cells}.items() if cell != CLEARED}
        done[place] = replace(
            old,
            cells=merged,
            builds=_only(row, faults) if row["#only"] else old.builds,
            replaced={**old.replaced, **dict.fromkeys(cells, row.source)},
        )


def _lay_over(done: list[Row], pack: Pack, root: Path, faults: list[Finding]) -> None:
    """The override rows of a country pack replace cells of every question of that name; a form without it stays as it is."""
    for path in pack.surveys(root):
        for row in _read_survey(root, path, faults, (*SURVEY_COLUMNS, SOURCE)):
            if row.type != "override":
                mend = "A pack overrides questions of the forms; a question of its own belongs into a form."
                faults.append(row.finding("type", "not_an_override", f"A pack has no {row.type!r} rows.", mend))
                continue
            cells = {column: cell.replace("{organisation}", pack.organisation) for column, cell in row.cells.items()}
            places = [
                place for place, old in enumerate(done) if old.name == row.name and old.type not in BEGINS.values()
            ]
            _replace_cells(done, places, replace(row, cells=cells), faults)


def _omit(done: list[Row], row: Row, faults: list[Finding]) -> None:
    for place in reversed(_included_places(done, row, faults)):
        del done[place : _end_of(done, place) + 1]


def _included_places(done: Sequence[Row], row: Row, faults: list[Finding]) -> list[int]:
    places = [
        place
        for place, old in enumerate(done)
        if old.name == row.name and old.included and old.type not in BEGINS.values()
    ]
    if not places:
        faults.append(
            row.finding(
                "name",
                "nothing_included",
                f"No earlier include brought {row.name!r}.",
                "Use the final name, prefix included, and put the row after the include.",
            )
        )
    return places


def _end_of(rows: Sequence[Row], start: int) -> int:
    """Place of the row that closes the group opened at *start*; *start* itself when it opens none."""
    depth = 0
    for place in range(start, len(rows)):
        depth += (rows[place].type in BEGINS) - (rows[place].type in BEGINS.values())
        if depth <= 0:
            return place
    return len(rows) - 1


def _spread_only(rows: Iterable[Row], faults: list[Finding]) -> list[Row]:
    """A group's builds hold for all inside it and for its end. Groups that do not close are faults."""
    spread: list[Row] = []
    open_groups: list[Row] = []
    for row in rows:
        if row.type in BEGINS.values():
            if not open_groups or BEGINS[open_groups[-1].type] != row.type:
                faults.append(
                    row.finding(
                        "type", "group_not_open", f"Nothing that {row.type} closes is open.", "Check the rows above."
                    )
                )
                continue
            spread.append(replace(row, builds=open_groups.pop().builds))
            continue
        around = open_groups[-1].builds if open_groups else frozenset(BUILDS)
        placed = replace(row, builds=row.builds & around)
        spread.append(placed)
        if row.type in BEGINS:
            open_groups.append(placed)
    faults += [
        row.finding(
            "type", "group_not_closed", f"The group {row.name!r} is not closed.", f"Add a row {BEGINS[row.type]}."
        )
        for row in open_groups
    ]
    return spread


def _questions(placed: Iterable[tuple[Row, tuple[Row, ...]]]) -> dict[str, Question]:
    """Name -> question. A name that each build asks in its own way is one question with both builds."""
    questions: dict[str, Question] = {}
    for row, groups in placed:
        if row.type in _WITHOUT_ANSWER:
            continue
        first = questions.get(row.name)
        questions[row.name] = (
            replace(first, builds=first.builds | row.builds)
            if first
            else Question(
                name=row.name,
                type=row.type,
                list_name=row.list_name,
                file=row.file,
                path=path_of(row, groups),
                repeat=_innermost_repeat(groups),
                builds=row.builds,
                label=row["label"],
            )
        )
    return questions


def _innermost_repeat(groups: Sequence[Row]) -> str | None:
    for depth in range(len(groups), 0, -1):
        if groups[depth - 1].type == "begin_repeat":
            return path_of(groups[depth - 1], groups[: depth - 1])
    return None


def _read_choices(
    root: Path, form_id: str, rows: Iterable[Row], pack: Pack, faults: list[Finding]
) -> dict[str, ChoiceList]:
    """The lists that *rows* use, from the form's own choices.csv, the pack or the shared ones."""
    own = _own_lists(root, form_id, faults)
    lists: dict[str, ChoiceList] = {}
    for row in rows:
        name = row.list_name
        if name is None or name in lists:
            continue
        shared = root / "choices" / f"{name}.csv"
        if name in own:
            lists[name] = own[name]
        elif name and shared.is_file():
            lists[name] = _in_pack(_choice_list(name, *read_table(root, shared, faults), faults), pack, root, faults)
        else:
            faults.append(
                row.finding("type", "unknown_list", f"There is no choice list {name!r}.", f"Write choices/{name}.csv.")
            )
    return lists


def _in_pack(shared: ChoiceList, pack: Pack, root: Path, faults: list[Finding]) -> ChoiceList:
    """A shared list as the pack has it: its own rows with a code, then those of the shared list that it keeps."""
    path = pack.choices(root, shared.name)
    if path is not None:
        header, rows = read_table(root, path, faults)
        coded = [row for row in rows if row.name]
        own = _choice_list(shared.name, header, coded, faults)
        kept = [choice for choice in shared.choices if choice.name in pack.keep.get(shared.name, ())]
        if not coded and not kept:
            file = path.relative_to(root).as_posix()
            mend = "Write the code of at least one, or ask for it: docs/adding-a-form.md, country packs."
            faults.append(Finding(file, 1, "name", "list_empty", "No row has a code: nothing can be chosen.", mend))
        columns = tuple(dict.fromkeys((*shared.columns, *own.columns)))
        return ChoiceList(shared.name, (*own.choices, *kept), columns)
    if shared.name == "sex" and not pack.sex_other:
        return replace(shared, choices=tuple(choice for choice in shared.choices if choice.name != "other"))
    return shared


def _own_lists(root: Path, form_id: str, faults: list[Finding]) -> dict[str, ChoiceList]:
    path = root / form_id / "choices.csv"
    if not path.is_file():
        return {}
    header, rows = read_table(root, path, faults)
    by_list: dict[str, list[Row]] = {}
    for row in rows:
        if (root / "choices" / f"{row['list_name']}.csv").is_file():
            faults.append(
                row.finding(
                    "list_name",
                    "list_twice",
                    f"{row['list_name']!r} is a shared list too.",
                    "Give this form's list another name.",
                )
            )
        by_list.setdefault(row["list_name"], []).append(row)
    return {name: _choice_list(name, header, found, faults) for name, found in by_list.items()}


def _choice_list(name: str, header: tuple[str, ...], rows: Sequence[Row], faults: list[Finding]) -> ChoiceList:
    """A list from its rows; filter columns are those that any of its rows fills."""
    columns = [column for column in header if column not in ("list_name", "name", "label", "#note", SOURCE)]
    used = tuple(column for column in columns if any(row[column] for row in rows))
    for row in rows:
        faults += [
            row.finding(column, "cell_missing", f"A choice of {name!r} has no {column}.", "Fill the cell.")
            for column in ("name", "label")
            if not row[column]
        ]
    faults += [
        rows[0].finding(
            column, "unknown_column", f"{column!r} cannot be a filter column.", "Use letters, digits and _."
        )
        for column in columns
        if rows and not _FILTER_NAME.fullmatch(column)
    ]
    choices = tuple(
        Choice(row.name, row["label"], MappingProxyType({column: row[column] for column in used}), row.source)
        for row in rows
    )
    return ChoiceList(name, choices, used)


def _read_settings(root: Path, form_id: str, faults: list[Finding]) -> Settings:
    file = f"{form_id}/settings.toml"
    found = read_toml(root, file, faults)
    for key, value in found.items():
        expected = _SETTINGS.get(key)
        if expected is None:
            faults.append(
                Finding(file, 0, key, "unknown_key", f"There is no setting {key!r}.", f"Known: {', '.join(_SETTINGS)}.")
            )
        elif not isinstance(value, expected):
            faults.append(
                Finding(file, 0, key, "bad_value", f"{key} is not a {expected.__name__}.", "See docs/adding-a-form.md.")
            )
    faults += [
        Finding(file, 0, key, "missing_key", f"The setting {key!r} is missing.", "Add it.")
        for key in ("title", "version", "purpose")
        if not found.get(key)
    ]
    return _settings_from(found, file, faults)


def _settings_from(found: Mapping[str, object], file: str, faults: list[Finding]) -> Settings:
    texts = {key: value for key, value in found.items() if _SETTINGS.get(key) is str and isinstance(value, str)}
    media = found.get("media")
    entities = found.get("entities")
    rows: list[Mapping[str, str]] = []
    for entity in entities if isinstance(entities, list) else []:
        cells = {str(key): str(value) for key, value in entity.items()} if isinstance(entity, dict) else {}
        rows.append(MappingProxyType(cells))
        faults += [
            Finding(
                file,
                0,
                f"entities.{key}",
                "unknown_key",
                f"An entity has no {key!r}.",
                f"Known: {', '.join(sorted(_ENTITY_KEYS))}.",
            )
            for key in sorted(set(cells) - _ENTITY_KEYS)
        ]
    names = tuple(str(name) for name in media) if isinstance(media, list) else ()
    return Settings(**texts, media=names, entities=tuple(rows))


def read_toml(root: Path, file: str, faults: list[Finding]) -> dict[str, object]:
    """A TOML file of a form; empty, with a fault, when it is missing or cannot be read."""
    try:
        return tomllib.loads((root / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        faults.append(
            Finding(file, 0, "", "file_missing", "The file is missing.", "Write it; docs/adding-a-form.md shows one.")
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(Finding(file, 0, "", "not_toml", f"It is no TOML: {error}.", "Mend the syntax."))
    return {}
