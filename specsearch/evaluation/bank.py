"""A bank of candidate molecules, ascending by mass."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN, morgan_bits, pack_bits
from specsearch.chemistry.masses import ELECTRON_MASS, parse_formula
from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import InputFileError, ParseError
from specsearch.evaluation.cache import kept_array
from specsearch.evaluation.progress import Progress, silent, told

_COLUMNS = ("smiles", "inchikey", "formula", "exact_mass")


@dataclass(frozen=True, eq=False)
class Bank:
    """Candidate molecules, one for each first block of an InChIKey.

    Parameters
    ----------
    smiles : numpy.ndarray of shape (n_molecules,), object
        Texts of very different lengths.
    inchikey14 : numpy.ndarray of shape (n_molecules,), str
    exact_mass : numpy.ndarray of shape (n_molecules,)
        Of the atoms in Da, ascending.
    n_left_out : int
        Rows without structure, name or mass, or with the name of another row.
    """

    smiles: NDArray[np.object_]
    inchikey14: NDArray[np.str_]
    exact_mass: NDArray[np.float64]
    n_left_out: int = 0

    def __len__(self) -> int:
        return len(self.smiles)

    def within(self, mass: NDArray[np.float64], tolerance: Tolerance) -> list[NDArray[np.int64]]:
        """Rows within `tolerance` of each mass in Da."""
        low, high = tolerance.window(mass)
        first = np.searchsorted(self.exact_mass, low, side="left")
        last = np.searchsorted(self.exact_mass, high, side="right")
        return [np.arange(start, stop) for start, stop in zip(first, last, strict=True)]


def read_bank(path: Path) -> Bank:
    """Read a bank of molecules.

    A table gives the mass of an ion without the electrons it lacks; they are put back here, as in
    `specsearch.chemistry.structures`, since the adduct accounts for them.

    Raises
    ------
    InputFileError
        If it is no Parquet file with the columns smiles, inchikey, formula and exact_mass, or has no
        usable row.
    """
    try:
        table = pq.read_table(path, columns=list(_COLUMNS))
        mass = table["exact_mass"].cast(pa.float64()).to_numpy()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputFileError(
            f"{path} is not a bank of molecules ({str(error).splitlines()[0]}).",
            f"A bank is a Parquet file with the columns {', '.join(_COLUMNS)}.",
        ) from None
    smiles, inchikey, formula = ([text or "" for text in table[name].to_pylist()] for name in _COLUMNS[:3])
    mass = mass + np.array([_missing_electrons(text) for text in formula]) * ELECTRON_MASS
    texts, inchikey14 = (
        np.array(smiles, dtype=object),
        np.array([key[:14] for key in inchikey], dtype=np.str_),
    )
    usable = np.flatnonzero((texts != "") & (inchikey14 != "") & np.isfinite(mass) & (mass > 0))
    usable = usable[np.sort(np.unique(inchikey14[usable], return_index=True)[1])]
    if not len(usable):
        raise InputFileError(f"{path} holds no usable molecule.", "Check its columns.")
    order = usable[np.argsort(mass[usable], kind="stable")]
    return Bank(texts[order], inchikey14[order], mass[order], len(mass) - len(order))


def _missing_electrons(formula: str) -> int:
    """The charge that a formula ends in; 0 where it is neutral or not understood."""
    if "+" not in formula and "-" not in formula:
        return 0
    try:
        return parse_formula(formula).charge
    except ParseError:
        return 0  # the table's mass is then taken as it is, a milli-Dalton off at most


def packed_fingerprints(
    smiles: Sequence[str], cache: Path | None = None, progress: Progress = silent
) -> NDArray[np.uint8]:
    """Packed Morgan fingerprints, shape (n_molecules, n_bytes); all zero where RDKit refuses a SMILES.

    Parameters
    ----------
    smiles : sequence of str
    cache : Path, optional
        Folder where they are kept; found again by the SMILES, the settings and RDKit's version.
    progress : Progress
    """
    content = "\n".join([DEFAULT_MORGAN.digest(), *smiles])
    name = f"morgan-{hashlib.sha256(content.encode()).hexdigest()[:32]}.npy"

    def make() -> NDArray[np.uint8]:
        packed = np.zeros((len(smiles), DEFAULT_MORGAN.n_bits // 8), dtype=np.uint8)
        for row, text in enumerate(told(smiles, "fingerprints of candidates", progress)):
            try:
                packed[row] = pack_bits(morgan_bits([text]))[0]
            except ParseError:
                continue  # zero, which no readable molecule has: the caller counts and leaves it out
        return packed

    return kept_array(None if cache is None else cache / name, make)
