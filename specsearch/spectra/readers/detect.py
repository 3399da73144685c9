"""Which format a file is in, by its content; the name only decides where the content leaves it open."""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from pathlib import Path

from specsearch.errors import InputFileError
from specsearch.spectra.readers.sources import open_binary

_HEAD_BYTES = 1 << 16


class Format(StrEnum):
    """The formats spectra are read from; the value is what a user calls it."""

    MGF = "MGF"
    MSP = "MSP"
    MZML = "mzML"
    MZXML = "mzXML"
    MASSBANK = "MassBank record"
    JSON = "GNPS or matchms JSON"
    MASSSPECGYM = "MassSpecGym TSV"
    PARQUET = "Parquet"
    HDF5 = "GeMS/DreaMS HDF5"


_UNDERSTOOD = f"Understood are {', '.join(Format)}; text formats also gzipped."
_MAGIC = {b"PAR1": Format.PARQUET, b"\x89HDF\r\n\x1a\n": Format.HDF5}
_ARCHIVES = {
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_XML_ROOT = re.compile(r"<(?:indexedmzML|mzML|(mzXML))[\s>]")
_TEXTS = {
    Format.MGF: re.compile(r"^[ \t]*BEGIN IONS[ \t]*\r?$", re.MULTILINE | re.IGNORECASE),
    # from the first ACCESSION only: a file of nothing else would take seconds
    Format.MASSBANK: re.compile(
        r"\A(?>(?s:.*?)^ACCESSION:)(?s:.*)\n(?:RECORD_TITLE:|CH\$|PK\$)", re.MULTILINE
    ),
    Format.MSP: re.compile(r"^[ \t]*num[ _]?peaks\s*:", re.MULTILINE | re.IGNORECASE),
    Format.MASSSPECGYM: re.compile(r"\A(?=[^\n]*\bmzs\b)(?=[^\n]*\bintensities\b)[^\n]*\t"),
    Format.JSON: re.compile(r'\A\s*[\[{](?=.*?"peaks(?:_json)?"\s*:)', re.DOTALL),
}
_SUFFIXES = {".mgf": Format.MGF, ".msp": Format.MSP, ".json": Format.JSON}


def detect_format(path: str | Path) -> Format:
    """Return the format of a file, gzipped or not.

    Raises
    ------
    InputFileError
        If the file cannot be opened, is empty, or holds nothing that is understood.
    """
    path = Path(path)
    head = _head(path)
    if not head.strip():
        raise InputFileError(f"{path} is empty.", "Check how it was made or downloaded.")
    for magic, found in _MAGIC.items():
        if head.startswith(magic):
            return found
    _refuse_binary(path, head)
    text = head.decode("utf-8-sig", errors="replace")
    text_format = _text_format(path, text, is_whole=len(head) < _HEAD_BYTES)
    if text_format is None:
        raise InputFileError(f"{path} holds no spectra in a format that is understood.", _UNDERSTOOD)
    return text_format


def _head(path: Path) -> bytes:
    """The first bytes; of a gzip file that breaks off, what there is of them."""
    head = b""
    with open_binary(path) as stream:
        try:
            while len(head) < _HEAD_BYTES and (chunk := stream.read1(_HEAD_BYTES - len(head))):
                head += chunk
        except (EOFError, zlib.error, OSError) as error:
            if not head:
                raise InputFileError(f"{path} cannot be read: {error}.", "Download it again.") from None
    return head


def _refuse_binary(path: Path, head: bytes) -> None:
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            raise InputFileError(f"{path} is a {name} archive.", "Unpack it; only gzip is read directly.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputFileError(f"{path} is UTF-16 text.", "Save it as UTF-8.")
    if b"\0" in head:
        raise InputFileError(
            f"{path} is a binary file in no format that is understood.",
            f"Convert a vendor's raw file to mzML, e.g. with ProteoWizard. {_UNDERSTOOD}",
        )


def _text_format(path: Path, text: str, *, is_whole: bool) -> Format | None:
    if text.lstrip().startswith("<"):
        root = _XML_ROOT.search(text)
        return None if root is None else Format.MZXML if root[1] else Format.MZML
    found = next((kind for kind, pattern in _TEXTS.items() if pattern.search(text)), None)
    if found is not None or is_whole:
        return found
    return _SUFFIXES.get(Path(path.name.removesuffix(".gz")).suffix.lower())
