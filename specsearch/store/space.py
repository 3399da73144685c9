"""Free space, looked at before the engine needs it: a full disk kills the process without an exception."""

from __future__ import annotations

import shutil
from pathlib import Path

from specsearch.errors import StoreError, StoreFull

# The engine allocates its pages ahead (four of 32 MiB in an empty shard, two of the log).
FLOOR_BYTES = 256 * 2**20
SAFETY = 2


def require_free_space(folder: Path, n_bytes: int) -> None:
    """Raise unless twice `n_bytes`, and a floor, are free on the disk of `folder`, there or to be made.

    Raises
    ------
    StoreFull
        Saying how much is missing.
    """
    needed = needed_bytes(n_bytes)
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StoreFull(
            f"The disk of {folder} has {free / 1e6:.0f} MB free; {needed / 1e6:.0f} MB are needed to go on "
            "safely.",
            "Free some space and run the same command again; what was stored so far is kept.",
        )


def needed_bytes(n_bytes: int) -> int:
    """How much must be free before `n_bytes` are written."""
    return SAFETY * n_bytes + FLOOR_BYTES


def used_bytes(folder: Path) -> int:
    """Bytes on disk of all files below a folder (sparse files count what they occupy)."""
    try:
        return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise StoreError(f"The folder {folder} cannot be read: {error.strerror}.") from error
