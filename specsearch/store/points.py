"""Points: what one spectrum becomes in the store."""

from __future__ import annotations

import base64
import binascii
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specsearch.errors import StoreDamaged, StoreError
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.schema import ALL_KEYS, FLOAT_DECIMALS, Key

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "specsearch:spectrum")
_PEAK_BYTES = 6
_INTENSITY_STEPS = 65535
_LIFTED = (Key.FORMULA, Key.SMILES, Key.COMPOUND_NAME, Key.INSTRUMENT_TYPE, Key.COLLISION_ENERGY)


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """A vector of few non-zero dimensions.

    Parameters
    ----------
    indices : numpy.ndarray of shape (n_values,), uint32
        Ascending and unique.
    values : numpy.ndarray of shape (n_values,), float32
    """

    indices: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One spectrum, ready for the store.

    Parameters
    ----------
    point_id : str
        See `point_id`.
    embedding : numpy.ndarray of shape (embedding_size,), float32
        Unit norm.
    peaks, losses : SparseVector
        Empty where there is nothing to say, e.g. the losses of a spectrum without a precursor.
    payload : dict
        Values under the keys of `specsearch.store.schema.Key`.
    """

    point_id: str
    embedding: NDArray[np.float32]
    peaks: SparseVector
    losses: SparseVector
    payload: dict[str, Any]


def point_id(library: str, accession: str) -> str:
    """The UUID (version 5) of ``library:accession``: the same record is the same point, always."""
    return str(uuid.uuid5(_NAMESPACE, f"{library}:{accession}"))


def make_point(
    library: str,
    spectrum: Spectrum,
    embedding: NDArray[np.float32],
    peaks: SparseVector,
    losses: SparseVector,
    extra: Mapping[str, Any] | None = None,
) -> Point:
    """Build the point of a library spectrum.

    Parameters
    ----------
    library : str
        Name of the collection it goes to.
    spectrum : Spectrum
        With an accession, unique in the library.
    embedding, peaks, losses
        Its vectors.
    extra : Mapping, optional
        Values computed elsewhere under keys of `Key` (exact mass, canonical SMILES, source, ...); they
        win over what the record says.

    Raises
    ------
    StoreError
        If the spectrum has no accession or `extra` holds a key that no payload has.
    """
    if not spectrum.accession:
        raise StoreError("A spectrum without an accession cannot be stored.", "Give it a name first.")
    unknown = sorted(set(extra or ()) - ALL_KEYS)
    if unknown:
        raise StoreError(f"No payload has the keys {', '.join(unknown)}.")
    payload = {**_record_values(spectrum), **(extra or {})}
    payload[Key.LIBRARY] = library
    payload[Key.ACCESSION] = spectrum.accession
    payload[Key.SPECTRUM_ID] = f"{library}:{spectrum.accession}"
    return Point(
        point_id=point_id(library, spectrum.accession),
        embedding=np.asarray(embedding, dtype=np.float32),
        peaks=peaks,
        losses=losses,
        payload={key: kept for key, value in payload.items() if (kept := _stored(value)) is not None},
    )


def _record_values(spectrum: Spectrum) -> dict[str, Any]:
    """What the record itself says; metadata without a key of its own stays together under one key."""
    rest = dict(spectrum.metadata)
    values: dict[str, Any] = {key: rest.pop(key, None) for key in _LIFTED}
    inchikey = rest.get("inchikey", "")
    values |= {
        Key.PRECURSOR_MZ: spectrum.precursor_mz,
        Key.CHARGE: spectrum.charge,
        Key.ION_MODE: spectrum.ion_mode,
        Key.ADDUCT: spectrum.adduct,
        Key.INCHIKEY14: inchikey[:14] if inchikey[14:15] == "-" else None,
        Key.SPLASH: spectrum.splash,
        Key.N_PEAKS: len(spectrum),
        Key.PEAKS: encode_peaks(spectrum.mz, spectrum.intensity),
        Key.METADATA: dict(sorted(rest.items())) or None,
    }
    return values


def _stored(value: Any) -> Any:
    """The value as it is kept; None for one that says nothing."""
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else round(float(value), FLOAT_DECIMALS)
    return None if value == "" else value


def encode_peaks(mz: ArrayLike, intensity: ArrayLike) -> str:
    """Write a peak list as short text: 8 characters a peak, against about 25 as JSON numbers.

    Base64 of all m/z as little-endian float32, then all intensities as little-endian uint16 of
    ``65535 * sqrt(intensity / base peak)``. float32 has 24 significant bits, so an m/z is off by at
    most 0.06 ppm (0.03 ppm at 2000 Da). The square root keeps weak peaks: an intensity r relative to
    the base peak is off by at most ``1.6e-5 * sqrt(r)``, i.e. 0.05 % of itself at r = 0.001.
    Absolute intensities are not kept.

    Parameters
    ----------
    mz, intensity : array of shape (n_peaks,)
        m/z ascending; at least one intensity above zero.
    """
    mz32 = np.asarray(mz, dtype="<f4")
    relative = np.asarray(intensity, dtype=np.float64)
    root = np.sqrt(relative / relative.max())
    steps = np.rint(root * _INTENSITY_STEPS).astype("<u2")
    return base64.b64encode(mz32.tobytes() + steps.tobytes()).decode("ascii")


def decode_peaks(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a peak list written by `encode_peaks`.

    Returns
    -------
    mz, intensity : numpy.ndarray of shape (n_peaks,), float64
        Intensity relative to the base peak.

    Raises
    ------
    StoreDamaged
        If the text is not a peak list.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise StoreDamaged("A stored peak list is not base64.", "Index the library again.") from error
    n_peaks, left = divmod(len(raw), _PEAK_BYTES)
    if left or not n_peaks:
        raise StoreDamaged(
            f"A stored peak list has {len(raw)} bytes, not a multiple of {_PEAK_BYTES}.",
            "Index the library again.",
        )
    mz = np.frombuffer(raw, dtype="<f4", count=n_peaks).astype(np.float64)
    steps = np.frombuffer(raw, dtype="<u2", offset=4 * n_peaks).astype(np.float64)
    return mz, (steps / _INTENSITY_STEPS) ** 2
