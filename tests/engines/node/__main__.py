"""`python -m tests.engines.node`: puts the packages of `package-lock.json` where the engines look for them.

No script of a package is run. npm starts Node by its name, so ours comes first on its path.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.engines.node import FOLDER, node_home

_NPM = "lib/node_modules/npm/bin/npm-cli.js"
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def main() -> int:
    """npm's exit status; 1 without Node."""
    home = node_home()
    if home is None:
        return 1
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [home / "bin" / "node", home / _NPM, "ci", *_OPTIONS]
    return subprocess.run(command, cwd=FOLDER, env={**os.environ, "PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
