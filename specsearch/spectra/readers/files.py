"""From what a user names, files, folders and patterns, to a list of files with spectra."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers.detect import detect_format


class FoundFiles(NamedTuple):
    """Files to read, in a fixed order, and the files of folders and patterns that hold no spectra."""

    files: list[Path]
    skipped: list[Skipped]


def find_files(paths: Iterable[str | Path]) -> FoundFiles:
    """Expand folders (recursively) and patterns (``**`` allowed), each file once, names in order.

    A file named by itself is taken at its word; a file that merely lies in a folder is looked into, and
    left out with its reason where it holds no spectra.

    Raises
    ------
    InputFileError
        If a path does not exist or a pattern matches nothing.
    """
    found = FoundFiles([], [])
    seen: set[Path] = set()
    for path in paths:
        for file, is_named in _expanded(Path(path)):
            identity = file.resolve()
            if identity in seen:
                continue
            seen.add(identity)
            if is_named:
                found.files.append(file)
            else:
                _look_into(file, found)
    return found


def _look_into(file: Path, found: FoundFiles) -> None:
    try:
        detect_format(file)
    except InputFileError as error:
        found.skipped.append(Skipped(str(file), "whole file", "no spectra understood", detail=error.message))
    else:
        found.files.append(file)


def _expanded(path: Path) -> Iterator[tuple[Path, bool]]:
    """Files behind a path, each with whether the path names it by itself."""
    if path.is_dir():
        for file in _files_below(path):
            yield file, False
    elif path.exists():
        yield path, True
    else:
        yield from _matches(path)


def _matches(pattern: Path) -> Iterator[tuple[Path, bool]]:
    matches = sorted(glob.glob(str(pattern), recursive=True))
    if not matches:
        raise InputFileError(f"{pattern} does not exist.", "Check the path.")
    for match in matches:
        for file in _files_below(Path(match)) if os.path.isdir(match) else [Path(match)]:
            yield file, False


def _files_below(folder: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(directory, name)
