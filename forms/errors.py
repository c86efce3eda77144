"""What can be wrong with a form, told so that its author can mend it: file, row, column, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One fault.

    Args:
        file: path relative to the forms folder, `blocks/birth.csv`.
        row: row as a spreadsheet counts it, the header being row 1; 0 when the whole file is meant.
        column: column or key; empty when the whole row is meant.
        code: stable, lower case: `choice_unknown`.
        message: what is wrong, in one sentence.
        mend: what to do about it, in one sentence.
    """

    file: str
    row: int
    column: str
    code: str
    message: str
    mend: str

    @property
    def where(self) -> str:
        """`blocks/birth.csv row 4 column relevant`."""
        row = f" row {self.row}" if self.row else ""
        column = f" column {self.column}" if self.column else ""
        return f"{self.file}{row}{column}"

    def __str__(self) -> str:
        return f"{self.where}: {self.message} {self.mend} [{self.code}]"


class FormError(Exception):
    """A form cannot be read, built or converted.

    Args:
        code: stable, dotted: `forms.table_faulty`.
        where: the form or file.
        next_step: one sentence that tells the reader what to do.
        findings: every fault that was seen, where there is more to say than *where*.
    """

    def __init__(self, code: str, where: str, next_step: str, findings: Sequence[Finding] = ()) -> None:
        lines = "".join(f"\n  {finding}" for finding in findings)
        super().__init__(f"{code}: {where}. {next_step}{lines}")
        self.code = code
        self.where = where
        self.next_step = next_step
        self.findings = tuple(findings)


class EnginesMissing(FormError):
    """No Java runtime was found: ODK Validate and JavaRosa cannot run. Never to be taken for a pass."""

    def __init__(self) -> None:
        super().__init__(
            "forms.engines_missing",
            "ODK Validate",
            "Install the engines with `pip install 'silah[engines]'` or a Java runtime (8 or later), or pass --no-engines.",
        )
