"""Training examples: clean spectra with their molecules, and how molecules are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.fingerprints import morgan_bits
from specsearch.encoder.tokens import TokenInput, token_input
from specsearch.errors import ParseError, Skipped, TrainingError
from specsearch.spectra.spectrum import Spectrum

_MIN_PEAKS = 3
_MAX_MASS_ERROR_PPM = 20.0


@dataclass(frozen=True, eq=False)
class Examples:
    """Spectra with known molecules.

    Parameters
    ----------
    inputs : list of TokenInput
    molecule : numpy.ndarray of shape (n_spectra,), int64
        Row of each spectrum's molecule.
    positive : numpy.ndarray of shape (n_spectra,), bool
        Ion mode.
    inchikey14 : list of str
        One per molecule.
    fingerprints : numpy.ndarray of shape (n_molecules, 2048), uint8
        Morgan bits.
    exact_mass : numpy.ndarray of shape (n_molecules,)
        Da.
    """

    inputs: list[TokenInput]
    molecule: NDArray[np.int64]
    positive: NDArray[np.bool_]
    inchikey14: list[str]
    fingerprints: NDArray[np.uint8]
    exact_mass: NDArray[np.float64]

    def spectra_of(self) -> list[NDArray[np.int64]]:
        """The spectra of each molecule."""
        order = np.argsort(self.molecule, kind="stable")
        counts = np.bincount(self.molecule, minlength=len(self.inchikey14))
        return np.split(order, np.cumsum(counts)[:-1])


def is_clean(spectrum: Spectrum) -> bool:
    """Whether a spectrum may teach or judge: known adduct, three peaks, precursor within 20 ppm."""
    if len(spectrum) < _MIN_PEAKS or not spectrum.adduct or not spectrum.precursor_mz:
        return False
    try:
        expected = parse_adduct(spectrum.adduct).precursor_mz(float(spectrum.metadata["exact_mass"]))
    except (ParseError, KeyError, ValueError):
        return False
    return abs(spectrum.precursor_mz / expected - 1.0) * 1e6 <= _MAX_MASS_ERROR_PPM


def collect_examples(records: Iterable[Spectrum | Skipped], split: str) -> Examples:
    """Gather the clean, annotated spectra of one split.

    Raises
    ------
    TrainingError
        If there are none.
    """
    inputs, keys, positive = [], [], []
    smiles: dict[str, str] = {}
    mass: dict[str, float] = {}
    for record in records:
        if isinstance(record, Skipped) or record.metadata.get("split") != split or not is_clean(record):
            continue
        key = record.metadata.get("inchikey", "")[:14]
        if not key or not record.metadata.get("smiles"):
            continue
        inputs.append(token_input(record))
        keys.append(key)
        positive.append((record.charge or 0) > 0)
        smiles.setdefault(key, record.metadata["smiles"])
        mass.setdefault(key, float(record.metadata["exact_mass"]))
    if not inputs:
        raise TrainingError(
            f"No clean, annotated spectra of the split {split!r} were found.",
            "Training needs spectra with adduct, SMILES, InChIKey, exact mass and a 'split' column.",
        )
    molecules = sorted(smiles)
    row = {key: i for i, key in enumerate(molecules)}
    return Examples(
        inputs,
        np.array([row[key] for key in keys]),
        np.array(positive),
        molecules,
        morgan_bits([smiles[key] for key in molecules]),
        np.array([mass[key] for key in molecules]),
    )


def require_disjoint(*parts: Examples) -> None:
    """Refuse splits that share a molecule.

    Raises
    ------
    TrainingError
        Naming one molecule that stands on both sides.
    """
    seen: set[str] = set()
    for part in parts:
        if shared := seen.intersection(part.inchikey14):
            raise TrainingError(f"The splits share {len(shared)} molecules, for example {min(shared)}.")
        seen.update(part.inchikey14)


class MoleculeSampler:
    """Draws batches by molecule, so that a few heavily measured ones do not rule.

    Half of a batch is drawn at random, the other half are neighbours in mass of the first: hard to
    tell apart by mass alone. Batch k depends on the seed and k only, which makes resuming exact.

    Parameters
    ----------
    examples : Examples
    n_molecules : int
        Molecules of a batch; two spectra are drawn of each.
    seed : int
    """

    def __init__(self, examples: Examples, n_molecules: int, seed: int) -> None:
        self._spectra = examples.spectra_of()
        self._by_mass = np.argsort(examples.exact_mass, kind="stable")
        self._rank = np.argsort(self._by_mass, kind="stable")
        self._n_molecules = min(n_molecules, len(self._spectra))
        self._seed = seed

    def draw(self, step: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """Spectra of batch `step`, two in a row of one molecule, and the generator for their augmentation."""
        generator = np.random.default_rng((self._seed, step))
        first = generator.choice(len(self._spectra), size=self._n_molecules // 2, replace=False)
        near = self._rank[first] + generator.choice([-4, -3, -2, -1, 1, 2, 3, 4], size=len(first))
        second = self._by_mass[np.clip(near, 0, len(self._by_mass) - 1)]
        molecules = np.unique(np.concatenate([first, second]))
        return np.concatenate([_two(self._spectra[m], generator) for m in molecules]), generator


def _two(spectra: Sequence[int] | NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Two spectra of one molecule; the same twice where there is only one (two views of it)."""
    return generator.choice(np.asarray(spectra), size=2, replace=len(spectra) < 2)
