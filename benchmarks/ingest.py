"""Indexing a library end to end, held against embedding alone; peak memory; memory at ten times the input."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.circumstances import write_result
from benchmarks.jobs import run_job
from benchmarks.massbank import source_file
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from specsearch.encoder.checkpoint import Card, read_card, save_checkpoint
from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.network import Encoder

_MOST_TIMES_EMBEDDING = 1.25
_MOST_MEMORY_MB = 3000.0
_MOST_GROWTH = 1.25
_COPIES = 10
_JOB = "benchmarks.ingest_job"
_SMALL = EncoderConfig(hidden=32, n_layers=1, n_heads=2, feed_forward=64)


def main() -> None:
    """Measure and write `ingest.json`."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--tenfold", action="store_true", help="also ten times the input, with a small random encoder (long)"
    )
    parser.add_argument("--temporary", type=Path, help="folder for the stores instead of the system's own")
    parser.add_argument("--keep", type=Path, help="new folder that keeps the library for other benchmarks")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.temporary) as name:
        folder = Path(name)
        rows, bounds = _against_embedding(asked, folder)
        if asked.tenfold:
            more_rows, more_bounds = _against_tenfold(asked, folder)
            rows, bounds = rows + more_rows, bounds | more_bounds
    shown = ("job", "seconds", "n_indexed", "peak_rss_mb", "peak_own_mb")
    print_table("Ingest", [{key: row[key] for key in shown} for row in rows])
    print_verdicts(bounds)
    digest = read_card(asked.model).digest
    write_result("ingest", asked, {"jobs": rows, "bounds": bounds}, digest)


def _against_embedding(asked: argparse.Namespace, folder: Path) -> tuple[list[dict], dict[str, Any]]:
    """Both jobs on the same file, one after the other."""
    file = source_file(asked, folder)
    embed = run_job(_JOB, "embed", file, "--model", asked.model)
    index = run_job(_JOB, "index", file, "--model", asked.model, "--store", asked.keep or folder / "once")
    bounds = {
        "index / embed time": verdict(
            index["seconds"] / embed["seconds"], _MOST_TIMES_EMBEDDING, at_most=True
        ),
        "peak memory (MB)": verdict(index["peak_rss_mb"], _MOST_MEMORY_MB, at_most=True),
    }
    return [{"job": "embedding alone", **embed}, {"job": "index", **index}], bounds


def _against_tenfold(asked: argparse.Namespace, folder: Path) -> tuple[list[dict], dict[str, Any]]:
    """Memory at one and at ten times the input; a small random encoder makes the long job affordable.

    Memory of the pipeline does not depend on the network's width, that of the library's vectors does:
    the bound is on the process's own memory, mapped files of the store left out.
    """
    torch.manual_seed(0)
    model = folder / "small.safetensors"
    save_checkpoint(model, Encoder(_SMALL), Card(name="small random encoder, for memory alone"))
    file = source_file(asked, folder)
    tenfold = folder / "tenfold.parquet"
    write_copies(file, tenfold, _COPIES)
    once = run_job(_JOB, "index", file, "--model", model, "--store", folder / "small-once")
    more = run_job(_JOB, "index", tenfold, "--model", model, "--store", folder / "small-tenfold")
    rows = [
        {"job": "index, small random encoder", **once},
        {"job": "ten times the input, small random encoder", **more},
    ]
    growth = verdict(more["peak_own_mb"] / once["peak_own_mb"], _MOST_GROWTH, at_most=True)
    return rows, {"own memory at ten times the input": growth}


def write_copies(source: Path, target: Path, n_copies: int) -> None:
    """Write a file's rows so many times over, each copy under names of its own, a row group at a time."""
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, file.schema_arrow) as writer:
        column = file.schema_arrow.get_field_index("spectrum_id")
        for copy in range(n_copies):
            for batch in file.iter_batches(4096):
                names = [f"{name}-{copy}" for name in batch.column(column).to_pylist()]
                renamed = pa.Table.from_batches([batch]).set_column(column, "spectrum_id", pa.array(names))
                writer.write_table(renamed.cast(file.schema_arrow))


if __name__ == "__main__":
    main()
