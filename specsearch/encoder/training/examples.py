"""Training examples: clean spectra with their molecules, collected from files split by molecule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.fingerprints import morgan_bits
from specsearch.chemistry.structures import parse_structure
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
    accession : list of str
        One per spectrum, or none at all.
    """

    inputs: list[TokenInput]
    molecule: NDArray[np.int64]
    positive: NDArray[np.bool_]
    inchikey14: list[str]
    fingerprints: NDArray[np.uint8]
    exact_mass: NDArray[np.float64]
    accession: list[str] = field(default_factory=list)

    def spectra_of(self) -> list[NDArray[np.int64]]:
        """The spectra of each molecule."""
        order = np.argsort(self.molecule, kind="stable")
        counts = np.bincount(self.molecule, minlength=len(self.inchikey14))
        return np.split(order, np.cumsum(counts)[:-1])

    def only(self, rows: NDArray[np.int64]) -> Examples:
        """These spectra; the table of molecules stays whole, so that molecule numbers keep their meaning."""
        return replace(
            self,
            inputs=[self.inputs[row] for row in rows],
            molecule=self.molecule[rows],
            positive=self.positive[rows],
            accession=[self.accession[row] for row in rows] if self.accession else [],
        )

    def names(self, rows: NDArray[np.int64]) -> list[str]:
        """What to call some spectra in a message."""
        return [self.accession[row] if self.accession else f"spectrum {row + 1}" for row in rows]


def fault_of(spectrum: Spectrum) -> str:
    """Why a spectrum may neither teach nor judge; empty for a clean one.

    Clean is: known adduct, three peaks, precursor within 20 ppm of what adduct and exact mass say.
    """
    if len(spectrum) < _MIN_PEAKS:
        return "fewer than 3 peaks"
    if not spectrum.adduct:
        return "no adduct"
    if not spectrum.precursor_mz:
        return "no precursor m/z"
    try:
        expected = parse_adduct(spectrum.adduct).precursor_mz(float(spectrum.metadata["exact_mass"]))
    except ParseError:
        return "adduct not understood"
    except (KeyError, ValueError):
        return "no exact mass"
    off = abs(spectrum.precursor_mz / expected - 1.0) * 1e6 > _MAX_MASS_ERROR_PPM
    return "precursor more than 20 ppm off" if off else ""


def is_clean(spectrum: Spectrum) -> bool:
    """Whether a spectrum may teach or judge: known adduct, three peaks, precursor within 20 ppm."""
    return not fault_of(spectrum)


class _Row(NamedTuple):
    """One spectrum, and what its record says of the molecule."""

    input: TokenInput
    accession: str
    positive: bool
    inchikey14: str
    smiles: str
    exact_mass: float


class Collector:
    """Gathers the clean, annotated spectra of some splits, file by file.

    Parameters
    ----------
    splits : iterable of str
        Those to gather; records of others are only looked at for molecules on two sides.
    on_skipped : callable
        Told about every record of these splits that is left out.
    """

    def __init__(
        self, splits: Iterable[str], on_skipped: Callable[[Skipped], None] = lambda skipped: None
    ) -> None:
        self.split_of: dict[str, str] = {}
        self._rows: dict[str, list[_Row]] = {split: [] for split in splits}
        self._on_skipped = on_skipped
        self._inchikey14_of: dict[str, str] = {}

    def add(self, records: Iterable[Spectrum | Skipped], source: str = "the input") -> None:
        """Take in the records of one file.

        Raises
        ------
        TrainingError
            If none of them has a target, or if a molecule stands in two splits.
        """
        n_annotated = 0
        for number, record in enumerate(records, 1):
            if isinstance(record, Skipped):
                self._on_skipped(record)
                continue
            n_annotated += bool(_key(record) and record.metadata.get("smiles"))
            split = self._require_one_split(record)
            if split and split not in self._rows:
                continue
            if reason := fault_of(record) or self._fault_of_target(record, split):
                self._on_skipped(Skipped(source, f"record {number}", reason, record.accession))
            else:
                self._rows[split].append(_row(record))
        if not n_annotated:
            raise TrainingError(
                f"{source} holds no spectrum with a target.",
                "Training on structures needs spectra with adduct, SMILES, InChIKey, exact mass and split.",
            )

    def examples(self, split: str) -> Examples:
        """What was gathered of a split.

        Raises
        ------
        TrainingError
            If that is nothing.
        """
        rows = self._rows[split]
        if not rows:
            raise TrainingError(
                f"No clean, annotated spectra of the split {split!r} were found.",
                "Training needs spectra with adduct, SMILES, InChIKey, exact mass and a 'split' column.",
            )
        first = {row.inchikey14: row for row in reversed(rows)}
        molecules = sorted(first)
        number = {key: i for i, key in enumerate(molecules)}
        return Examples(
            [row.input for row in rows],
            np.array([number[row.inchikey14] for row in rows]),
            np.array([row.positive for row in rows]),
            molecules,
            morgan_bits([first[key].smiles for key in molecules]),
            np.array([first[key].exact_mass for key in molecules]),
            [row.accession for row in rows],
        )

    def _require_one_split(self, record: Spectrum) -> str:
        """The record's split; an error where its molecule was seen in another."""
        split, key = record.metadata.get("split", ""), _key(record)
        if split and key and self.split_of.setdefault(key, split) != split:
            raise TrainingError(
                f"The molecule {key} is in the split {self.split_of[key]!r} and in {split!r} "
                f"({record.accession}).",
                "Split by molecule (first block of the InChIKey), or figures on held-out data mean nothing.",
            )
        return split

    def _fault_of_target(self, record: Spectrum, split: str) -> str:
        """Why a clean spectrum has no target; empty where it has one."""
        key, smiles = _key(record), record.metadata.get("smiles", "")
        if not split:
            return "no split"
        if not key or not smiles:
            return "no InChIKey" if smiles else "no SMILES"
        if smiles not in self._inchikey14_of:
            self._inchikey14_of[smiles] = _computed_key(smiles)
        computed = self._inchikey14_of[smiles]
        if not computed:
            return "SMILES not understood"
        return "" if computed == key else "SMILES and InChIKey are of two molecules"


def collect_examples(records: Iterable[Spectrum | Skipped], split: str) -> Examples:
    """Gather the clean, annotated spectra of one split from one source.

    Raises
    ------
    TrainingError
        If there are none, or if a molecule stands in two splits.
    """
    collector = Collector([split])
    collector.add(records)
    return collector.examples(split)


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


def _key(record: Spectrum) -> str:
    return record.metadata.get("inchikey", "")[:14]


def _computed_key(smiles: str) -> str:
    """First block of the structure's own InChIKey; empty where RDKit refuses the SMILES."""
    try:
        return parse_structure(smiles).inchikey[:14]
    except ParseError:
        return ""


def _row(record: Spectrum) -> _Row:
    known = record.metadata
    is_positive = (record.charge or 0) > 0
    return _Row(
        token_input(record),
        record.accession,
        is_positive,
        _key(record),
        known["smiles"],
        float(known["exact_mass"]),
    )
