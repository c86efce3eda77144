"""A form for training: the same questions under another title, with a banner, and marked in every record.

The mark is a question that the form's tables do not have. Whatever reads real records refuses a question it does not
know, so a record of a training project reaches no target and no figure even where somebody configured the project.
"""

from __future__ import annotations

from collections.abc import Mapping

from forms.compiler import Sheet
from forms.tables import FormDefinition
from forms.words import in_every_language

SUFFIX = "_training"
"""Ends the form_id of a training build."""
MARK = "training_record"
"""The question that every record of a training project carries; no table may have it."""


def for_training(form: FormDefinition, sheets: Mapping[str, Sheet]) -> dict[str, Sheet]:
    """The sheets of a build of *form*, turned into those of its training project."""
    return {**sheets, "survey": _survey(form, sheets["survey"]), "settings": _settings(sheets["settings"])}


def training_title(title: str) -> str:
    """The word for training in every language, then the form's own title."""
    return f"{' · '.join(in_every_language('training_title').values())} – {title}"


def _survey(form: FormDefinition, sheet: Sheet) -> Sheet:
    header = sheet[0] if "calculation" in sheet[0] else (*sheet[0], "calculation")
    said = in_every_language("training_banner")
    banner = {f"label::{name}": said[form.pack.fallback.get(code, code)] for code, name in form.languages.items()}
    added = (
        {"type": "note", "name": "training_banner", **banner},
        {"type": "calculate", "name": MARK, "calculation": "'yes'"},
    )
    width = len(header)
    rows = (tuple((*row, *[""] * width)[:width]) for row in sheet[1:])
    return (header, *(tuple(cells.get(column, "") for column in header) for cells in added), *rows)


def _settings(sheet: Sheet) -> Sheet:
    header, row = sheet
    cells = dict(zip(header, row, strict=True))
    cells["form_title"] = training_title(cells["form_title"])
    cells["form_id"] += SUFFIX
    return (header, tuple(cells[column] for column in header))
