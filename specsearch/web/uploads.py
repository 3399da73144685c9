"""Files that were sent: read in a private folder under a name of ours, and not for ever."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from specsearch.errors import InputFileError, InvalidSpectrum, StoreFull
from specsearch.spectra.readers.ionization import ionization
from specsearch.spectra.spectrum import Spectrum
from specsearch.web.bounds import within_bounds
from specsearch.web.reading import ReadingLimits, SentFile, read_apart

MOST_SPECTRA = 1000
_MOST_SKIPPED = 100
_MOST_PEAKS = 200_000
_MOST_SECONDS = 10.0
_MOST_UNPACKED = 64 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"
_NAME = "upload"
_APART = re.compile(r"[\s;:]+|,(?=\s|$)|(?<=\s),")  # a comma beside a blank is no decimal mark


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
    StoreFull
        If there is no space for it on the disk.
    """
    limits = ReadingLimits(MOST_SPECTRA, _MOST_SKIPPED, _MOST_PEAKS, most_peaks, _MOST_SECONDS)
    shown = "".join(c for c in name if c.isprintable())[-100:] or "the file"
    with TemporaryDirectory(prefix="specsearch-") as folder:
        path = Path(folder) / _NAME
        try:
            path.write_bytes(_unpacked(content))
            found = read_apart(path, limits)
        except InputFileError as error:
            message = error.message.replace(str(path), shown)
            raise InputFileError(message, error.next_step) from None
        except OSError as error:
            raise StoreFull(f"{path} cannot be written: {error.strerror}.", "Free some space.") from error
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


def parse_pasted(text: str, precursor_mz: float | None, adduct: str = "", ion_mode: str = "") -> Spectrum:
    """A spectrum from lines of m/z and intensity, as copied from a table or a vendor's viewer.

    A comma within a number that stands apart from the other is its decimal mark; else it parts the two.

    Parameters
    ----------
    text : str
    precursor_mz : float or None
    adduct : str, optional
        Says the charge; goes before the ion mode, as in files.
    ion_mode : str, optional
        ``"positive"`` or ``"negative"``; empty where it is not known.

    Raises
    ------
    InvalidSpectrum
        With the line that is not understood.
    """
    peaks = [_peak(number, line) for number, line in enumerate(text.splitlines(), 1) if _APART.sub("", line)]
    mz, intensity = zip(*peaks, strict=True) if peaks else ((), ())
    ion = ionization("", adduct.strip(), ion_mode)
    return within_bounds(
        Spectrum.checked(
            mz,
            intensity,
            accession="pasted",
            precursor_mz=precursor_mz,
            adduct=ion.adduct,
            charge=ion.charge,
            notes=ion.notes,
        )
    )


def _peak(number: int, line: str) -> tuple[float, float]:
    """The peak of a line; raises `InvalidSpectrum`, rather than guess which of its numbers are meant."""
    cells, shown = _cells(line), repr(line[:60])
    if len(cells) < 2 or not (_is_number(cells[0]) and _is_number(cells[1])):
        raise InvalidSpectrum(f"line {number} is not an m/z and an intensity", shown)
    if any(_is_number(cell) for cell in cells[2:]):
        raise InvalidSpectrum(f"line {number} has more than two numbers", shown)
    return float(cells[0]), float(cells[1])


def _cells(line: str) -> list[str]:
    cells = [cell for cell in _APART.split(line) if cell]
    if len(cells) == 1:
        return cells[0].split(",")
    has_point = any("." in cell for cell in cells[:2])
    # Beside a decimal point a comma would be one of thousands, and is left for a fault.
    return cells if has_point else [cell.replace(",", ".") for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
