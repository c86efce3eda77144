"""Takes an .xlsx that an admin or translator edited back into tables and PO files, or says which cell cannot be kept.

    python: import_workbook(Path("tracing_request.xlsx"))

All or nothing: the edits are written into a copy of the tables first, compiled, and held against the workbook cell by
cell. Only when the tables say exactly what the workbook says are they put in place.

A form's own rows and lists can be edited in every way. Blocks and lists that several forms share can be translated, but
not changed from within one form.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from forms.compiler import PER_LANGUAGE, headings_of, sheets
from forms.differences import Cells, rows_of
from forms.errors import Finding, FormError
from forms.tables import (
    BEGINS,
    BUILDS,
    CLEARED,
    EXPRESSION_COLUMNS,
    FORMS,
    LANGUAGES,
    SURVEY_COLUMNS,
    TEXT_COLUMNS,
    Build,
    Choice,
    FormDefinition,
    Row,
    forget,
    form_ids,
    load,
)
from forms.translations import TRANSLATED, lost_parts, merge, texts
from forms.workbooks import GivenRow, GivenSheet, read_workbook

_SETTINGS = {
    "form_title": "title",
    "version": "version",
    "style": "style",
    "instance_name": "instance_name",
    "public_key": "public_key",
    "submission_url": "submission_url",
}
"""Heading on the settings sheet → key of settings.toml."""
_FIXED_SETTINGS = frozenset({"form_id", "default_language", "id_string"})
_SHEETS = frozenset({"survey", "choices", "settings", "entities"})
_TRUE = frozenset({"yes", "true", "true()"})
_CURLY = frozenset("‘’“”")
_ENGLISH = LANGUAGES["en"]
_Keys: TypeAlias = "Callable[[Iterable[Cells]], list[str]]"
_COPIED = ("blocks", "choices", "media", "translations")


@dataclass(frozen=True)
class Imported:
    """What an import wrote.

    Args:
        files: tables that changed, relative to the forms folder.
        translated: language → how many texts got another translation.
        rows: how many cells, rows and settings changed in tables.
        folder: where the PO files stand.
    """

    form_id: str
    build: Build
    files: tuple[str, ...]
    translated: Mapping[str, int]
    rows: int
    folder: str = "translations"


def import_workbook(path: Path, form_id: str | None = None, root: Path = FORMS, *, dry_run: bool = False) -> Imported:
    """Writes what was edited in *path* into the tables and PO files under *root*.

    Args:
        form_id: the form it is an edition of; without it the settings sheet says so.

    Raises:
        FormError: `forms.not_importable` with a finding for every cell that cannot be kept; nothing was written.
    """
    faults: list[Finding] = []
    given = read_workbook(path, faults)
    form = load(form_id or stated_form(path, given), root)
    build = build_of(form, given)
    edit = _Edit(form, build, given, faults)
    edit.collect()
    refuse(path, faults)
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy_of(form, Path(folder))
        edit.write(copy)
        refuse(path, edit.not_kept(copy))
    if not dry_run:
        edit.write(root)
        forget()
    counted = {language: len(wanted) for language, wanted in edit.texts.items() if wanted}
    return Imported(form.form_id, build, edit.files, counted, edit.changed)


def refuse(path: Path, faults: Sequence[Finding]) -> None:
    if faults:
        advice = "Nothing was written. Mend what is listed and import again."
        raise FormError("forms.not_importable", path.name, advice, sorted(faults))


def stated_form(path: Path, given: Mapping[str, GivenSheet]) -> str:
    rows = given["settings"].rows if "settings" in given else ()
    stated = rows[0]["form_id"] if rows else ""
    if not stated:
        raise FormError("forms.not_importable", path.name, "It does not say which form it is: give --as FORM.")
    return stated


def build_of(form: FormDefinition, given: Mapping[str, GivenSheet]) -> Build:
    """The build it was made from: the one whose questions it shares most; Kobo's where both are alike."""
    names = {row["name"] for row in given["survey"].rows} if "survey" in given else set()

    def apart(build: Build) -> tuple[int, bool]:
        ours = {row.name for row in form.rows_of(build)}
        central = "entities" in given or ("survey" in given and "save_to" in given["survey"].header)
        return len(ours ^ names), (build == "central") is not central

    return min(BUILDS, key=apart)


def _copy_of(form: FormDefinition, folder: Path) -> Path:
    """The tables that this form is made of, somewhere else."""
    for name in (*_COPIED, form.form_id):
        if (form.root / name).is_dir():
            shutil.copytree(form.root / name, folder / name)
    return folder


class _Table:
    """A CSV table that is being edited. Lines keep their identity, so that they can be moved after a cell was set."""

    def __init__(self, path: Path) -> None:
        raw = path.read_text(encoding="utf-8-sig") if path.is_file() else "list_name,name,label\n"
        lines = list(csv.reader(io.StringIO(raw, newline="")))
        self._before = raw
        self.header = lines[0]
        self.lines = lines[1:]

    def set(self, line: list[str], column: str, text: str) -> None:
        if column not in self.header:
            if not text:
                return
            self.header.append(column)
        place = self.header.index(column)
        line += [""] * (place + 1 - len(line))
        line[place] = text

    def new(self, cells: Mapping[str, str]) -> list[str]:
        line: list[str] = []
        for column, text in cells.items():
            self.set(line, column, text)
        return line

    def at(self, row: int) -> list[str]:
        """The line that a spreadsheet calls *row*."""
        return self.lines[row - 2]

    @property
    def text(self) -> str:
        """The table as a file; the very bytes it had where nothing was edited."""
        out = io.StringIO()
        width = len(self.header)
        lines = ([*line, *[""] * (width - len(line))] if any(line) else line for line in self.lines)
        csv.writer(out, lineterminator="\n").writerows([self.header, *lines])
        return out.getvalue()

    @property
    def is_changed(self) -> bool:
        before = csv.reader(io.StringIO(self._before, newline=""))
        return list(before) != list(csv.reader(io.StringIO(self.text, newline="")))


@dataclass
class _Edit:
    """What a workbook changes of a form, collected before anything is written."""

    form: FormDefinition
    build: Build
    given: Mapping[str, GivenSheet]
    faults: list[Finding]
    texts: dict[str, dict[str, str]] = field(default_factory=lambda: {language: {} for language in TRANSLATED})
    changed: int = 0
    _settings: dict[str, str] = field(default_factory=dict)
    _left: set[tuple[str, str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._survey = _Table(self.form.root / self._survey_file)
        self._choices = _Table(self.form.root / self._choices_file)
        self._ours = rows_of(sheets(self.form, self.build))

    @property
    def _survey_file(self) -> str:
        return f"{self.form.form_id}/survey.csv"

    @property
    def _choices_file(self) -> str:
        return f"{self.form.form_id}/choices.csv"

    @property
    def files(self) -> tuple[str, ...]:
        """The tables that are written."""
        named = ((self._survey_file, self._survey.is_changed), (self._choices_file, self._choices.is_changed))
        files = [file for file, changed in named if changed]
        return (*files, *[f"{self.form.form_id}/settings.toml"] * bool(self._settings))

    def collect(self) -> None:
        """Reads every sheet; what cannot be kept is added to the faults."""
        if self._sheets_are_there():
            self._collect_survey()
            self._collect_choices()
            self._collect_settings()
            self._collect_entities()

    def write(self, root: Path) -> None:
        """Puts the edited tables and translations under *root*."""
        for table, file in ((self._survey, self._survey_file), (self._choices, self._choices_file)):
            if table.is_changed:
                (root / file).write_text(table.text, encoding="utf-8")
        if self._settings:
            path = root / self.form.form_id / "settings.toml"
            path.write_text(_with_settings(path.read_text(encoding="utf-8"), self._settings), encoding="utf-8")
        for language, wanted in self.texts.items():
            if wanted:
                merge(language, wanted, root)

    def not_kept(self, root: Path) -> list[Finding]:
        """Cells of the workbook that the tables under *root* do not say; faults of those tables come first."""
        forget()
        try:
            made = rows_of(sheets(load(self.form.form_id, root), self.build))
        except FormError as error:
            return list(error.findings) or [Finding(self._survey_file, 0, "", error.code, error.next_step, "")]
        finally:
            forget()
        found = [*self._unkept("survey", made["survey"], _survey_keys)]
        lists = {cells["list_name"] for cells in made.get("choices", ())}
        given_lists = {row["list_name"] for row in self.given["choices"].rows} if "choices" in self.given else set()
        choices = [cells for cells in made.get("choices", ()) if cells["list_name"] in given_lists]
        return [*found, *self._unkept("choices", choices, _choice_keys, only=lists)]

    def _unkept(
        self, sheet: str, made: Sequence[Cells], keys: _Keys, only: set[str] | None = None
    ) -> Iterator[Finding]:
        if sheet not in self.given:
            return
        given = [row for row in self.given[sheet].rows if only is None or row["list_name"] in only]
        if keys(made) != keys([row.cells for row in given]):
            yield self.given[sheet].finding(0, "", "order_not_kept", "The rows cannot stand in this order.", _BY_HAND)
            return
        for cells, row in zip(made, given, strict=True):
            for column in sorted({*cells, *row.cells}):
                ours, theirs = plain(column, cells.get(column, "")), plain(column, row[column])
                if ours != theirs and not column.startswith("$") and not self._is_left(sheet, row, column):
                    message = "The cell cannot be kept as it is."
                    yield self.given[sheet].finding(row.number, column, "cell_not_kept", message, _BY_HAND)

    def _is_left(self, sheet: str, row: GivenRow, column: str) -> bool:
        """Translations that follow an edit made at another place of the same text, or that nobody has made yet."""
        kind, _, name = column.partition("::")
        language = next((code for code, known in LANGUAGES.items() if known == name), "en")
        english = row[f"{kind}::{_ENGLISH}"]
        return english in self.texts.get(language, {}) or (sheet, str(row.number), column) in self._left

    # What stands where

    def _sheets_are_there(self) -> bool:
        """Sheets and columns are those of the build; the rest cannot be kept anywhere."""
        wanted = set(self._ours)
        name = next(iter(self.given.values())).file.partition("!")[0]
        gone = sorted(wanted - set(self.given) - {"settings"} | ({"settings"} - set(self.given)))
        self.faults += [
            Finding(
                name, 0, sheet, "sheet_missing", f"The sheet {sheet!r} is gone.", "Put it back from the built form."
            )
            for sheet in gone
        ]
        self.faults += [
            Finding(name, 0, sheet, "unknown_sheet", f"A form has no sheet {sheet!r}.", "Keep it in a file of its own.")
            for sheet in sorted(set(self.given) - _SHEETS)
        ]
        if not gone:
            self._check_columns("survey", _survey_headings(self.build))
            filters = {column for choices in self.form.choices.values() for column in choices.columns}
            self._check_columns("choices", {"list_name", "name", *headings_of("label"), *filters})
        return not gone

    def _check_columns(self, sheet: str, known: set[str]) -> None:
        if sheet not in self.given:
            return
        given = self.given[sheet]
        for column in given.header:
            if column not in known and not column.startswith("$"):
                self.faults.append(_unknown_column(given, column))
        filled = {column for cells in self._ours.get(sheet, ()) for column in cells}
        for column in sorted(filled - set(given.header)):
            message = f"The column {column!r} is gone."
            self.faults.append(given.finding(1, column, "column_missing", message, "Put it back from the built form."))
        for column in {column for column in given.header if given.header.count(column) > 1}:
            message = f"Two columns are called {column!r}."
            self.faults.append(given.finding(1, column, "column_twice", message, "Take one away."))

    # survey

    def _collect_survey(self) -> None:
        sheet = self.given["survey"]
        rows = self.form.rows_of(self.build)
        ours = dict(zip(_survey_keys([row.cells for row in rows]), rows, strict=True))
        keys = _survey_keys([row.cells for row in sheet.rows])
        self._duplicates(sheet, keys)
        theirs = dict(zip(keys, sheet.rows, strict=True))
        for key, row in ours.items():
            if key in theirs:
                self._collect_row(row, theirs[key])
            elif row.via is not None:
                mend = f"Put it back, or add a row `omit` with that name to {self._survey_file}."
                message = f"{row.name or row.type} of {row.source.file} is gone."
                self.faults.append(sheet.finding(0, "", "block_row_gone", message, mend))
        self._blocks_are_whole(keys, ours, theirs)
        if not self.faults:
            self._reorder(keys, ours, theirs)

    def _duplicates(self, sheet: GivenSheet, keys: Sequence[str]) -> None:
        for key, row in zip(keys, sheet.rows, strict=True):
            if not row["type"]:
                self.faults.append(
                    sheet.finding(row.number, "type", "cell_missing", "The row has no type.", "Fill the cell.")
                )
            elif keys.count(key) > 1:
                message = f"{key!r} stands twice."
                self.faults.append(sheet.finding(row.number, "name", "name_twice", message, "Give it another name."))

    def _blocks_are_whole(self, keys: Sequence[str], ours: Mapping[str, Row], theirs: Mapping[str, GivenRow]) -> None:
        """Nothing may stand between the rows that one include brings, and they keep their order."""
        units: dict[int, list[str]] = {}
        for key, row in ours.items():
            if row.via is not None and key in theirs:
                units.setdefault(row.via.row, []).append(key)
        for unit in units.values():
            start = min(keys.index(key) for key in unit)
            if keys[start : start + len(unit)] == unit:
                continue
            stranger = next((key for key in keys[start : start + len(unit)] if key not in unit), unit[0])
            message = f"The row stands inside the block {ours[unit[0]].source.file}, which forms share as it is."
            number = theirs[stranger].number
            mend = "Put it before or after the block's rows."
            self.faults.append(self.given["survey"].finding(number, "", "block_broken", message, mend))

    def _collect_row(self, row: Row, given: GivenRow) -> None:
        for column in _columns(self.build):
            if column in TEXT_COLUMNS:
                self._collect_text(row, column, given)
            elif column == "image":
                self._collect_image(row, given)
            elif column != "name" and plain(column, row[column]) != plain(column, given[column]):
                self._set(row, column, given[column], given, column)

    def _collect_text(self, row: Row, column: str, given: GivenRow) -> None:
        heading = f"{column}::{_ENGLISH}"
        if row[column] != given[heading]:
            self._set(row, column, given[heading], given, heading)
        self._translate("survey", column, row[column], given)

    def _collect_image(self, row: Row, given: GivenRow) -> None:
        named = {given[heading] for heading in headings_of("image")}
        if named == {row["image"]}:
            return
        if len(named) > 1:
            message = "An image is one file for all languages."
            column = next(iter(headings_of("image")))
            self.faults.append(
                self.given["survey"].finding(
                    given.number, column, "image_differs", message, "Name the same file in each."
                )
            )
        else:
            self._set(row, "image", named.pop(), given, next(iter(headings_of("image"))))

    def _set(self, row: Row, column: str, text: str, given: GivenRow, heading: str) -> None:
        """Writes a cell where the form's own table has it; a block's cell has no such place."""
        if column in EXPRESSION_COLUMNS and _CURLY & set(text) - set(row[column]):
            message = "The spreadsheet has put curly quotation marks into the expression."
            mend = "Use ' and \"."
            self.faults.append(self.given["survey"].finding(given.number, heading, "curly_quotes", message, mend))
            return
        overrides = [source for source in row.replaced.values() if source.file == self._survey_file]
        place = row.replaced.get(column)
        if row.via is None:
            line = row.source.row
        elif place is not None and place.file == self._survey_file:
            line = place.row
        elif overrides:
            line = overrides[0].row
        else:
            self.faults.append(self._shared(row, given, heading))
            return
        self.changed += 1
        if row.via is not None:
            text = f"override {text}" if column == "type" else text or CLEARED
        self._survey.set(self._survey.at(line), column, text)

    def _shared(self, row: Row, given: GivenRow, heading: str) -> Finding:
        others = _users(row.source.file, self.form.root)
        message = f"The row is of {row.source.file}, which {len(others)} forms share ({', '.join(others[:3])}…)."
        mend = f"Change it there for all of them, or add a row `override` named {row.name} to {self._survey_file}."
        return self.given["survey"].finding(given.number, heading, "block_row_edited", message, mend)

    def _reorder(self, keys: Sequence[str], ours: Mapping[str, Row], theirs: Mapping[str, GivenRow]) -> None:
        """The table's lines in the workbook's order; what this build does not show stays behind the line before it."""
        groups = self._line_groups(ours, theirs)
        lines, done = groups.pop(0), set()
        for key in keys:
            row = ours.get(key)
            if row is None:
                self.changed += 1
                lines.append(self._new_line(theirs[key]))
            elif (unit := (row.via or row.source).row) not in done:
                done.add(unit)
                lines += groups[unit]
        self.changed += sum(key not in theirs for key in ours)
        self._survey.lines = lines

    def _line_groups(self, ours: Mapping[str, Row], theirs: Mapping[str, GivenRow]) -> dict[int, list[list[str]]]:
        """Row of a line that this build shows → the line and what follows it unseen; 0 → what stands before all."""
        shown = {(row.via or row.source).row for row in ours.values()}
        kept = {(row.via or row.source).row for key, row in ours.items() if key in theirs}
        groups: dict[int, list[list[str]]] = {0: []}
        current = 0
        for number, line in enumerate(self._survey.lines, start=2):
            if number in kept:
                current = number
                groups[current] = [line]
            elif number not in shown:
                groups[current].append(line)
        return groups

    def _new_line(self, given: GivenRow) -> list[str]:
        cells = {column: given[column] for column in _columns(self.build) if column not in PER_LANGUAGE}
        for column in TEXT_COLUMNS:
            cells[column] = given[f"{column}::{_ENGLISH}"]
            self._translate("survey", column, "", given)
        cells["image"] = given[next(iter(headings_of("image")))]
        return self._survey.new({column: text for column, text in cells.items() if text})

    # choices

    def _collect_choices(self) -> None:
        if "choices" not in self.given:
            return
        sheet = self.given["choices"]
        keys = _choice_keys([row.cells for row in sheet.rows])
        self._double_choices(sheet, keys)
        theirs = dict(zip(keys, sheet.rows, strict=True))
        for name in dict.fromkeys(row["list_name"] for row in sheet.rows):
            mine = [key for key in keys if key.partition(" ")[0] == name]
            self._collect_list(name, mine, theirs)
        if not self.faults:
            self._rewrite_own_lists(keys, theirs)

    def _double_choices(self, sheet: GivenSheet, keys: Sequence[str]) -> None:
        for key, row in zip(keys, sheet.rows, strict=True):
            empty = [column for column in ("list_name", "name") if not row[column]]
            if empty or keys.count(key) > 1:
                message = "A choice has no name." if empty else f"The choice {row['name']!r} stands twice in its list."
                column = empty[0] if empty else "name"
                self.faults.append(
                    sheet.finding(row.number, column, "choice_twice", message, "Mend or remove the row.")
                )

    def _collect_list(self, name: str, keys: Sequence[str], theirs: Mapping[str, GivenRow]) -> None:
        ours = {f"{name} {choice.name}": choice for choice in self._list(name)}
        shared = (self.form.root / "choices" / f"{name}.csv").is_file()
        if shared and list(ours) != list(keys):
            strange = next((key for key in keys if key not in ours), keys[0])
            self._shared_list(name, theirs[strange], "name")
        for key in keys:
            given, choice = theirs[key], ours.get(key)
            label = choice.label if choice else ""
            if shared and choice:
                cells = {f"label::{_ENGLISH}": choice.label, **choice.filters}
                for column in sorted(column for column in cells if cells[column] != given[column]):
                    self._shared_list(name, given, column)
            self._translate("choices", "label", label, given)

    def _list(self, name: str) -> tuple[Choice, ...]:
        known = self.form.choices.get(name)
        return known.choices if known else ()

    def _shared_list(self, name: str, given: GivenRow, column: str) -> None:
        others = _users(f"choices/{name}.csv", self.form.root)
        message = f"The list {name!r} is shared by {len(others)} forms ({', '.join(others[:3])}…)."
        mend = f"Change choices/{name}.csv for all of them, or give this form a list of its own under another name."
        sheet = self.given["choices"]
        self.faults.append(sheet.finding(given.number, column, "shared_list_edited", message, mend))

    def _rewrite_own_lists(self, keys: Sequence[str], theirs: Mapping[str, GivenRow]) -> None:
        """The form's own lists in the workbook's order; lists that the workbook does not have stay as they are."""
        table = self._choices
        names = {key.partition(" ")[0] for key in keys}
        own = {name for name in names if not (self.form.root / "choices" / f"{name}.csv").is_file()}
        used = {name for name in self.form.choices if name not in names}
        index = {column: place for place, column in enumerate(table.header)}
        old = {f"{line[index['list_name']]} {line[index['name']]}": line for line in table.lines if any(line)}
        lists = list(dict.fromkeys([*(key.partition(" ")[0] for key in old), *(name for name in names if name in own)]))
        lines: list[list[str]] = []
        for name in lists:
            if name in own:
                mine = (key for key in keys if key.partition(" ")[0] == name)
                lines += [self._choice_line(old.get(key), theirs[key]) for key in mine]
            elif name not in used:
                lines += [line for key, line in old.items() if key.partition(" ")[0] == name]
        if [line for line in table.lines if any(line)] != lines:
            self.changed += 1
            table.lines = lines

    def _choice_line(self, old: list[str] | None, given: GivenRow) -> list[str]:
        label = f"label::{_ENGLISH}"
        cells = {"label" if column == label else column: text for column, text in given.cells.items()}
        kept = {column: text for column, text in cells.items() if "::" not in column and not column.startswith("$")}
        if old is None:
            return self._choices.new(kept)
        line = list(old)
        for column in self._choices.header:
            if column != "#note":
                self._choices.set(line, column, kept.get(column, ""))
        return line

    # translations, settings

    def _translate(self, sheet: str, column: str, old: str, given: GivenRow) -> None:
        """Takes the translations that were edited; *old* is the English text that stood in the table."""
        english = given[f"{column}::{_ENGLISH}"]
        for language in TRANSLATED:
            heading = f"{column}::{LANGUAGES[language]}"
            text, known = given[heading], texts(language, self.form.root)
            stood = known.get(old, old)
            if english == old and text == stood:
                continue
            fault = fault_of_translation(english, text)
            if fault is None and text == old and old not in known:  # nobody has translated it, before or now
                self._left.add((sheet, str(given.number), heading))
                continue
            if fault is None and english != old and text == known.get(english, english):
                continue
            if fault is None and english != old and english in known:
                fault = ("translated_otherwise", f"{english!r} has another translation elsewhere.", "Use that one.")
            if fault is None and (lost := lost_parts(language, english, text)):
                fault = (lost.code, lost.message, lost.mend)
            if fault is None and self.texts[language].setdefault(english, text) != text:
                fault = ("translated_twice", f"{english!r} is translated in two ways.", "Use one of them.")
            if fault is not None:
                self.faults.append(self.given[sheet].finding(given.number, heading, *fault))

    def _collect_settings(self) -> None:
        sheet = self.given["settings"]
        given = sheet.rows[0] if sheet.rows else GivenRow(2, {})
        ours = self._ours["settings"][0]
        for column in sheet.header:
            text = given[column]
            if column in _FIXED_SETTINGS:
                stated = column != "default_language" or text == ours[column]
                if not stated:
                    message = "The default language is the source text's."
                    self.faults.append(sheet.finding(2, column, "setting_fixed", message, f"Write {ours[column]!r}."))
            elif column not in _SETTINGS:
                self.faults.append(_unknown_column(sheet, column))
            elif text != ours.get(column, ""):
                self._change_setting(sheet, column, text)

    def _change_setting(self, sheet: GivenSheet, column: str, text: str) -> None:
        if column in ("form_title", "version") and not text:
            self.faults.append(
                sheet.finding(2, column, "cell_missing", f"A form needs its {column}.", "Fill the cell.")
            )
            return
        self.changed += 1
        self._settings[_SETTINGS[column]] = text

    def _collect_entities(self) -> None:
        """Entities are told in settings.toml, and what reads them hangs on their names."""
        if "entities" in self.given and [row.cells for row in self.given["entities"].rows] != list(
            self._ours.get("entities", ())
        ):
            message = "Entities are declared in settings.toml."
            mend = f"Change [[entities]] in {self.form.form_id}/settings.toml."
            self.faults.append(self.given["entities"].finding(2, "", "entities_edited", message, mend))


_BY_HAND = "Make this change in the tables; docs/adding-a-form.md says how."


def _survey_headings(build: Build) -> set[str]:
    return {heading for column in _columns(build) for heading in headings_of(column)}


def _columns(build: Build) -> tuple[str, ...]:
    left_out = {"#only"} if build == "central" else {"#only", "save_to"}
    return tuple(column for column in SURVEY_COLUMNS if column not in left_out)


def _unknown_column(sheet: GivenSheet, column: str) -> Finding:
    kind, _, language = column.partition("::")
    if language and kind in PER_LANGUAGE | {"media"}:
        message = f"{language!r} is no language of the forms."
        mend = "A new language is a PO file: docs/adding-a-form.md says how."
        return sheet.finding(1, column, "new_language", message, mend)
    return sheet.finding(
        1, column, "unknown_column", f"There is no column {column!r}.", "Take it away or mend its name."
    )


def fault_of_translation(english: str, text: str) -> tuple[str, str, str] | None:
    if text and not english:
        return "translation_alone", "There is a translation of an English text that is not there.", "Write the English."
    if english and not text:
        return (
            "translation_emptied",
            "A translation was taken away.",
            "Write one: nobody should meet an empty question.",
        )
    return None


def _survey_keys(rows: Iterable[Cells]) -> list[str]:
    """What a row is known by: its name, and for the end of a group the group's name."""
    keys: list[str] = []
    groups: list[str] = []
    for cells in rows:
        kind = (
            cells.get("type", "").replace(" ", "_")
            if cells.get("type", "").startswith(("begin ", "end "))
            else (cells.get("type", "").partition(" ")[0])
        )
        if kind in BEGINS.values():
            keys.append(f"end of {groups.pop() if groups else 'nothing'}")
        else:
            keys.append(cells.get("name", ""))
            if kind in BEGINS:
                groups.append(cells.get("name", ""))
    return keys


def _choice_keys(rows: Iterable[Cells]) -> list[str]:
    return [f"{cells.get('list_name', '')} {cells.get('name', '')}" for cells in rows]


def plain(column: str, text: str) -> str:
    return "yes" if column in ("required", "read_only") and text.lower() in _TRUE else text


def _users(file: str, root: Path) -> list[str]:
    """The forms that use a shared table."""
    return [form_id for form_id in form_ids(root) if _uses(file, form_id, root)]


def _uses(file: str, form_id: str, root: Path) -> bool:
    try:
        form = load(form_id, root)
    except FormError:
        return False
    rows = any(row.source.file == file for row in form.rows)
    return rows or any(one.source.file == file for choices in form.choices.values() for one in choices.choices[:1])


def _with_settings(text: str, wanted: Mapping[str, str]) -> str:
    """settings.toml with these keys set, its comments and everything else as they were."""
    lines = text.splitlines()
    end = next((place for place, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    for key, value in wanted.items():
        made = f"{key} = {_toml(value)}"
        place = next((place for place in range(end) if lines[place].partition("=")[0].strip() == key), None)
        if place is None:
            lines.insert(end, made)
            end += 1
        else:
            lines[place] = made
    return "\n".join(lines) + "\n"


def _toml(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
