"""Engines that run in a process of their own: one JSON object a line goes in, one comes out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.engines.javarosa import Filled, Try, Visit


class LineEngine:
    """A form engine behind a pipe. It is started at once and ends with the `with` block.

    Args:
        command: the process; it reads `{"xform", "media", "language", "answers"}` and answers as `filled` reads it.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._process = subprocess.Popen(
            list(command), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def fill(self, xform: Path, media: Mapping[str, Path], answers: Mapping[str, Any], language: str) -> Filled:
        """What the engine makes of a scenario.

        Raises:
            AssertionError: the engine cannot load the form, or broke off.
        """
        request = {"xform": str(xform), "media": {name: str(path) for name, path in media.items()}}
        line = json.dumps({**request, "language": language, "answers": answers})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return filled(json.loads(self._process.stdout.readline() or '{"error": "the process ended"}'))


def filled(answer: Mapping[str, Any]) -> Filled:
    """The answer of an engine: `visits` (with `tries` and `choices`), `unreached`, `stopped_at` and `record`."""
    assert "error" not in answer, answer["error"]
    visits = tuple(_visit(visit) for visit in answer["visits"])
    return Filled(answer["record"].encode(), visits, tuple(answer["unreached"]), answer["stopped_at"])


def _visit(said: Mapping[str, Any]) -> Visit:
    tries = tuple(Try(**one) for one in said["tries"])
    choices = tuple((name, label) for name, label in said["choices"])
    return Visit(**{**said, "tries": tries, "choices": choices})
