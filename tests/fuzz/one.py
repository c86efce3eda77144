"""`python -m tests.fuzz.one AIM …`: one aim under atheris; the rest are options of libFuzzer."""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(
    include=["connector", "webhooks", "forms", "defusedxml", "joserfc", "json", "werkzeug"]
):
    from tests.fuzz.aims import AIMS


def main() -> None:
    logging.disable()
    aim = next(aim for aim in AIMS if aim.name == sys.argv[1])
    atheris.Setup([sys.argv[0], *sys.argv[2:]], aim.prepare())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
