"""What indexing files would do, found out on a copy of the library's ledger: no library is touched."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.ledger import Ledger
from ingest.ledger_copy import copy_ledger
from ingest.names import Duplicates, Names
from specsearch.errors import Skipped
from specsearch.spectra.readers import read_spectra

NEW = "new"
_AT_ONCE = 2_048
_TRIAL = "trial"


@contextmanager
def trial_ledger(path: Path | None) -> Iterator[Ledger]:
    """A ledger to try on: a copy as the next indexing would find it, or an empty one."""
    with TemporaryDirectory(prefix="specsearch-") as folder:
        copied = Path(folder) / "ledger.sqlite"
        if path is not None:
            _copy(path, copied)
        with Ledger(copied) as ledger:
            ledger.forget_unfinished()
            yield ledger


def _copy(path: Path, target: Path) -> None:
    if path.with_name(path.name + "-wal").exists():  # somebody has it open, or was killed
        copy_ledger(path, target)
    else:
        shutil.copyfile(path, target)  # SQLite would leave files of its own beside it


def try_file(path: Path, ledger: Ledger, duplicates: Duplicates = "keep") -> Counter[str]:
    """Read a file and count its records: `NEW`, and the others by the reason why they would be left out.

    Parameters
    ----------
    path : Path
    ledger : Ledger
        To try on; is told what was new, as files that come after are to know it.
    duplicates : {"keep", "collapse"}
        As in `ingest.index.index_files`.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    counts: Counter[str] = Counter()
    records, names = iter(read_spectra(path)), Names(ledger, duplicates)
    while some := list(islice(records, _AT_ONCE)):
        counts.update(record.reason for record in some if isinstance(record, Skipped))
        named = list(names.give([record for record in some if not isinstance(record, Skipped)]))
        claims = [one.claim for one in named if one.claim is not None]
        ledger.claim(_TRIAL, claims)
        counts[NEW] += len(claims)
        counts.update(one.reason for one in named if one.claim is None)
    return counts
