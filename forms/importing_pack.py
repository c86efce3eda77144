"""Takes a workbook back that was built with a country pack: its translations go into the pack's PO files.

A pack overlays the forms without touching them, so what a translator says otherwise in one country stays in that
country. Everything else in the workbook belongs to a table and is refused with its cell: a pack's own tables carry a
source in every row, which no workbook shows.

All or nothing, as in `forms.importing`: the edits are written into a copy first and compiled, and each edited cell has
to come out as it was written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forms.compiler import sheets
from forms.differences import Cells, rows_of
from forms.errors import Finding
from forms.importing import Imported, build_of, fault_of_translation, plain, refuse, stated_form
from forms.tables import FORMS, LANGUAGES, TEXT_COLUMNS, Build, FormDefinition, forget, load
from forms.translations import lost_parts, merge_into
from forms.workbooks import GivenRow, GivenSheet, read_workbook

_ENGLISH = LANGUAGES["en"]


def import_pack_workbook(
    path: Path, pack: str, form_id: str | None = None, root: Path = FORMS, *, dry_run: bool = False
) -> Imported:
    """Writes the translations that were edited in *path* into `packs/<pack>/translations`.

    Args:
        form_id: the form it is an edition of; without it the settings sheet says so.

    Raises:
        FormError: `forms.not_importable` with a finding for every cell that cannot be kept; nothing was written.
    """
    faults: list[Finding] = []
    given = read_workbook(path, faults)
    form = load(form_id or stated_form(path, given), root, pack)
    edit = _Edit(form, build_of(form, given), given, faults)
    edit.collect()
    refuse(path, faults)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "forms"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("xlsx", "*.py", "__pycache__"))
        edit.write(copy)
        refuse(path, [*edit.not_kept(copy)])
    if not dry_run:
        edit.write(root)
        forget()
    counted = {language: len(wanted) for language, wanted in edit.texts.items() if wanted}
    return Imported(form.form_id, edit.build, (), counted, 0, folder=f"packs/{pack}/translations")


@dataclass
class _Edit:
    """What a workbook says otherwise than the form with its pack."""

    form: FormDefinition
    build: Build
    given: Mapping[str, GivenSheet]
    faults: list[Finding]
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    _cells: list[tuple[str, int, str, str]] = field(default_factory=list)

    def collect(self) -> None:
        """Reads every sheet; what is no translation is added to the faults."""
        ours = rows_of(sheets(self.form, self.build))
        name = next(iter(self.given.values())).file.partition("!")[0]
        for sheet in sorted(ours.keys() ^ self.given.keys()):
            what = "is gone" if sheet in ours else "is none of the form"
            self.faults.append(
                Finding(name, 0, sheet, "sheet_missing", f"The sheet {sheet!r} {what}.", "Keep the sheets as built.")
            )
        for sheet in ours.keys() & self.given.keys():
            self._compare(sheet, ours[sheet])

    def _compare(self, sheet: str, ours: Sequence[Cells]) -> None:
        given = self.given[sheet]
        if [_key(row) for row in ours] != [_key(row.cells) for row in given.rows]:
            message = "Rows were added, removed or moved."
            self.faults.append(given.finding(0, "", "pack_rows_edited", message, self._elsewhere))
            return
        for cells, row in zip(ours, given.rows, strict=True):
            for column in sorted({*cells, *row.cells}):
                if plain(column, cells.get(column, "")) != plain(column, row[column]) and not column.startswith("$"):
                    self._changed(sheet, column, cells, row)

    def _changed(self, sheet: str, column: str, cells: Cells, row: GivenRow) -> None:
        kind, _, name = column.partition("::")
        language = next((code for code, known in self.form.languages.items() if known == name), "en")
        english = cells.get(f"{kind}::{_ENGLISH}", "")
        if language == "en" or kind not in TEXT_COLUMNS:
            message = "A workbook of a country pack brings translations back, nothing else."
            fault: tuple[str, str, str] | None = ("pack_cell_edited", message, self._elsewhere)
        else:
            fault = self._fault(language, english, row[column])
        if fault:
            self.faults.append(self.given[sheet].finding(row.number, column, *fault))
        else:
            self._cells.append((sheet, row.number, column, row[column]))

    def _fault(self, language: str, english: str, text: str) -> tuple[str, str, str] | None:
        """What is wrong with a translation; a sound one is kept for writing."""
        fault = fault_of_translation(english, text)
        if fault is None and (lost := lost_parts(language, english, text)):
            fault = (lost.code, lost.message, lost.mend)
        if fault is None and self.texts.setdefault(language, {}).setdefault(english, text) != text:
            fault = ("translated_twice", f"{english!r} is translated in two ways.", "Use one of them.")
        return fault

    @property
    def _elsewhere(self) -> str:
        pack = self.form.pack.name
        return f"Change packs/{pack}/survey.csv or packs/{pack}/choices, or the form's own tables."

    def write(self, root: Path) -> None:
        """Puts the translations into the pack's PO files under *root*."""
        for language, wanted in self.texts.items():
            if wanted:
                merge_into(root / "packs" / self.form.pack.name / "translations", language, self.form.languages, wanted)

    def not_kept(self, root: Path) -> Iterator[Finding]:
        """Edited cells that the compiled copy under *root* does not say."""
        forget()
        try:
            made = rows_of(sheets(load(self.form.form_id, root, self.form.pack.name), self.build))
        finally:
            forget()
        for sheet, number, column, text in self._cells:
            place = [row.number for row in self.given[sheet].rows].index(number)
            if made[sheet][place].get(column, "") != text:
                message = "The cell cannot be kept as it is."
                yield self.given[sheet].finding(number, column, "cell_not_kept", message, self._elsewhere)


def _key(cells: Cells) -> tuple[str, ...]:
    return tuple(cells.get(column, "") for column in ("type", "name", "list_name", "form_id"))
