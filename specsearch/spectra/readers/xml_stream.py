"""What mzML and mzXML share: elements one at a time from a file nobody trusts, and binary peak arrays."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from specsearch.errors import InputFileError, InvalidSpectrum
from specsearch.spectra.readers.sources import open_binary

PROFILE_NOTE = "profile mode: peaks were not centroided"
_PROFILE_ZERO_SHARE = 0.25  # converters pad each profile peak with zeros; peak picking leaves none
_MAX_ARRAY_BYTES = 1 << 28  # 32 million float64: far above the limit of peaks, far below a zip bomb


def elements(path: Path, names: tuple[str, ...]) -> Iterator[etree._Element]:
    """Yield each element of these local names when it is complete, and forget it afterwards.

    Raises
    ------
    InputFileError
        If the file declares a document type: that is how entity bombs and reads of other files begin,
        and neither format has one.
    InvalidSpectrum
        After the last readable element, if the file breaks off or is not well-formed from there on.
    """
    _refuse_document_type(path)
    with open_binary(path) as stream:
        tail = _Tail(stream)
        context = etree.iterparse(
            tail,
            tag=[f"{{*}}{name}" for name in names],
            remove_comments=True,
            resolve_entities=False,
            no_network=True,
            huge_tree=True,  # a long spectrum is a long text; there are no entities left to expand
        )
        try:
            for _, element in context:
                yield element
                _forget(element)
        except etree.XMLSyntaxError as error:
            reason = "XML not well-formed" if tail.has_closing_tag else "file truncated"
            raise InvalidSpectrum(reason, str(error.msg)) from None


def _refuse_document_type(path: Path) -> None:
    """Look at the first element only, under the parser's own limits of entity expansion."""
    with open_binary(path) as stream:
        try:
            events = etree.iterparse(stream, events=("start",), resolve_entities=False, no_network=True)
            _, root = next(iter(events))
        except (etree.XMLSyntaxError, StopIteration) as error:
            message = f"{path} is not well-formed XML: {error}."
            raise InputFileError(message, "Convert the raw file again.") from None
        if root.getroottree().docinfo.doctype:
            raise InputFileError(
                f"{path} declares a document type, which no mzML or mzXML file needs; it was not read.",
                "Remove the <!DOCTYPE ...> declaration if you trust the file.",
            )


def _forget(element: etree._Element) -> None:
    """Free an element and the emptied ones of its kind before it, so that memory stays flat.

    Other siblings stay: mzXML nests scans, and the peaks of a scan stand before the scans inside it.
    """
    element.clear()
    before = element.getprevious()
    while before is not None and before.tag == element.tag:
        element.getparent().remove(before)
        before = element.getprevious()


class _Tail:
    """A stream that remembers its last two chunks, to tell a file that breaks off from a damaged one."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._chunks = (b"", b"")

    def read(self, size: int) -> bytes:
        chunk = self._stream.read1(size)  # a broken gzip stream raises in read, with all it had
        if chunk:
            self._chunks = (self._chunks[1], chunk)
        return chunk

    @property
    def has_closing_tag(self) -> bool:
        """Whether the file goes on, or what was read last closes the document."""
        ending = b"".join(self._chunks)
        return b"</mzML>" in ending or b"</mzXML>" in ending or bool(self._stream.read1(1))


def decode_array(text: str | None, dtype: np.dtype, *, is_zlib: bool) -> NDArray:
    """Numbers from base64 text.

    Raises
    ------
    InvalidSpectrum
        If the text is damaged, or unpacks to more than any spectrum holds.
    """
    try:
        data = base64.b64decode("".join((text or "").split()), validate=True)
        if is_zlib and data:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(data, _MAX_ARRAY_BYTES)
            if not unpacker.eof:
                raise InvalidSpectrum("peak array damaged", "compressed data incomplete or too large")
        return np.frombuffer(data, dtype=dtype)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise InvalidSpectrum("peak array damaged", str(error)) from None


def looks_like_profile(intensity: NDArray) -> bool:
    """Whether so many points are zero that peaks cannot have been picked, whatever the file says."""
    return intensity.size > 0 and float(np.mean(intensity == 0)) >= _PROFILE_ZERO_SHARE
