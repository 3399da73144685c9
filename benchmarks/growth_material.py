"""Millions of spectra made from some ten thousand real ones: labelled as what they are, copies.

A copy of a spectrum lacks a fifth of its peaks, and the rest are off by some ppm and by some of their
intensity. Embedding two million spectra takes hours on two cores, so a copy's embedding is made, too: that of
the original, moved as the encoder was seen to move another spectrum when it met a copy of it.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from specsearch.encoder.embedder import Embedder
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.parquet import write_parquet

FILE_ROWS = 100_000
NOTE = (
    "Spectra are perturbed copies of real ones (a fifth of the peaks dropped, m/z off by 3 ppm, intensity by "
    "20 %); a copy's embedding is that of the original moved by a difference that the encoder showed between "
    "another original and its copy. No spectrum is embedded during the ingest: its rate is that of reading, "
    "preparing and storing."
)
_N_MOVES = 4_000
_LOST_PEAKS = 0.2
_MZ_PPM = 3.0
_INTENSITY_JITTER = 0.2


@dataclass(frozen=True)
class Material:
    """Originals and copies in a folder; made by `prepare`."""

    folder: Path

    def spectra(self, number: int) -> Path:
        """File of copies, `FILE_ROWS` of them."""
        return self.folder / f"copies-{number:03d}.parquet"

    def vectors(self, number: int) -> Path:
        """Their embeddings: float16, unit length."""
        return self.folder / f"copies-{number:03d}.npy"

    @cached_property
    def originals(self) -> list[Spectrum]:
        records = read_parquet(self.folder / "originals.parquet")
        return [record for record in records if isinstance(record, Spectrum)]

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        return np.load(self.folder / "originals.npy")

    @cached_property
    def moves(self) -> NDArray[np.float32]:
        """What a perturbation did to the embeddings of some originals."""
        return np.load(self.folder / "moves.npy")

    def copies(
        self, n_copies: int, generator: np.random.Generator
    ) -> tuple[list[Spectrum], NDArray[np.float32]]:
        """Perturbed copies of originals drawn at random, and unit embeddings for them."""
        rows = generator.integers(len(self.originals), size=n_copies)
        moves = self.moves[generator.integers(len(self.moves), size=n_copies)]
        moved = self.embeddings[rows] + moves
        spectra = [perturbed(self.originals[row], generator) for row in rows]
        return spectra, moved / np.linalg.norm(moved, axis=1, keepdims=True)


def prepare(folder: Path, originals: list[Spectrum], embedder: Embedder, n_files: int) -> Material:
    """Make what is missing in the folder; what is there is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    material = Material(folder)
    if not (folder / "moves.npy").exists():
        usable = [spectrum for spectrum in originals if spectrum.precursor_mz is not None]
        embeddings = embedder.embed(usable).astype(np.float32)
        write_parquet(folder / "originals.parquet", usable)
        np.save(folder / "originals.npy", embeddings)
        generator = np.random.default_rng(0)
        rows = generator.permutation(len(usable))[:_N_MOVES]
        met = embedder.embed([perturbed(usable[row], generator) for row in rows])
        np.save(folder / "moves.npy", met.astype(np.float32) - embeddings[rows])
    missing = [number for number in range(n_files) if not material.vectors(number).exists()]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_write_copies, [folder] * len(missing), missing))
    tables = [pq.read_table(material.spectra(number), columns=["precursor_mz"]) for number in range(n_files)]
    np.save(folder / "precursors.npy", pa.concat_tables(tables)["precursor_mz"].to_numpy())
    return material


def perturbed(spectrum: Spectrum, generator: np.random.Generator) -> Spectrum:
    """Another measurement of the same, as it might have been."""
    keep = generator.random(len(spectrum)) >= _LOST_PEAKS
    keep[spectrum.intensity.argmax()] = True
    n_peaks = int(keep.sum())
    jitter = np.exp(generator.normal(0.0, _INTENSITY_JITTER, n_peaks))
    return Spectrum.checked(
        spectrum.mz[keep] * (1.0 + generator.normal(0.0, _MZ_PPM * 1e-6, n_peaks)),
        spectrum.intensity[keep] * jitter,
        accession=spectrum.accession,
        precursor_mz=spectrum.precursor_mz,
        charge=spectrum.charge,
        adduct=spectrum.adduct,
        metadata=spectrum.metadata,
    )


def row_of(accession: str) -> int:
    """The copy's number among all copies."""
    return int(accession.removeprefix("copy-"))


def _write_copies(folder: Path, number: int) -> None:
    material = Material(folder)
    spectra, vectors = material.copies(FILE_ROWS, np.random.default_rng([1, number]))
    first = number * FILE_ROWS
    named = (replace(spectrum, accession=f"copy-{row:07d}") for row, spectrum in enumerate(spectra, first))
    write_parquet(material.spectra(number), named)
    np.save(material.vectors(number), vectors.astype(np.float16))
