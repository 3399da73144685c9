"""A stored record as the spectrum it was made from."""

from __future__ import annotations

from specsearch.spectra.spectrum import Spectrum
from specsearch.store.points import decode_peaks
from specsearch.store.queries import Record
from specsearch.store.schema import Key

_LIFTED = (Key.FORMULA, Key.SMILES, Key.COMPOUND_NAME, Key.INSTRUMENT_TYPE, Key.COLLISION_ENERGY)


def spectrum_of(record: Record, **further: str) -> Spectrum:
    """The spectrum of a record, its intensities relative to the base peak.

    Parameters
    ----------
    record : Record
        With its payload.
    **further : str
        Metadata to add, e.g. the number of its cluster.
    """
    payload = record.payload
    lifted = {key: str(payload[key]) for key in _LIFTED if payload.get(key)}
    mz, intensity = decode_peaks(str(payload[Key.PEAKS]))
    return Spectrum.checked(
        mz,
        intensity,
        accession=str(payload[Key.ACCESSION]),
        precursor_mz=payload.get(Key.PRECURSOR_MZ),
        charge=payload.get(Key.CHARGE),
        adduct=payload.get(Key.ADDUCT),
        metadata={**dict(payload.get(Key.METADATA) or {}), **lifted, **further},
    )
