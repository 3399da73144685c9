"""JSON values one at a time: the elements of an array, or the values of JSON Lines."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from specsearch.errors import InvalidSpectrum

_CHUNK = 1 << 20
_MAX_VALUE = 1 << 28  # characters; no record is that long
_BETWEEN_VALUES = " \t\r\n,"
_LONGEST_TOKEN = 64  # an error this close to the end of what was read may only mean: read on


def json_values(stream: BinaryIO) -> Iterator[Any]:
    """Yield the values of a top-level array, or of a sequence of values, holding one at a time.

    Raises
    ------
    InvalidSpectrum
        After the last readable value, if the text breaks off or is not JSON from there on.
    """
    decoder = json.JSONDecoder()
    source = codecs.getreader("utf-8-sig")(stream, errors="replace")
    text = source.read(_CHUNK).lstrip()
    is_array = text.startswith("[")
    position, at_end = int(is_array), False
    while True:
        position += len(text) - position - len(text[position:].lstrip(_BETWEEN_VALUES))
        if is_array and text.startswith("]", position):
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            if at_end and position == len(text) and not is_array:
                return
            if at_end or _is_broken(error, text):
                reason = "file truncated" if at_end and not _is_broken(error, text) else "not valid JSON"
                raise InvalidSpectrum(reason, error.msg) from None
            # doubling the text keeps the work linear: a long value is not tried over and over
            more = source.read(max(_CHUNK, len(text) - position))
            text, position, at_end = text[position:] + more, 0, not more
            continue
        if end == len(text) and not at_end:  # a number may go on in the next chunk
            more = source.read(_CHUNK)
            text, position, at_end = text[position:] + more, 0, not more
            continue
        position = end
        yield value


def _is_broken(error: json.JSONDecodeError, text: str) -> bool:
    """Whether more text would not help: the fault lies well inside what was read."""
    if len(text) > _MAX_VALUE:
        return True
    return error.pos < len(text) - _LONGEST_TOKEN and not error.msg.startswith("Unterminated string")
