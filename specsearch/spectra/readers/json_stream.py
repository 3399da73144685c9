"""JSON values one at a time: the elements of a top-level array, or values that follow one another."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from specsearch.errors import InvalidSpectrum

_CHUNK = 1 << 20
MAX_VALUE = 1 << 26  # characters; a million peaks are less
_GAP = re.compile(r"[ \t\r\n,]*")
_LONGEST_TOKEN = 64  # an error this close to the end of what was read may only mean: read on


def json_values(stream: IO[bytes] | io.BufferedIOBase) -> Iterator[Any]:
    """Yield the values, holding one at a time.

    Raises
    ------
    InvalidSpectrum
        After the last readable value, if the text breaks off or is not JSON from there on.
    """
    decoder = json.JSONDecoder()
    source = codecs.getreader("utf-8-sig")(stream, "replace")
    text = source.read(_CHUNK).lstrip()
    is_array = text.startswith("[")
    position, at_end = int(is_array), False
    while True:
        position = _GAP.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text too
        if text.startswith("]", position) if is_array else (at_end and position == len(text)):
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            _require_unfinished(error, text, at_end=at_end)
        else:
            if end < len(text) or at_end:
                position = end
                yield value
                continue
        # doubling what is held keeps the work linear: a long value is not tried over and over
        more = source.read(max(_CHUNK, len(text) - position))
        text, position, at_end = text[position:] + more, 0, not more


def _require_unfinished(error: Exception, text: str, *, at_end: bool) -> None:
    """Return if more text may mend the error, which lies at the end of what was read.

    Raises
    ------
    InvalidSpectrum
        If it would not.
    """
    if not isinstance(error, json.JSONDecodeError):
        detail = (
            "nested too deeply" if isinstance(error, RecursionError) else "a number of thousands of digits"
        )
        raise InvalidSpectrum("not valid JSON", detail) from None
    is_open = error.msg.startswith("Unterminated string") or error.pos >= len(text) - _LONGEST_TOKEN
    if at_end and is_open:
        raise InvalidSpectrum("file truncated", error.msg) from None
    if not is_open or len(text) > MAX_VALUE:
        raise InvalidSpectrum("not valid JSON", error.msg) from None
