"""Indexing with the encoder on a local Ray cluster, held against this machine's own engine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.circumstances import write_result
from benchmarks.jobs import run_job
from benchmarks.massbank import source_file
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from specsearch.encoder.checkpoint import read_card

_LEAST_RATE = 0.8
_N_SPECTRA = 20_000  # starting Ray takes as long as some two thousand


def main() -> None:
    """Measure and write `ray_ingest.json`; starting Ray and ending it counts."""
    parser = arguments(__doc__)
    asked = parser.parse_args()
    asked.limit = asked.limit or _N_SPECTRA
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = source_file(asked, folder)
        for engine in ("here", "ray"):
            words = ("--model", asked.model, "--store", folder / engine, "--engine", engine)
            outcome = run_job("benchmarks.ingest_job", "index", file, *words)
            rows.append({"engine": engine, "spectra_per_s": outcome["n_indexed"] / outcome["seconds"]})
    print_table("Index, two cores", rows)
    here, ray = (row["spectra_per_s"] for row in rows)
    bounds = {"rate on Ray / here": verdict(ray / here, _LEAST_RATE, at_most=False)}
    print_verdicts(bounds)
    write_result("ray_ingest", asked, {"rows": rows, "bounds": bounds}, read_card(asked.model).digest)


if __name__ == "__main__":
    main()
