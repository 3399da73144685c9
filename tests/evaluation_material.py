"""A small data set for evaluations, made in sight: molecules, their simulated spectra, a bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from specsearch.chemistry.structures import parse_structure
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.simulated import simulate
from specsearch.evaluation.splits import Split, collect_splits
from specsearch.evaluation.well_known import MOLECULES
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.parquet import write_parquet

# Isomers, so that pools hold more than the truth: leucine-like, xanthine-like and aromatic ones.
ISOMERS = ["CC(C)CC(N)C(=O)O", "CCC(C)C(N)C(=O)O", "CC(C)(C)C(N)C(=O)O", "CCCCC(N)C(=O)O", "NCCCCCC(=O)O"]
_SPLITS = ("train", "val", "test")
_ENERGIES = {"low": 0.5, "high": 2.0}


def annotated_spectra(n_molecules: int = 18) -> list[Spectrum]:
    """Simulated spectra of well-known molecules, a third of the molecules in each split, two laboratories."""
    made = []
    for number, name in enumerate(list(MOLECULES)[:n_molecules]):
        structure = parse_structure(MOLECULES[name])
        for place, (energy_name, energy) in enumerate(_ENERGIES.items()):
            spectrum = simulate(name, energy_name, energy)
            told = {
                **spectrum.metadata,
                "smiles": structure.smiles,
                "inchikey": structure.inchikey,
                "exact_mass": repr(structure.exact_mass),
                "split": _SPLITS[number % 3],
                "contributor": f"lab{place % 2}",
                "instrument_type": ("LC-ESI-QTOF", "LC-ESI-QFT", "LC-ESI-QQ")[number % 3],
            }
            made.append(replace(spectrum, metadata=told))
    return made


def changed(spectrum: Spectrum, **metadata: str) -> Spectrum:
    """The same spectrum with other metadata."""
    return replace(spectrum, metadata={**spectrum.metadata, **metadata})


def splits(n_molecules: int = 18) -> dict[str, Split]:
    """The three splits of `annotated_spectra`."""
    return collect_splits(annotated_spectra(n_molecules), _SPLITS)


def write_bank(path: Path, smiles: Sequence[str]) -> Path:
    """A bank of molecules, its masses as RDKit has them: an ion's lacks electrons."""
    structures = [parse_structure(text) for text in smiles]
    electron_mass = 0.00054857990907
    columns = {
        "smiles": list(smiles),
        "inchikey": [s.inchikey for s in structures],
        "formula": [s.formula for s in structures],
        "exact_mass": [s.exact_mass - s.formal_charge * electron_mass for s in structures],
        "name": [f"molecule {i}" for i in range(len(smiles))],
    }
    pq.write_table(pa.table(columns), path)
    return path


def write_data(folder: Path) -> tuple[Path, Path]:
    """Spectra and bank as files."""
    write_parquet(folder / "spectra.parquet", annotated_spectra())
    return folder / "spectra.parquet", write_bank(folder / "bank.parquet", [*MOLECULES.values(), *ISOMERS])


def pools(sizes: list[int], truth: list[int], mass_error_ppm: ArrayLike | None = None) -> Pools:
    """Pools of so many candidates, the truth at a place within each; molecules are numbered through."""
    start = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    n = sum(sizes)
    return Pools(
        start,
        np.arange(n),
        start + np.array(truth),
        np.zeros(n) if mass_error_ppm is None else np.asarray(mass_error_ppm, dtype=np.float64),
        np.zeros((n, 256), dtype=np.uint8),
        np.zeros(len(sizes), dtype=bool),
    )
