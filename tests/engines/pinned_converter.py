"""Converts built forms with the pyxform of the environment it runs in, for a second environment with Kobo's release of it.

`python pinned_converter.py OUT a.xlsx b.xlsx …` writes OUT/a.xml … and prints `{"version", "jar", "warnings": {…}}`. It
stands alone: nothing of the project is installed beside that pyxform.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pyxform
from pyxform.xls2xform import convert


def main() -> None:
    """Converts each file; pyxform's own refusals end the run with what it says."""
    out = Path(sys.argv[1])
    told: dict[str, list[str]] = {}
    for path in map(Path, sys.argv[2:]):
        warnings: list[str] = []
        result = convert(path, warnings=warnings, form_name="data", validate=False)
        (out / f"{path.stem}.xml").write_text(result.xform, encoding="utf-8")
        told[path.stem] = warnings
    jar = Path(pyxform.__file__).parent / "validators" / "odk_validate" / "bin" / "ODK_Validate.jar"
    print(json.dumps({"version": version("pyxform"), "jar": str(jar), "warnings": told}))


if __name__ == "__main__":
    main()
