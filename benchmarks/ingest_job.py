"""One job of the ingest benchmark, in a process of its own so that its peak memory is its own.

Prints one line of JSON, the last of its output.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from ingest.engines import here
from ingest.index import index_files
from ingest.ray_engine import on_ray
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import token_input
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.store import open_store

LIBRARY = "benchmark"


def main() -> None:
    """Run the job that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=["index", "embed"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="new folder for the library and its ledger")
    parser.add_argument("--engine", choices=["here", "ray"], default="here")
    asked = parser.parse_args()
    embedder = Embedder.load(asked.model)
    outcome = _index(asked, embedder) if asked.job == "index" else _embed(asked.file, embedder)
    print(json.dumps(outcome))


def _index(asked: argparse.Namespace, embedder: Embedder) -> dict[str, Any]:
    """Time of the whole: reading, embedding, storing, building the indexes, closing."""
    began = time.perf_counter()
    with open_store(asked.store) as store:
        engine = on_ray() if asked.engine == "ray" else here
        summary = index_files(
            [asked.file], store, LIBRARY, embedder, asked.store / "work", make_engine=engine
        )
    seconds = time.perf_counter() - began
    skipped = {reason: count for reason, count, _ in summary.skipped_by_reason()}
    return {
        "seconds": seconds,
        "n_read": summary.n_read,
        "n_indexed": summary.n_indexed,
        "skipped": skipped,
    }


def _embed(file: Path, embedder: Embedder) -> dict[str, Any]:
    """Time of the embedding alone, all inputs at once: the best that bucketing by length can do."""
    inputs = [token_input(record) for record in read_parquet(file) if isinstance(record, Spectrum)]
    began = time.perf_counter()
    embedder.embed_inputs(inputs)
    return {"seconds": time.perf_counter() - began, "n_indexed": len(inputs)}


if __name__ == "__main__":
    main()
