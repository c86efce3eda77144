"""`python -m tests.fuzz [--seconds N] [--only AIM]`: runs atheris on each aim in a process of its own and prints a table.

An input that made something fall over is kept in `build/fuzz/AIM/`: put it into `tests/fixtures/fuzz/AIM/`, where every
`make test` tries it, and mend what it found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.aims import AIMS, Aim

_ROOT = Path(__file__).parents[2]
_FOUND = _ROOT / "build" / "fuzz"
_TRIED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_MOST_BYTES = 8192
_MOST_SECONDS = 10  # for one input


def fuzz(aim: Aim, seconds: int) -> tuple[int, list[Path]]:
    """How many inputs *aim* was given in *seconds*, and the files of those that made it fall over (at most one a run)."""
    corpus, found = _FOUND / aim.name / "corpus", _FOUND / aim.name
    corpus.mkdir(parents=True, exist_ok=True)
    for place, seed in enumerate(aim.seeds):
        (corpus / f"seed-{place}").write_bytes(seed)
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={_MOST_BYTES}",
        f"-timeout={_MOST_SECONDS}",
        "-rss_limit_mb=2048",
    ]
    command = [sys.executable, "-m", "tests.fuzz.one", aim.name, str(corpus), f"-artifact_prefix={found}/", *limits]
    done = subprocess.run(
        [*command, "-print_final_stats=1"], check=False, capture_output=True, text=True, errors="replace", cwd=_ROOT
    )
    tried = _TRIED.search(done.stderr)
    if tried is None:
        raise SystemExit(f"{aim.name} did not run:\n{done.stderr[-2000:]}")
    crashes = sorted(path for path in found.iterdir() if path.is_file())
    if done.returncode and not crashes:
        raise SystemExit(f"{aim.name} stopped:\n{done.stderr[-2000:]}")
    return int(tried[1]), crashes


def main() -> int:
    asked = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0])
    asked.add_argument("--seconds", type=int, default=60, help="for each aim")
    asked.add_argument("--only", action="append", choices=[aim.name for aim in AIMS])
    options = asked.parse_args()
    fell = 0
    print(f"{'aim':18} {'what':36} {'inputs':>10} {'crashes':>8}")
    for aim in AIMS:
        if not options.only or aim.name in options.only:
            tried, crashes = fuzz(aim, options.seconds)
            fell += len(crashes)
            print(f"{aim.name:18} {aim.what:36} {tried:>10,} {len(crashes):>8}", *crashes, flush=True)
    return int(fell > 0)


if __name__ == "__main__":
    sys.exit(main())
