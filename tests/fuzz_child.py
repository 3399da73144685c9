"""The process that reads mutants: bounded in memory and time, so that it may die without the tests.

``python fuzz_child.py TARGET SEEDS FIRST STOP`` prints one JSON object; the number it is at stands in the
file ``at`` beside the seeds, for whoever finds the process dead.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_material import mutant
from fuzz_targets import ZIPPED, outcomes_of, tokens_of

LIMIT_S = 40  # for one mutant; the usual one takes some milliseconds
_MEMORY_BYTES = 1 << 31  # beyond what the imports have taken
_HEAD = 120
_MOST_FAILURES = 20


def run(target: str, seeds: list[bytes], numbers: Iterable[int], at: Path) -> dict[str, Any]:
    """Read mutants, count what became of them, and collect what should not have been."""
    counts: Counter[str] = Counter()
    failures: list[dict[str, object]] = []
    outcomes: Callable[[bytes, int], Iterable[str]] = outcomes_of(target)
    with at.open("w") as place:
        for number in numbers:
            place.seek(0)
            place.write(f"{number}\n")
            place.flush()
            content = mutant(number, seeds, tokens_of(target), target in ZIPPED)
            faulthandler.dump_traceback_later(LIMIT_S, exit=True)
            try:
                counts.update(outcomes(content, number))
            except Exception as error:  # noqa: BLE001 - which one is the question
                told = traceback.format_exc().strip().splitlines()[-7:]
                failures.append(
                    {"number": number, "error": repr(error)[:300], "head": told, **_shown(content)}
                )
                if len(failures) >= _MOST_FAILURES:
                    break
    faulthandler.cancel_dump_traceback_later()
    return {"counts": counts, "failures": failures}


def _shown(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "hex": content[:_HEAD].hex(), "text": repr(content[:_HEAD])}


def _limit_memory() -> None:
    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY_BYTES,) * 2)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(target: str, folder: str, first: str, stop: str) -> None:
    seeds = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    np.seterr(all="ignore")
    run(target, seeds, range(3), Path(folder).with_suffix(".at"))  # imports what is imported late
    _limit_memory()
    before = _peak_mb()
    told = run(target, seeds, range(int(first), int(stop)), Path(folder).with_suffix(".at"))
    sys.stdout.write(json.dumps({**told, "grown_mb": _peak_mb() - before}))


if __name__ == "__main__":
    tempfile.tempdir = str(Path(sys.argv[2]).parent)
    main(*sys.argv[1:])
