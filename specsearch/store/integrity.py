"""The manifest: what the files of a closed library looked like.

The engine loads a truncated or missing vector file without a word and finds half or nothing, so every
file is compared with the manifest before the engine sees it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from specsearch.errors import StoreDamaged, StoreFull

MANIFEST = "manifest.json"
CONTRACT = "contract.json"
SHARD = "shard"
TURN = "turn.json"  # not under the manifest's care: it is written while the rest stays as it is
_CHUNK_BYTES = 2**22
_BEGUN = ".atomicwrite*"  # folders in which the engine begins files, also when it loads
_NEXT_STEP = "Index the library again from its files, or bring the folder back from a backup."


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all, durably.

    Raises
    ------
    StoreFull
        If there is no space left for it.
    """
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("w", encoding="utf-8") as handle:
            json.dump(values, handle, indent=1, sort_keys=True)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreFull(f"The disk of {path} is full.", "Free some space and try again.") from error
    _sync_folder(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of the store.

    Raises
    ------
    StoreDamaged
        If it is missing or not a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreDamaged(f"The library's file {path} is missing.", _NEXT_STEP) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise StoreDamaged(f"The library's file {path} is not readable: {error}.", _NEXT_STEP) from error
    if not isinstance(values, dict):
        raise StoreDamaged(f"The library's file {path} is not a JSON object.", _NEXT_STEP)
    return values


def mark_open(library: Path) -> None:
    """Say that a writer is at work: until the next seal, the engine's own log vouches for the data."""
    write_json(library / MANIFEST, {"state": "open"})


def seal(library: Path) -> None:
    """Write down size and checksum of every file of a closed library."""
    files = _files(library)
    with ThreadPoolExecutor() as pool:  # zlib lets go of the GIL
        checksums = pool.map(_checksum, files.values())
        entries = {
            name: {"size": files[name].stat().st_size, "crc32": crc}
            for name, crc in zip(files, checksums, strict=True)
        }
    write_json(library / MANIFEST, {"state": "closed", "files": entries})


def verify(library: Path) -> bool:
    """Compare a library with its manifest; what a killed engine had begun to write is cleared away.

    Returns
    -------
    bool
        False if the last writer did not close it, so that there is nothing to compare with; the
        engine recovers from its log.

    Raises
    ------
    StoreDamaged
        Naming the first file that is missing, new or changed.
    """
    manifest = read_json(library / MANIFEST)
    if manifest.get("state") == "open":
        return False
    entries = manifest.get("files")
    if manifest.get("state") != "closed" or not isinstance(entries, dict):
        raise StoreDamaged(f"The manifest {library / MANIFEST} makes no sense.", _NEXT_STEP)
    for begun in list((library / SHARD).rglob(_BEGUN)):
        shutil.rmtree(begun, ignore_errors=True)
    files = _files(library)
    for name in sorted(entries.keys() ^ files.keys()):
        fault = "is missing" if name in entries else "does not belong there"
        raise StoreDamaged(f"The library's file {library / name} {fault}.", _NEXT_STEP)
    with ThreadPoolExecutor() as pool:
        checksums = pool.map(_checksum, files.values())
        for (name, path), crc in zip(files.items(), checksums, strict=True):
            if entries[name] != {"size": path.stat().st_size, "crc32": crc}:
                raise StoreDamaged(f"The library's file {path} is not what was written.", _NEXT_STEP)
    return True


def _files(library: Path) -> dict[str, Path]:
    """The files under the manifest's care by relative name: the contract and everything of the shard."""
    paths = [library / CONTRACT, *(library / SHARD).rglob("*")]
    return {path.relative_to(library).as_posix(): path for path in sorted(paths) if path.is_file()}


def _checksum(path: Path) -> int:
    """CRC-32 of a file; of the sorted form of a JSON file, since the engine reorders its keys on load."""
    if path.suffix == ".json":
        try:
            return zlib.crc32(json.dumps(json.loads(path.read_bytes()), sort_keys=True).encode())
        except ValueError:
            return zlib.crc32(path.read_bytes())
    crc = 0
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc


def _sync_folder(folder: Path) -> None:
    """Make new names in a folder durable (the step after `os.replace`)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
