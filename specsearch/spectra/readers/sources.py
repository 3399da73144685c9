"""Files as streams: gunzipped where needed, as bytes or as numbered lines of text."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from specsearch.errors import InputFileError

_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_LINE = 1 << 26  # characters; a table's row of a million peaks is less
_MOST_TIMES = 200  # that a gzip file unpacks to; texts of spectra stay far below, zeros come to 1,000
_MOST_TIMES_BINARY = 2_000  # zeros again: padding is packed to a thousandth
_HARMLESS_BYTES = 1 << 24  # whatever they were packed to


class _Unpacked(gzip.GzipFile):
    """A gzip file that ends with an error where it is a bomb: much unpacked from next to nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._most = max(_HARMLESS_BYTES, _MOST_TIMES * path.stat().st_size)
        self._so_far = 0

    def read(self, size: int | None = -1) -> bytes:
        # Never all at once: what was asked without a limit would be held before it is counted.
        if size is None or size < 0 or size > self._most:
            size = self._most + 1
        return self._counted(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._counted(super().read1(size))

    def readline(self, size: int | None = -1) -> bytes:
        limit = self._most + 1
        return self._counted(super().readline(limit if size is None or size < 0 else min(size, limit)))

    def _counted(self, unpacked: bytes) -> bytes:
        self._so_far += len(unpacked)
        if self._so_far > self._most:
            raise InputFileError(
                f"{self._path} unpacks to more than {_MOST_TIMES} times its size; it was not read further.",
                "That is how gzip bombs are made: unpack it yourself if you trust it.",
            )
        return unpacked


def require_believable(path: Path, n_bytes: int) -> None:
    """Raise if a binary file declares more numbers than its size can hold, however well they are packed.

    Raises
    ------
    InputFileError
    """
    if n_bytes > max(_HARMLESS_BYTES, _MOST_TIMES_BINARY * path.stat().st_size):
        raise InputFileError(
            f"{path} declares {n_bytes:,} bytes of numbers, far more than its size can hold.",
            "It is damaged, or was made to fill memories: write it again.",
        )


def open_binary(path: Path) -> io.BufferedReader | gzip.GzipFile:
    """Open a file for reading, unpacked if it is gzipped, whatever its name.

    Raises
    ------
    InputFileError
        If it cannot be opened.
    """
    try:
        with open(path, "rb") as stream:
            is_gzipped = stream.read(2) == _GZIP_MAGIC
        return _Unpacked(path) if is_gzipped else open(path, "rb")
    except FileNotFoundError:
        raise InputFileError(f"{path} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputFileError(f"{path} is a folder.", "Name a file in it.") from None
    except OSError as error:
        message = f"{path} cannot be opened: {error.strerror}."
        raise InputFileError(message, "Check its permissions.") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines from 1 without their ends; UTF-8, what cannot be decoded replaced.

    Raises
    ------
    InputFileError
        If a line has no end within reason: it would be held whole.
    """
    with open_binary(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace")
        for number, line in enumerate(iter(partial(text.readline, _LONGEST_LINE), ""), 1):
            if len(line) >= _LONGEST_LINE:
                raise InputFileError(f"{path} has no end of line {number}.", "Check how it was made.")
            yield number, line.rstrip("\n")
