"""Files as streams: gunzipped where needed, as bytes or as numbered lines of text."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

from specsearch.errors import InputFileError

_GZIP_MAGIC = b"\x1f\x8b"


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
        return gzip.GzipFile(path) if is_gzipped else open(path, "rb")
    except FileNotFoundError:
        raise InputFileError(f"{path} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputFileError(f"{path} is a folder.", "Name a file in it.") from None
    except OSError as error:
        message = f"{path} cannot be opened: {error.strerror}."
        raise InputFileError(message, "Check its permissions.") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines from 1 without their ends; UTF-8, what cannot be decoded replaced."""
    with open_binary(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace")
        for number, line in enumerate(text, 1):
            yield number, line.rstrip("\n")
