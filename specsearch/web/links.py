"""A spectrum as a short text, so that an answer has a link that can be shared."""

from __future__ import annotations

import base64
import binascii
import json
import zlib

import numpy as np

from specsearch.errors import InvalidSpectrum, ParseError
from specsearch.report.tables import plain
from specsearch.spectra.spectrum import Spectrum
from specsearch.web.bounds import within_bounds

_MOST_PEAKS = 256  # as many as the encoder reads
_STEPS_PER_DA = 100_000
_STEPS_OF_INTENSITY = 10_000
_MOST_BYTES = 1 << 16
_NAMES = ("compound_name", "smiles")
_MOST_NOTES, _LONGEST_NOTE = 10, 200
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    binascii.Error,
    zlib.error,
    InvalidSpectrum,
)


def link_text(spectrum: Spectrum) -> str:
    """The 256 strongest peaks, m/z to 0.00001 and intensity to 0.0001; names, notes and precursor."""
    strongest = np.sort(np.argsort(-spectrum.intensity, kind="stable")[:_MOST_PEAKS])
    mz = np.round(spectrum.mz[strongest] * _STEPS_PER_DA).astype(np.int64)
    intensity = np.round(spectrum.intensity[strongest] / spectrum.intensity.max() * _STEPS_OF_INTENSITY)
    content = {
        "m": np.diff(mz, prepend=0).tolist(),
        "i": np.maximum(intensity, 1).astype(int).tolist(),
        "a": spectrum.accession,
        "p": spectrum.precursor_mz,
        "c": spectrum.charge,
        "d": spectrum.adduct,
        "n": [note[:_LONGEST_NOTE] for note in spectrum.notes[:_MOST_NOTES]],
        **{name: spectrum.metadata[name] for name in _NAMES if spectrum.metadata.get(name)},
    }
    text = json.dumps({key: value for key, value in content.items() if value}, separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def parse_link(text: str) -> Spectrum:
    """The spectrum of a link.

    Raises
    ------
    ParseError
        If it is none.
    """
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacked = zlib.decompressobj().decompress(packed, _MOST_BYTES)
        content = json.loads(unpacked)
        if not isinstance(content, dict):
            raise ValueError("no record")
        return within_bounds(_spectrum(content))
    except _BROKEN:
        raise ParseError(
            "This link holds no spectrum that can be read.", "Was it cut short? Begin again with the file."
        ) from None


def _spectrum(content: dict[str, object]) -> Spectrum:
    mz, intensity = (np.array(content[name], dtype=np.float64) for name in ("m", "i"))
    precursor, charge, notes = content.get("p"), content.get("c"), content.get("n", [])
    if not isinstance(precursor, float | int | None) or not isinstance(charge, int | None):
        raise TypeError("no numbers")
    if not isinstance(notes, list):
        raise TypeError("no notes")
    texts = {name: plain(content[name])[:2000] for name in _NAMES if name in content}
    return Spectrum.checked(
        np.cumsum(mz) / _STEPS_PER_DA,
        intensity / _STEPS_OF_INTENSITY,
        accession=str(content.get("a", ""))[:200],
        precursor_mz=precursor,
        charge=charge,
        adduct=str(content["d"])[:100] if "d" in content else None,
        metadata=texts,
        notes=tuple(plain(note)[:_LONGEST_NOTE] for note in notes[:_MOST_NOTES]),
    )
