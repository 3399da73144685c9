"""Files that were sent: read in a private folder under a name of ours, and not for ever."""

from __future__ import annotations

import gzip
import io
import time
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from specsearch.errors import InputFileError, InvalidSpectrum, Skipped
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.spectrum import Spectrum

MOST_SPECTRA = 1000
_MOST_SKIPPED = 100
_MOST_SECONDS = 10.0
_MOST_UNPACKED = 64 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"
_NAME = "upload"


@dataclass
class SentFile:
    """What a file held.

    Parameters
    ----------
    name : str
        As the client calls it, fit to be shown.
    spectra : list of Spectrum
    skipped : list of Skipped
    is_complete : bool
        False where there is more in it than is read at once.
    """

    name: str = ""
    spectra: list[Spectrum] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    is_complete: bool = True


def read_sent(content: bytes, name: str, most_peaks: int) -> SentFile:
    """Read the spectra of a file that was sent.

    Parameters
    ----------
    content : bytes
    name : str
        As the client calls it: shown, never opened.
    most_peaks : int
        Spectra with more are skipped.

    Raises
    ------
    InputFileError
        If it holds no spectra in a format that is understood.
    """
    shown = "".join(c for c in name if c.isprintable())[-100:] or "the file"
    with TemporaryDirectory(prefix="specsearch-") as folder:
        path = Path(folder) / _NAME
        try:
            path.write_bytes(_unpacked(content))
            found = _read(path, most_peaks)
        except InputFileError as error:
            message = error.message.replace(str(path), shown)
            raise InputFileError(message, error.next_step) from None
    found.name = shown
    found.skipped = [replace(one, source=shown) for one in found.skipped]
    return found


def _unpacked(content: bytes) -> bytes:
    """The content, gunzipped if it is packed.

    Raises
    ------
    InputFileError
        If there is too much in it, or it breaks off.
    """
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            unpacked = stream.read(_MOST_UNPACKED + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise InputFileError(f"The packed file cannot be read: {error}.", "Send it again.") from None
    if len(unpacked) > _MOST_UNPACKED:
        raise InputFileError(
            f"There is more than {_MOST_UNPACKED >> 20} MiB in it when unpacked.",
            "Send a part of it, or use the command line.",
        )
    return unpacked


def _read(path: Path, most_peaks: int) -> SentFile:
    found, end = SentFile(), time.monotonic() + _MOST_SECONDS
    for number, record in enumerate(read_spectra(path), start=1):
        if isinstance(record, Spectrum) and len(record) > most_peaks:
            detail = f"{len(record):,}, allowed are {most_peaks:,}"
            record = Skipped("", f"record {number}", "too many peaks", record.accession, detail)
        if isinstance(record, Skipped):
            found.skipped.append(record)
        else:
            found.spectra.append(record)
        if (
            len(found.spectra) >= MOST_SPECTRA
            or len(found.skipped) >= _MOST_SKIPPED
            or time.monotonic() > end
        ):
            found.is_complete = False
            break
    return found


def parse_pasted(text: str, precursor_mz: float | None, adduct: str, charge: int | None) -> Spectrum:
    """A spectrum from lines of m/z and intensity, as copied from a table or a vendor's viewer.

    Raises
    ------
    InvalidSpectrum
        With the line that is not understood.
    """
    mz, intensity = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.replace(",", " ").replace(";", " ").replace(":", " ").split()
        if not cells:
            continue
        try:
            first, second = (float(cell) for cell in cells[:2])
        except ValueError:
            raise InvalidSpectrum(f"line {number} is not an m/z and an intensity", repr(line[:60])) from None
        mz.append(first)
        intensity.append(second)
    return Spectrum.checked(
        mz, intensity, accession="pasted", precursor_mz=precursor_mz, adduct=adduct.strip(), charge=charge
    )
