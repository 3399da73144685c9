"""MassSpecGym's retrieval benchmark as it lies on disk: spectra by fold, and a candidate list for each.

The public files (Hugging Face, ``roman-bushuiev/MassSpecGym``) come in two versions, each with two tracks:

- version 1: ``MassSpecGym.tsv`` and ``molecules/MassSpecGym_retrieval_candidates_{mass,formula}.json``;
- version 1.5: the same names with ``MassSpecGym1.5``. It replaced version 1, where the true SMILES was
  written in another way than its decoys (arXiv 2606.19624).

A candidate file is one JSON object: the SMILES of a molecule, exactly as the spectra give it, to the SMILES
of its candidates, the true one among them (Bushuiev et al., NeurIPS 2024 Datasets and Benchmarks).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.structures import parse_structure
from specsearch.encoder.tokens import TokenInput, token_input
from specsearch.errors import InputFileError, ParseError, Skipped
from specsearch.spectra.spectrum import Spectrum

VERSIONS = ("1", "1.5")
RULES = ("mass", "formula")
EVERYTHING = "all"
_NAME = re.compile(r"MassSpecGym(1\.5)?_retrieval_candidates_(mass|formula)")

Candidates = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Track:
    """Which of the four tasks: hit rates of different ones must not meet.

    Parameters
    ----------
    version : {"1", "1.5"}
        Of the data.
    rule : {"mass", "formula"}
        What the candidates of a list share with the true molecule.
    """

    version: str
    rule: str

    def __str__(self) -> str:
        return f"MassSpecGym {self.version}, {self.rule} track"

    @classmethod
    def of(cls, path: Path, version: str | None = None, rule: str | None = None) -> Track:
        """The track that the name of a candidate file says, or that the caller says where it does not.

        Raises
        ------
        InputFileError
            If neither says it, or both do and differ.
        """
        match = _NAME.search(path.name)
        named = (match[1] or "1", match[2]) if match else (None, None)
        said = [known or told for known, told in zip(named, (version, rule), strict=True)]
        if None in said or any(
            told not in (None, found) for told, found in zip((version, rule), said, strict=True)
        ):
            raise InputFileError(
                f"The name of {path.name} does not say the track that was meant.",
                "Name it with --version 1 or 1.5 and --track mass or formula; results of two tracks "
                "cannot be compared.",
            )
        return cls(str(said[0]), str(said[1]))


@dataclass(frozen=True, eq=False)
class Fold:
    """The spectra of one fold.

    Parameters
    ----------
    name : str
        ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
    inputs : list of TokenInput
    molecule : numpy.ndarray of shape (n_spectra,), int64
        Row in `inchikey14`.
    inchikey14 : list of str
        Of the true molecules, computed from their SMILES.
    smiles : list of str
        Of each spectrum, as the file writes it: the key of its candidate list.
    adduct, instrument_type : list of str
        Of each spectrum; the instrument is empty where unknown.
    neutral_mass : numpy.ndarray of shape (n_spectra,)
        Da, from precursor and adduct.
    left_out : Counter of str
        Spectra that cannot be asked about, by reason.
    """

    name: str
    inputs: list[TokenInput]
    molecule: NDArray[np.int64]
    inchikey14: list[str]
    smiles: list[str]
    adduct: list[str]
    instrument_type: list[str]
    neutral_mass: NDArray[np.float64]
    left_out: Counter[str]

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def precursor_mz(self) -> NDArray[np.float64]:
        """Precursor m/z in Da, shape (n_spectra,)."""
        return np.array([item.peaks.precursor_mz for item in self.inputs], dtype=np.float64)

    def only(self, rows: NDArray[np.int64], reason: str) -> Fold:
        """A choice of the spectra; the others count as left out."""
        lost = len(self) - len(rows)
        return replace(
            self,
            inputs=[self.inputs[row] for row in rows],
            molecule=self.molecule[rows],
            smiles=[self.smiles[row] for row in rows],
            adduct=[self.adduct[row] for row in rows],
            instrument_type=[self.instrument_type[row] for row in rows],
            neutral_mass=self.neutral_mass[rows],
            left_out=self.left_out + Counter({reason: lost}),  # a sum drops what is zero
        )


def read_candidates(path: Path) -> dict[str, list[str]]:
    """Read a candidate file.

    Raises
    ------
    InputFileError
        If it cannot be read or is no JSON object of lists of SMILES.
    """
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path} cannot be read as JSON ({str(error).splitlines()[0]}).") from None
    if not isinstance(lists, dict) or not all(map(_is_list_of_texts, lists.values())):
        raise InputFileError(
            f"{path} is no candidate file of MassSpecGym.",
            "It must be one JSON object: the SMILES of a molecule to the list of its candidates' SMILES.",
        )
    return lists


def read_fold(
    records: Iterable[Spectrum | Skipped],
    name: str,
    candidates: Candidates,
    limit_molecules: int | None = None,
) -> Fold:
    """Gather the spectra of a fold that have a candidate list.

    Parameters
    ----------
    records : iterable of Spectrum or Skipped
        With the metadata ``smiles`` and ``fold``.
    name : str
        The fold wanted; ``"all"`` takes every spectrum, whatever its fold.
    candidates : mapping of str to sequence of str
    limit_molecules : int, optional
        So many molecules, the first in the order of their InChIKeys, which are hashes.

    Raises
    ------
    InputFileError
        If no spectrum is left.
    """
    kept: list[tuple[str, Spectrum]] = []
    left_out: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Skipped):
            left_out[f"not readable, fold unknown: {record.reason}"] += 1
        elif name in (EVERYTHING, record.metadata.get("fold")):
            reason, key = _true_name(record, candidates)
            left_out += Counter({reason: 1} if reason else {})
            kept += [] if reason else [(key, record)]
    if not kept:
        said = "; ".join(f"{reason}: {n:,}" for reason, n in left_out.most_common()) or "there is none"
        raise InputFileError(
            f"No spectrum of the fold {name!r} can be asked about ({said}).",
            "Do spectra and candidates belong to the same version? --fold all takes a file without folds.",
        )
    names = sorted({key for key, _ in kept})[:limit_molecules]
    number = {key: row for row, key in enumerate(names)}
    spectra = [(number[key], spectrum) for key, spectrum in kept if key in number]
    return Fold(
        name,
        [token_input(spectrum) for _, spectrum in spectra],
        np.array([row for row, _ in spectra], dtype=np.int64),
        names,
        [spectrum.metadata["smiles"] for _, spectrum in spectra],
        [spectrum.adduct or "" for _, spectrum in spectra],
        [spectrum.metadata.get("instrument_type", "") for _, spectrum in spectra],
        np.array([_neutral_mass(spectrum) for _, spectrum in spectra]),
        left_out,
    )


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _true_name(spectrum: Spectrum, candidates: Candidates) -> tuple[str, str]:
    """Why a spectrum cannot be asked about (empty where it can), and its molecule's first block."""
    smiles = spectrum.metadata.get("smiles", "")
    try:
        _neutral_mass(spectrum)
        key = parse_structure(smiles).inchikey14
    except ParseError:
        return "no readable structure, adduct or precursor", ""
    return ("", key) if smiles in candidates else ("no candidate list", key)


def _neutral_mass(spectrum: Spectrum) -> float:
    """Mass in Da that precursor and adduct say.

    Raises
    ------
    ParseError
        If either is missing or the adduct is not understood.
    """
    if spectrum.precursor_mz is None:
        raise ParseError("No precursor.")
    return parse_adduct(spectrum.adduct or "").neutral_mass(spectrum.precursor_mz)
