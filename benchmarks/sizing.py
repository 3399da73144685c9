"""The constants of `specsearch.store.sizing`, as `growth.json` gives them: prints what should stand there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.script import print_table
from specsearch.store.sizing import MEASURED

GROWTH = Path(__file__).resolve().parent / "results" / "growth.json"
_MB = 1e6


def main() -> None:
    """Print what is shipped beside what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--growth", type=Path, default=GROWTH, help="a result of benchmarks.growth")
    path: Path = parser.parse_args().growth
    if not path.is_file():
        raise SystemExit(f"There is no {path.name}: run python -m benchmarks.growth first.")
    measured = fitted(json.loads(path.read_text(encoding="utf-8")))
    rows = [
        {"constant": name, "in sizing.py": getattr(MEASURED, name), "should be": value}
        for name, value in constants(measured).items()
    ]
    print_table("specsearch/store/sizing.py", rows)
    print_table("Memory of a spectrum (bytes)", [_memory(measured)])


def fitted(result: Mapping[str, Any]) -> dict[str, float]:
    """Bytes and seconds of one spectrum: slopes of straight lines, and of n * log2(n) for building.

    Resident memory holds only the pages that some hundred queries have touched: its slope is a lower bound.
    """
    stages = result["figures"]["stages"]
    n = np.array([stage["spectra"] for stage in stages], dtype=np.float64)
    disk = _line(n, [stage["index"]["disk_mb"] * _MB for stage in stages])
    own = _line(n, [stage["search"]["own_mb"] * _MB for stage in stages])
    resident = _line(n, [stage["search"]["rss_mb"] * _MB for stage in stages])
    # Each stage builds only what came since the one before.
    building = np.cumsum([stage["index"]["optimize_own_s"] for stage in stages])
    work = n * np.log2(n)
    rates = [rate["per_own_s"] for stage in stages for rate in stage["index"]["rates"]]
    return {
        "disk_bytes": disk[0],
        "shard_bytes": disk[1],
        "own_bytes": own[0],
        "resident_bytes": resident[0],
        "storing_s": float(np.mean(1 / np.array(rates))),
        "building_s": float(work @ building / (work @ work)),
    }


def constants(measured: Mapping[str, float]) -> dict[str, float]:
    """What of it is a constant of `Measured`, under its name there."""
    names = ("shard_bytes", "storing_s", "building_s")
    kept = measured["disk_bytes"] - MEASURED.memory_bytes
    return {"kept_bytes": kept, **{name: measured[name] for name in names}}


def _line(n: np.ndarray, values: Sequence[float]) -> tuple[float, float]:
    """Slope, and value at nothing."""
    slope, at_nothing = np.polyfit(n, values, 1)
    return float(slope), float(at_nothing)


def _memory(measured: Mapping[str, float]) -> dict[str, float]:
    return {
        "of the engine alone": measured["own_bytes"],
        "with mapped files, as touched": measured["resident_bytes"],
        "planned for": MEASURED.memory_bytes,
    }


if __name__ == "__main__":
    main()
