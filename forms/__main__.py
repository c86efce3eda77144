"""`python -m forms build|check [FORM …] [--no-engines] [--pack NAME]`: for authors of forms, without the connector."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from forms.commands import build_command, check_command, show
from forms.errors import FormError
from forms.packs import DEMO


def main() -> int:
    """Exit status: 1 on any finding."""
    parser = argparse.ArgumentParser(prog="python -m forms")
    parser.add_argument("action", choices=("build", "check"))
    parser.add_argument("forms", nargs="*", metavar="FORM", help="all when none is named")
    parser.add_argument("--no-engines", action="store_true", help="check: do not run ODK Validate")
    parser.add_argument("--pack", default=DEMO, help="the country pack that is laid over the forms")
    chosen = parser.parse_args()
    console = Console()
    try:
        if chosen.action == "build":
            for path in build_command(chosen.forms, pack=chosen.pack):
                console.print(str(path))
            return 0
        checked = check_command(chosen.forms, engines=not chosen.no_engines, pack=chosen.pack)
    except FormError as error:
        console.print(str(error), markup=False)
        return 1
    show(checked, console)
    return checked.exit_status


if __name__ == "__main__":
    sys.exit(main())
