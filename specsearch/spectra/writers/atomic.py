"""Files that are there whole or not at all."""

from __future__ import annotations

import glob
import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

import psutil

from specsearch.errors import InputFileError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; rename it when all went well, else remove it.

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    _forget_killed(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        message = f"{path} cannot be written: {error}."
        raise InputFileError(message, "Check the folder and its free space.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _forget_killed(path: Path) -> None:
    """Remove what processes that are no more had begun to write."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        writer = left.name.removesuffix(".part").rpartition(".")[2]
        if writer.isdigit() and not psutil.pid_exists(int(writer)):
            left.unlink(missing_ok=True)


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """A stream of UTF-8 text that becomes `path` when it is complete; gzipped if the name ends in ``.gz``."""
    with replacing(path) as temporary:
        open_text = gzip.open if path.suffix == ".gz" else open
        with open_text(temporary, "wt", encoding="utf-8", newline="\n") as text:
            yield cast(TextIO, text)
