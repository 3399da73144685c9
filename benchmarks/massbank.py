"""The spectra that benchmarks run on."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.examples import Examples, collect_examples
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.parquet import write_parquet

FILE = "massbank.parquet"


def all_spectra(arguments: argparse.Namespace) -> list[Spectrum]:
    """Every usable row, or a sample of `--limit` of them with the same distribution of lengths."""
    records = read_parquet(arguments.data / FILE)
    spectra = [record for record in records if isinstance(record, Spectrum)]
    rows = same_lengths_sample([len(spectrum) for spectrum in spectra], arguments.limit)
    return [spectra[row] for row in rows]


def source_file(arguments: argparse.Namespace, folder: Path) -> Path:
    """The whole file, or one in `folder` with the sample that `--limit` asks for."""
    if arguments.limit is None:
        return Path(arguments.data / FILE)
    path = folder / "sample.parquet"
    write_parquet(path, all_spectra(arguments))
    return path


def same_lengths_sample(lengths: Sequence[int], limit: int | None) -> NDArray[np.int64]:
    """Rows evenly spaced in order of length, so that a sample is as long and as short as the whole."""
    if limit is None or limit >= len(lengths):
        return np.arange(len(lengths))
    by_length = np.argsort(np.asarray(lengths), kind="stable")
    return np.sort(by_length[((np.arange(limit) + 0.5) * len(lengths) / limit).astype(np.int64)])


def split_examples(data: Path, split: str, limit: int | None) -> Examples:
    """The clean, annotated spectra of a split, or `limit` of them, evenly spaced."""
    examples = collect_examples(read_parquet(data / FILE), split)
    if limit is None or limit >= len(examples.inputs):
        return examples
    return examples.only(np.linspace(0, len(examples.inputs) - 1, limit).astype(np.int64))


def embed(embedder: Embedder, inputs: Sequence[TokenInput], cache: Path | None) -> NDArray[np.float32]:
    """Embeddings of prepared spectra, kept in the folder `cache` (where given) between runs."""
    if cache is None:
        return embedder.embed_inputs(inputs)
    state = hashlib.sha256(embedder.card.digest.encode())
    for item in inputs:
        state.update(repr((item.peaks.precursor_mz, item.charge_sign)).encode())
        state.update(item.peaks.mz.tobytes())
        state.update(item.peaks.intensity.tobytes())
    path = cache / f"{state.hexdigest()}.npy"
    if path.exists():
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    embeddings = embedder.embed_inputs(inputs)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, embeddings)
    return embeddings
