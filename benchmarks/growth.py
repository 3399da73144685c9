"""A library growing to two million spectra: rate, memory, disk, recall and latency on the way.

Killed and run again with the same folder it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.circumstances import write_result
from benchmarks.growth_material import FILE_ROWS, NOTE, prepare
from benchmarks.jobs import run_job
from benchmarks.massbank import all_spectra
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from specsearch.encoder.embedder import Embedder
from specsearch.report.diagrams import Diagram, write_diagrams

_JOB = "benchmarks.growth_job"
_SIZES = [100_000, 500_000, 1_000_000, 2_000_000]
_SHOWN: dict[str, Callable[[dict[str, Any]], float]] = {
    "spectra": lambda stage: stage["spectra"],
    "rate_first": lambda stage: stage["index"]["rates"][0]["per_own_s"],
    "rate_last": lambda stage: stage["index"]["rates"][-1]["per_own_s"],
    "optimize_s": lambda stage: stage["index"]["optimize_s"],
    "peak_rss_mb": lambda stage: stage["index"]["peak_rss_mb"],
    "peak_own_mb": lambda stage: stage["index"]["peak_own_mb"],
    "disk_mb": lambda stage: stage["index"]["disk_mb"],
    "recall@10": lambda stage: stage["search"]["nearest"]["no filter"]["recall@10"],
    "engine_p50_ms": lambda stage: stage["search"]["nearest"]["no filter"]["p50_ms"],
    "fused_p50_ms": lambda stage: stage["search"]["fused, engine calls"]["p50_ms"],
}
_DRAWN = ("optimize_s", "peak_own_mb", "disk_mb", "engine_p50_ms", "fused_p50_ms")


def main() -> None:
    """Measure and write `growth.json` and `growth.svg`."""
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES, help=f"multiples of {FILE_ROWS:,}")
    parser.add_argument("--folder", type=Path, help="keeps copies and library, and what was measured so far")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder: Path = asked.folder or Path(name)
        stages = _measured(asked, folder)
    rows = [{name: of(stage) for name, of in _SHOWN.items()} for stage in stages]
    print_table("Growth", rows)
    bounds = _bounds(stages)
    print_verdicts(bounds)
    figures = {"note": NOTE, "stages": stages, "bounds": bounds}
    path = write_result("growth", asked, figures, Embedder.load(asked.model).card.digest)
    write_diagrams(path.with_suffix(".svg"), [_diagram(rows)])


def _measured(asked: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Every stage, from its file where it was measured before."""
    originals, embedder = all_spectra(asked), Embedder.load(asked.model)
    prepare(folder, originals, embedder, max(asked.sizes) // FILE_ROWS)
    stages = []
    for size in sorted(asked.sizes):
        path = folder / f"stage-{size}.json"
        if not path.exists():
            path.write_text(json.dumps(_stage(asked, folder, size)), encoding="utf-8")
        stages.append(json.loads(path.read_text(encoding="utf-8")))
    return stages


def _stage(asked: argparse.Namespace, folder: Path, size: int) -> dict[str, Any]:
    words = (folder, str(size // FILE_ROWS), "--model", asked.model)
    index = run_job(_JOB, "index", *words)
    search = run_job(_JOB, "search", *words)
    print_table(f"{size:,} spectra", [{**index, "rates": index["rates"][-1]["per_s"]}])
    return {"spectra": size, "index": index, "search": search}


def _bounds(stages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rates = [rate for stage in stages for rate in stage["index"]["rates"]]
    last = stages[-1]["search"]
    nearest = last["nearest"]["no filter"]
    # Mapped files are left out, which the system lets go of when others need the memory; and time is the
    # process's own, since other jobs of the machine come and go within an hour.
    peak = max(stage["index"]["peak_own_mb"] for stage in stages)
    return {
        "peak memory, mapped files apart (MB)": verdict(peak, 4000, at_most=True),
        "rate of the last 100,000 / of the first": verdict(
            rates[-1]["per_own_s"] / rates[0]["per_own_s"], 0.9, at_most=False
        ),
        "recall@10": verdict(nearest["recall@10"], 0.98, at_most=False),
        "engine p50 (ms)": verdict(nearest["p50_ms"], 10.0, at_most=True),
        "engine calls of a fused search, p50 (ms)": verdict(
            last["fused, engine calls"]["p50_ms"], 10.0, at_most=True
        ),
    }


def _diagram(rows: Sequence[dict[str, float]]) -> Diagram:
    """Each figure as a share of its largest; on the diagonal lies what grows with the library."""
    end = rows[-1]
    lines = {
        f"{name} (1 is {max(other[name] for other in rows):,.3g})": [
            (row["spectra"] / end["spectra"], row[name] / max(other[name] for other in rows)) for row in rows
        ]
        for name in _DRAWN
    }
    return Diagram(
        "growth",
        f"spectra (1 is {end['spectra']:,})",
        "share of the value at the end",
        lines,
        has_diagonal=True,
    )


if __name__ == "__main__":
    main()
