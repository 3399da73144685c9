"""How long it takes until something happens: import and help text, in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.circumstances import write_result
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from benchmarks.timing import timed

_COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import specsearch": [sys.executable, "-c", "import specsearch"],
    "specsearch --help": [str(Path(sys.executable).with_name("specsearch")), "--help"],
}
_BOUNDS_S = {"import specsearch": 0.3, "specsearch --help": 0.6}


def main() -> None:
    """Measure and write `start_time.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    runs: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(asked.repeats):  # in turn, so that a busy moment does not fall on one of them
        for name, command in _COMMANDS.items():
            runs[name].append(timed(_run, command)[1])
    rows: list[dict[str, Any]] = [
        {"command": name, "median_s": statistics.median(taken), "min_s": min(taken), "max_s": max(taken)}
        for name, taken in runs.items()
    ]
    print_table("Start", rows)
    median = {row["command"]: row["median_s"] for row in rows}
    bounds = {name: verdict(median[name], bound, at_most=True) for name, bound in _BOUNDS_S.items()}
    print_verdicts(bounds)
    write_result("start_time", asked, {"runs": runs, "rows": rows, "bounds": bounds})


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
