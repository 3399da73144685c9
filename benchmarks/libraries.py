"""Libraries made of prepared spectra, for the benchmarks that ask the engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.tokens import TokenInput
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.points import make_point
from specsearch.store.store import Collection, open_store
from specsearch.store.vectors import contract_of, sparse_vectors

LIBRARY = "benchmark"
_BATCH = 2048


def build(folder: Path, card: Card, inputs: Sequence[TokenInput], embeddings: NDArray[np.float32]) -> None:
    """Store prepared spectra, each named by its row, build the indexes, and close."""
    with open_store(folder) as store, store.create(LIBRARY, contract_of(card)) as collection:
        for start in range(0, len(inputs), _BATCH):
            _add(collection, start, inputs[start : start + _BATCH], embeddings[start : start + _BATCH])
        collection.optimize()


def as_spectrum(item: TokenInput, accession: str) -> Spectrum:
    """A spectrum that the encoder's recipe prepares into `item` again."""
    peaks = item.peaks
    return Spectrum.checked(
        peaks.mz,
        peaks.intensity,
        accession=accession,
        precursor_mz=peaks.precursor_mz,
        charge=item.charge_sign,
    )


def _add(
    collection: Collection, first: int, inputs: Sequence[TokenInput], embeddings: NDArray[np.float32]
) -> None:
    peaks, losses = sparse_vectors([item.peaks for item in inputs])
    parts = zip(inputs, embeddings, peaks, losses, strict=True)
    collection.upsert(
        [
            make_point(LIBRARY, as_spectrum(item, str(row)), embedding, peak, loss)
            for row, (item, embedding, peak, loss) in enumerate(parts, first)
        ]
    )
