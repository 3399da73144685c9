"""The spectrum: checked once, at the door, then frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specsearch.errors import InvalidSpectrum
from specsearch.spectra.splash import splash


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One MS/MS spectrum.

    Build it through `Spectrum.checked`, which sorts and names what it mended; the bare constructor
    refuses what is not in order.

    Parameters
    ----------
    mz : numpy.ndarray of shape (n_peaks,), float64
        Finite, positive, ascending; read-only.
    intensity : numpy.ndarray of shape (n_peaks,), float64
        Finite, non-negative, at least one above zero; read-only.
    accession : str
        The record's own name in its source.
    precursor_mz : float or None
        m/z of the selected ion; None where unknown.
    charge : int or None
        Signed; its sign is the ion mode; None where unknown.
    adduct : str or None
        Bracket notation, e.g. ``"[M+H]+"``; kept as given where it cannot be parsed.
    metadata : Mapping[str, str]
        Everything else under matchms' names (``compound_name``, ``smiles``, ``inchikey``,
        ``collision_energy``, ``instrument_type``, ...); read-only.
    notes : tuple of str
        What was noticed at the door and did not stop the record, e.g. ``"peaks were not sorted"``.

    Raises
    ------
    InvalidSpectrum
        If the peaks or the precursor break the rules above.
    """

    mz: NDArray[np.float64]
    intensity: NDArray[np.float64]
    accession: str = ""
    precursor_mz: float | None = None
    charge: int | None = None
    adduct: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        mz, intensity = _require_peaks(self.mz, self.intensity)
        if not _is_sorted(mz):
            raise InvalidSpectrum("m/z not sorted")
        if self.precursor_mz is not None and not (np.isfinite(self.precursor_mz) and self.precursor_mz > 0):
            raise InvalidSpectrum("precursor m/z not positive", repr(self.precursor_mz))
        if self.charge == 0:
            raise InvalidSpectrum("charge is zero", "use None for an unknown charge")
        object.__setattr__(self, "mz", _frozen(mz))
        object.__setattr__(self, "intensity", _frozen(intensity))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    @classmethod
    def checked(
        cls,
        mz: ArrayLike,
        intensity: ArrayLike,
        *,
        accession: str = "",
        precursor_mz: float | None = None,
        charge: int | None = None,
        adduct: str | None = None,
        metadata: Mapping[str, str] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Spectrum:
        """Build a spectrum from what a file gave: sort the peaks, take 0 or NaN as "unknown".

        Parameters are those of the class; a precursor m/z of 0 or NaN and a charge of 0 mean unknown.

        Raises
        ------
        InvalidSpectrum
            With a short, countable ``reason``.
        """
        mz_array, intensity_array = np.asarray(mz, dtype=np.float64), np.asarray(intensity, dtype=np.float64)
        if mz_array.ndim == 1 and mz_array.shape == intensity_array.shape and not _is_sorted(mz_array):
            order = np.argsort(mz_array, kind="stable")
            mz_array, intensity_array = mz_array[order], intensity_array[order]
            notes = (*notes, "peaks were not sorted")
        if precursor_mz is not None and (np.isnan(precursor_mz) or precursor_mz == 0):
            precursor_mz = None
        return cls(
            mz_array,
            intensity_array,
            accession=accession,
            precursor_mz=None if precursor_mz is None else float(precursor_mz),
            charge=charge or None,
            adduct=adduct or None,
            metadata=metadata or {},
            notes=notes,
        )

    def __len__(self) -> int:
        return len(self.mz)

    @property
    def ion_mode(self) -> str | None:
        """``"positive"``, ``"negative"``, or None where the charge is unknown."""
        if self.charge is None:
            return None
        return "positive" if self.charge > 0 else "negative"

    @cached_property
    def splash(self) -> str:
        """The spectral hash of the peaks (see `specsearch.spectra.splash`)."""
        return splash(self.mz, self.intensity)


def _require_peaks(mz: ArrayLike, intensity: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both arrays as float64, or an `InvalidSpectrum` that says which rule they break."""
    mz_array = np.asarray(mz, dtype=np.float64)
    intensity_array = np.asarray(intensity, dtype=np.float64)
    if mz_array.ndim != 1 or mz_array.shape != intensity_array.shape:
        raise InvalidSpectrum(
            "m/z and intensity differ in length", f"{mz_array.shape} and {intensity_array.shape}"
        )
    if mz_array.size == 0:
        raise InvalidSpectrum("no peaks")
    # NaN fails every comparison, so four extremes decide; which rule was broken is only asked then.
    if not (mz_array.min() > 0 and mz_array.max() < np.inf):
        finite = np.isfinite(mz_array).all()
        raise InvalidSpectrum(
            "m/z not positive" if finite else "m/z not finite", f"smallest is {mz_array.min():g}"
        )
    highest = intensity_array.max()
    if not (intensity_array.min() >= 0 and highest < np.inf):
        finite = np.isfinite(intensity_array).all()
        raise InvalidSpectrum(
            "intensity negative" if finite else "intensity not finite",
            f"smallest is {intensity_array.min():g}",
        )
    if highest == 0:
        raise InvalidSpectrum("all intensities zero")
    return mz_array, intensity_array


def _is_sorted(values: NDArray[np.float64]) -> bool:
    return not (values[1:] < values[:-1]).any()


def _frozen(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A read-only copy: the caller's array stays writable and cannot reach into the spectrum."""
    copy = values.copy()
    copy.flags.writeable = False
    return copy
