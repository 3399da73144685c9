"""What mzML and mzXML share: pyteomics' entries, one at a time, from a file nobody trusts."""

from __future__ import annotations

import base64
import io
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from specsearch.errors import InputFileError, InvalidSpectrum
from specsearch.spectra.readers.sources import open_binary

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="hdf5plugin")  # psims wants it for mzMLb, which we do not read
    from pyteomics import xml
    from pyteomics.auxiliary import BinaryDataArrayTransformer, PyteomicsError

PROFILE_NOTE = "profile mode: peaks were not centroided"
FAULT = "fault"
_PROFILE_ZERO_SHARE = 0.25  # converters pad each profile peak with zeros; peak picking leaves none
_MAX_ARRAY_BYTES = 1 << 28  # 32 million float64: far above the limit of peaks, far below a zip bomb
_MOST_BETWEEN = 1 << 29  # bytes from one entry's end to the next, all of them held: a million peaks are 40 MB
# as pyteomics meets it
_MALFORMED = (PyteomicsError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def _unzipped(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, _MAX_ARRAY_BYTES)
    if not unpacker.eof:
        raise ValueError("compressed data incomplete or too large")
    return unpacked


class OneByOne(xml.XML):
    """Comes before a reader of pyteomics: a malformed entry costs that entry, and none outstays its turn."""

    compression_type_map: ClassVar[dict] = {
        **BinaryDataArrayTransformer.compression_type_map,
        "zlib compression": _unzipped,
    }

    def _get_info_smart(self, element: etree._Element, **options: Any) -> Any:
        if local_name(element) != self._default_iter_tag:
            return super()._get_info_smart(element, **options)
        _forget_before(element)
        try:
            return super()._get_info_smart(element, **options)
        except InvalidSpectrum as fault:
            return {**element.attrib, FAULT: fault}
        except _MALFORMED as error:
            return {**element.attrib, FAULT: InvalidSpectrum("record not understood", repr(error))}

    def _base64_decode(self, source: str) -> bytes:
        """Refuses what is no base64; pyteomics leaves it out, which moves the bytes behind it."""
        return base64.b64decode("".join(source.split()), validate=True)


def local_name(element: etree._Element) -> str:
    """Name of an element without its namespace, which may be no address at all: `etree.QName` refuses it."""
    return str(element.tag).rpartition("}")[2]


def _forget_before(element: etree._Element) -> None:
    """Free the emptied entries before this one, so that memory stays flat.

    Other siblings stay: mzXML nests scans, and the peaks of a scan stand before the scans inside it.
    """
    before = element.getprevious()
    while before is not None and before.tag == element.tag:
        element.getparent().remove(before)
        before = element.getprevious()


def entries(path: Path, reader: type[OneByOne], **options: Any) -> Iterator[dict[str, Any]]:
    """Yield the entry of each spectrum as pyteomics gives it, its arrays not decoded.

    Of an entry that pyteomics cannot make sense of, the attributes are left and the complaint is under
    `FAULT`.

    Raises
    ------
    InputFileError
        If the file declares a document type: that is how entity bombs and reads of other files begin,
        and neither format has one.
    InvalidSpectrum
        After the last readable entry, if the file breaks off or is not well-formed from there on.
    """
    _refuse_document_type(path)
    with open_binary(path) as opened:
        stream = Stream(opened)
        try:
            # A long spectrum is a long text, hence `huge_tree`; there are no entities left to expand.
            for entry in reader(stream, use_index=False, decode_binary=False, huge_tree=True, **options):
                stream.n_held = 0
                yield entry
        except etree.XMLSyntaxError as error:
            reason = "XML not well-formed" if stream.has_closing_tag else "file truncated"
            raise InvalidSpectrum(reason, str(error.msg)) from None


def _refuse_document_type(path: Path) -> None:
    """Look at the first element only, under the parser's own limits of entity expansion."""
    with open_binary(path) as opened:
        try:
            events = etree.iterparse(
                Stream(opened), events=("start",), resolve_entities=False, no_network=True
            )
            _, root = next(iter(events))
        except (etree.XMLSyntaxError, StopIteration) as error:
            message = f"{path} is not well-formed XML: {error}."
            raise InputFileError(message, "Convert the raw file again.") from None
        if root.getroottree().docinfo.doctype:
            raise InputFileError(
                f"{path} declares a document type, which no mzML or mzXML file needs; it was not read.",
                "Remove the <!DOCTYPE ...> declaration if you trust the file.",
            )


class Stream:
    """A stream that remembers its last two chunks, to tell a file that breaks off from a damaged one."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._chunks = (b"", b"")
        self.n_held = 0  # bytes since whoever reads said 0
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        chunk = self._stream.read1(size)  # a broken gzip stream raises in read, with all it had
        if chunk:
            self._chunks = (self._chunks[1], chunk)
            self.n_held += len(chunk)
            if self.n_held > _MOST_BETWEEN:
                raise InvalidSpectrum("record too long", f"more than {_MOST_BETWEEN} bytes of XML")
        return chunk

    @property
    def has_closing_tag(self) -> bool:
        """Whether the file goes on, or what was read last closes the document."""
        ending = b"".join(self._chunks)
        return b"</mzML>" in ending or b"</mzXML>" in ending or bool(self._stream.read1(1))


def decoded(record: Any) -> NDArray:
    """Numbers of one of pyteomics' array records; none where there is no record or no text in it.

    Raises
    ------
    InvalidSpectrum
        If the text is damaged, or unpacks to more than any spectrum holds.
    """
    if record is None or not record.data:
        return np.empty(0)
    try:
        return record.decode()
    except (ValueError, zlib.error) as error:
        raise InvalidSpectrum("peak array damaged", str(error)) from None


def looks_like_profile(intensity: NDArray) -> bool:
    """Whether so many points are zero that peaks cannot have been picked, whatever the file says."""
    return intensity.size > 0 and float(np.mean(intensity == 0)) >= _PROFILE_ZERO_SHARE
