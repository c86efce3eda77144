"""What `silah forms build` and `silah forms check` do, as plain functions; `python -m forms` runs them too."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from forms import compiler, engines, linter
from forms.errors import EnginesMissing, Finding, FormError
from forms.packs import DEMO
from forms.tables import BUILDS, FORMS, Build, FormDefinition, form_ids, load

EngineState = Literal["run", "not run", "missing"]
_SHOWN_PER_CODE = 20


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Args:
        forms: the forms checked.
        findings: every fault, sorted by place.
        engines: `run`; `not run` when nobody asked for them; `missing` when there is no Java runtime.
    """

    forms: tuple[str, ...]
    findings: tuple[Finding, ...]
    engines: EngineState

    @property
    def exit_status(self) -> int:
        """1 on any finding, and when the engines should have run but could not."""
        return 1 if self.findings or self.engines == "missing" else 0


def build_command(
    forms: Sequence[str] = (), root: Path = FORMS, out_dir: Path | None = None, pack: str = DEMO
) -> list[Path]:
    """Compiles *forms* (all when empty) for both servers into `xlsx/` or *out_dir*.

    Args:
        pack: the country pack that is laid over the forms; its builds stand in a folder of its name.

    Raises:
        FormError: a form's tables cannot be read.
    """
    return compiler.build_all(out_dir, root, forms, pack)


def check_command(
    forms: Sequence[str] = (),
    *,
    engines: bool = True,
    root: Path = FORMS,
    pack: str = DEMO,
    on_form: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Lints *forms* (all when empty), holds the committed builds against the tables, and runs the engines.

    Args:
        engines: run ODK Validate too. pyxform needs nothing installed and always runs.
        pack: the country pack that is laid over the forms; only the builds of `demo` are committed and can be stale.
        on_form: told the form_id before a form is converted, the slow part: for a progress bar.
    """
    chosen = tuple(forms) or form_ids(root)
    found = set(_linted(forms, root, pack))
    readable = [form_id for form_id in chosen if _is_readable(form_id, root, pack)]
    found.update(_stale(readable, root) if pack == DEMO else ())
    with tempfile.TemporaryDirectory() as folder:
        xforms, refused = _converted(readable, root, pack, Path(folder), on_form)
        found.update(refused)
        state, invalid = _validated(xforms) if engines else ("not run", [])
    found.update(invalid)
    return Checked(chosen, tuple(sorted(found)), state)


def show(checked: Checked, console: Console) -> None:
    """Prints what was found, one line each and at most 20 of a kind, and says when the engines did not run."""
    shown: dict[str, int] = {}
    for finding in checked.findings:
        shown[finding.code] = shown.get(finding.code, 0) + 1
        if shown[finding.code] <= _SHOWN_PER_CODE:
            place, told = (finding.where, "bold"), f": {finding.message} {finding.mend} "
            console.print(Text.assemble(place, told, (f"[{finding.code}]", "dim")), soft_wrap=True)
    for code, count in sorted(shown.items()):
        if count > _SHOWN_PER_CODE:
            console.print(f"{code}: {count - _SHOWN_PER_CODE} more")
    console.print(f"forms: {len(checked.forms)}, findings: {len(checked.findings)}")
    if checked.engines == "missing":
        console.print(f"engines not run: {EnginesMissing().next_step}")
    elif checked.engines == "not run":
        console.print("engines not run")


def _linted(forms: Sequence[str], root: Path, pack: str) -> Iterator[Finding]:
    if forms:
        yield from (finding for form_id in forms for finding in linter.check(form_id, root, pack))
    else:
        yield from linter.check_all(root) if pack == DEMO else linter.check_pack(pack, root)


def _is_readable(form_id: str, root: Path, pack: str) -> bool:
    try:
        load(form_id, root, pack)
    except FormError:
        return False
    return True


def _stale(forms: Sequence[str], root: Path) -> list[Finding]:
    return [
        Finding(
            f"xlsx/*/{form_id}.xlsx",
            0,
            "",
            "build_stale",
            "The built form is not what the tables say.",
            "Run `silah forms build`.",
        )
        for form_id in forms
        if not _is_current(form_id, root)
    ]


def _is_current(form_id: str, root: Path) -> bool:
    try:
        return compiler.built_is_current(form_id, root)
    except FormError:  # media missing: the linter has said so
        return True


def _converted(
    forms: Sequence[str], root: Path, pack: str, folder: Path, on_form: Callable[[str], None]
) -> tuple[list[Path], list[Finding]]:
    """Writes the XForm of both builds of every form into *folder*; what pyxform refuses or warns of is a finding."""
    xforms, refused = [], []
    for form_id in forms:
        on_form(form_id)
        for build in _different_builds(load(form_id, root, pack)):
            try:
                text = engines.convert(compiler.build(form_id, build, folder / build, root, pack))
            except FormError as error:
                refused.append(_engine_finding(f"xlsx/{build}/{form_id}.xlsx", error))
                continue
            path = folder / f"{form_id}-{build}.xml"
            path.write_text(text, encoding="utf-8")
            xforms.append(path)
    return xforms, refused


def _different_builds(form: FormDefinition) -> tuple[Build, ...]:
    """One build is enough where both have the same cells: converting a long form takes two seconds."""
    same = compiler.sheets(form, "kobo") == compiler.sheets(form, "central")
    return BUILDS[:1] if same else BUILDS


def _validated(xforms: Sequence[Path]) -> tuple[EngineState, list[Finding]]:
    try:
        if xforms:
            engines.validate(xforms)
    except EnginesMissing:
        return "missing", []
    except FormError as error:
        return "run", [_engine_finding(error.where, error)]
    return "run", []


def _engine_finding(file: str, error: FormError) -> Finding:
    return Finding(file, 0, "", error.code.removeprefix("forms."), error.next_step, "Mend the table that says so.")
