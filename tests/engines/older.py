"""JavaRosa in a process of its own, from another jar than the one of this environment: an older ODK Collect or KoboCollect.

`python -m tests.engines.older ODK_Validate.jar` speaks the lines of `tests.engines.lines`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.engines import javarosa
from tests.engines.scenarios import Scenario


def _reply(line: str) -> dict[str, Any]:
    said = json.loads(line)
    scenario = Scenario("", "", said["language"], said["answers"], {})
    media = {name: Path(path) for name, path in said["media"].items()}
    done = javarosa.fill(Path(said["xform"]).read_text(encoding="utf-8"), media, scenario.given(), said["language"])
    return {**asdict(done), "record": done.record.decode()}


def main() -> None:
    """Answers each line of standard input with a line on standard output."""
    javarosa.start(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(_reply(line)), flush=True)


if __name__ == "__main__":
    main()
