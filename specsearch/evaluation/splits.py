"""The clean spectra of a split, with what an evaluation needs to know about each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import parse_adduct
from specsearch.encoder.training.examples import Examples, collect_examples, is_clean
from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class Split:
    """Spectra with known molecules.

    Parameters
    ----------
    name : str
        ``"train"``, ``"val"``, ``"test"`` or whatever the file calls it.
    examples : Examples
        Encoder inputs, molecules and fingerprints.
    smiles : list of str
        One per molecule, as the file first gives it.
    neutral_mass : numpy.ndarray of shape (n_spectra,)
        Da, from the measured precursor and the adduct alone.
    contributor : numpy.ndarray of shape (n_spectra,), int64
        Number of the laboratory; -1 where unknown.
    instrument_type, adduct, collision_energy, origin : list of str
        As given; empty where unknown. The origin is the contribution that a spectrum came with.
    left_out : Counter of str
        Records of this split that serve no evaluation, by reason.
    """

    name: str
    examples: Examples
    smiles: list[str]
    neutral_mass: NDArray[np.float64]
    contributor: NDArray[np.int64]
    instrument_type: list[str]
    adduct: list[str]
    collision_energy: list[str]
    origin: list[str]
    left_out: Counter[str]

    def __len__(self) -> int:
        return len(self.examples.inputs)

    @property
    def precursor_mz(self) -> NDArray[np.float64]:
        """Precursor m/z in Da, shape (n_spectra,)."""
        return np.array([item.peaks.precursor_mz for item in self.examples.inputs], dtype=np.float64)

    @property
    def n_peaks(self) -> NDArray[np.int64]:
        """Peaks that the encoder sees, shape (n_spectra,)."""
        return np.array([len(item.peaks.mz) for item in self.examples.inputs], dtype=np.int64)

    def only(self, rows: NDArray[np.int64]) -> Split:
        """These spectra; the table of molecules stays whole."""

        def chosen(texts: list[str]) -> list[str]:
            return [texts[row] for row in rows]

        return replace(
            self,
            examples=self.examples.only(rows),
            neutral_mass=self.neutral_mass[rows],
            contributor=self.contributor[rows],
            instrument_type=chosen(self.instrument_type),
            adduct=chosen(self.adduct),
            collision_energy=chosen(self.collision_energy),
            origin=chosen(self.origin),
        )

    def describe(self) -> dict[str, object]:
        """Sizes and what was left out, ready for JSON."""
        return {
            "spectra": len(self),
            "molecules": len(self.examples.inchikey14),
            "left_out": dict(self.left_out.most_common()),
        }


def collect_splits(
    records: Iterable[Spectrum | Skipped], names: Sequence[str], limit_molecules: int | None = None
) -> dict[str, Split]:
    """Gather the clean, annotated spectra of some splits in one pass.

    Parameters
    ----------
    records : iterable of Spectrum or Skipped
        With the metadata ``split``, ``smiles``, ``inchikey`` and ``exact_mass``.
    names : sequence of str
        Splits wanted.
    limit_molecules : int, optional
        So many molecules of each split, the first in the order of their InChIKeys, which are hashes:
        a random sample, and a small one is part of every larger one.

    Raises
    ------
    InputFileError
        If a split has no clean, annotated spectrum.
    """
    kept: dict[str, list[Spectrum]] = {name: [] for name in names}
    left_out: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if isinstance(record, Skipped):
            for name in names:
                left_out[name][f"not readable, split unknown: {record.reason}"] += 1
            continue
        name = record.metadata.get("split", "")
        if name not in kept:
            continue
        if reason := _unusable(record):
            left_out[name][reason] += 1
        else:
            kept[name].append(record)
    for name, spectra in kept.items():
        if not spectra:
            raise InputFileError(
                f"No clean, annotated spectrum of the split {name!r} was found.",
                "Evaluation needs spectra with adduct, precursor, SMILES, InChIKey, exact mass and split.",
            )
    return {
        name: _split(name, _limited(spectra, limit_molecules), left_out[name])
        for name, spectra in kept.items()
    }


def _unusable(spectrum: Spectrum) -> str:
    """Why a spectrum cannot be judged; empty where it can."""
    if not spectrum.metadata.get("smiles") or not spectrum.metadata.get("inchikey"):
        return "no structure"
    if not is_clean(spectrum):
        return "not clean: adduct unknown, fewer than 3 peaks, or precursor off by more than 20 ppm"
    return ""


def _key(spectrum: Spectrum) -> str:
    return spectrum.metadata["inchikey"][:14]


def _limited(spectra: list[Spectrum], limit_molecules: int | None) -> list[Spectrum]:
    if limit_molecules is None:
        return spectra
    chosen = set(sorted({_key(spectrum) for spectrum in spectra})[:limit_molecules])
    return [spectrum for spectrum in spectra if _key(spectrum) in chosen]


def _split(name: str, spectra: list[Spectrum], left_out: Counter[str]) -> Split:
    examples = collect_examples(spectra, name)
    smiles: dict[str, str] = {}
    for spectrum in spectra:
        smiles.setdefault(_key(spectrum), spectrum.metadata["smiles"])
    return Split(
        name,
        examples,
        [smiles[key] for key in examples.inchikey14],
        np.array([_neutral_mass(spectrum) for spectrum in spectra]),
        _numbered(_metadata(spectra, "contributor")),
        _metadata(spectra, "instrument_type"),
        [spectrum.adduct or "" for spectrum in spectra],
        _metadata(spectra, "collision_energy"),
        _metadata(spectra, "contributor"),
        left_out,
    )


def _metadata(spectra: Sequence[Spectrum], name: str) -> list[str]:
    return [spectrum.metadata.get(name) or "" for spectrum in spectra]


def _neutral_mass(spectrum: Spectrum) -> float:
    """Mass in Da of the molecule that precursor and adduct speak of; both are known of a clean spectrum."""
    adduct, precursor_mz = spectrum.adduct or "", spectrum.precursor_mz or 0.0
    return parse_adduct(adduct).neutral_mass(precursor_mz)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Equal numbers for equal names, -1 for the empty one."""
    known = {name: number for number, name in enumerate(sorted(set(names) - {""}))}
    return np.array([known.get(name, -1) for name in names], dtype=np.int64)
