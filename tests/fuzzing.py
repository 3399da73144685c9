"""Run mutants in a process of their own, and tell what became of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_child import LIMIT_S

TESTS = Path(__file__).parent
MOST_MEMORY_MB = 700  # a mutant may unpack to 256 MB of numbers before it is refused


def fuzz(target: str, seeds: Path, numbers: range) -> dict[str, int]:
    """Read mutants; how many of each outcome.

    Parameters
    ----------
    target : str
        Key of `fuzz_targets.READERS` or `fuzz_targets.PARSERS`.
    seeds : Path
        Folder of nothing but seeds.
    numbers : range
        Of mutants; any of them is made again by `fuzz_material.mutant`.

    Raises
    ------
    pytest.fail.Exception
        With number, error and content of what was not refused in words, or ended or held up the process.
    """
    command = [sys.executable, str(TESTS / "fuzz_child.py"), target, str(seeds)]
    child = subprocess.run(
        [*command, str(numbers.start), str(numbers.stop)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    if child.returncode != 0:
        at = seeds.with_suffix(".at")
        number = at.read_text().split()[0] if at.exists() and at.read_text() else "?"
        pytest.fail(
            f"{target}: mutant {number} ended the process (code {child.returncode}; past {LIMIT_S} s it is "
            f"ended by us):\n{child.stderr[-3000:]}"
        )
    told = json.loads(child.stdout)
    if told["failures"]:
        pytest.fail(f"{target}: {len(told['failures'])} mutants\n" + json.dumps(told["failures"], indent=1))
    assert told["grown_mb"] < MOST_MEMORY_MB
    counts: dict[str, int] = told["counts"]
    return counts
