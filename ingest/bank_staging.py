"""Files of molecules to windows on disk, worked on by several processes; done windows are not done again."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

from ingest.bank_readers import read_molecules
from ingest.bank_records import Columns, MoleculeRecord
from ingest.bank_window import Keys, prepare_window
from ingest.plan import content_hash
from specsearch.chemistry.fingerprints import DEFAULT_MORGAN
from specsearch.chemistry.parents import RECIPE
from specsearch.errors import SpecsearchError

WINDOW_SIZE = 1000
_FEW_WINDOWS = 2  # starting processes takes as long as working on one


@dataclass(frozen=True)
class MoleculeSource:
    """A file of molecules and how it is to be read.

    Parameters
    ----------
    path : Path
    columns : Columns
    keys : {"check", "compute"}
        What to do with InChIKeys that it gives, see `ingest.bank_window`.
    digest : str
        Of content and all that decides what becomes of it: a renamed file is the same source.
    """

    path: Path
    columns: Columns
    keys: Keys
    digest: str

    @classmethod
    def of(cls, path: Path, columns: Columns, keys: Keys) -> MoleculeSource:
        """Look at a file.

        Raises
        ------
        InputFileError
            If it cannot be read.
        """
        told = f"{content_hash(path)}|{columns}|{keys}|{RECIPE}|{DEFAULT_MORGAN.digest()}|{WINDOW_SIZE}"
        return cls(path, columns, keys, hashlib.sha256(told.encode()).hexdigest())


@dataclass(frozen=True)
class _Job:
    """A window and the file its result goes to."""

    records: list[MoleculeRecord]
    source: MoleculeSource
    staged: Path

    def run(self) -> int:
        """Work on it; how many records it has."""
        prepare_window(self.records, str(self.source.path), self.staged, self.source.keys)
        return len(self.records)


def stage(
    source: MoleculeSource, folder: Path, n_processes: int, prepared: Callable[[int], None]
) -> list[Path]:
    """Work on all windows of a source that are not done.

    Parameters
    ----------
    source : MoleculeSource
    folder : Path
        Where results lie.
    n_processes : int
        How many work beside this one; 1 is this one alone, as it is where there is little to do.
    prepared : callable
        Told how many more records are done.

    Returns
    -------
    list of Path
        The results, in the order of the file; to be read by `ingest.bank_window.read_window`.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    SpecsearchError
        If a process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged: list[Path] = []

    def jobs() -> Iterator[_Job]:
        records = read_molecules(source.path, source.columns)
        while window := list(islice(records, WINDOW_SIZE)):
            staged.append(folder / f"{source.digest[:32]}-{len(staged):06d}.parquet")
            if staged[-1].exists():
                prepared(len(window))
            else:
                yield _Job(window, source, staged[-1])

    waiting = jobs()
    first = list(islice(waiting, _FEW_WINDOWS))
    if n_processes > 1 and len(first) == _FEW_WINDOWS:
        _run_in_processes(chain(first, waiting), n_processes, prepared)
    else:
        for job in chain(first, waiting):
            prepared(job.run())
    return staged


def _run_in_processes(jobs: Iterator[_Job], n_processes: int, prepared: Callable[[int], None]) -> None:
    """Run jobs, never more than two a process under way: memory holds no more of a file than that."""
    pool = ProcessPoolExecutor(n_processes, get_context("spawn"), initializer=_ignore_interrupts)
    try:
        under_way: set[Future[int]] = set()
        for job in jobs:
            under_way.add(pool.submit(job.run))
            if len(under_way) >= 2 * n_processes:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    prepared(future.result())
        for future in under_way:
            prepared(future.result())
    except BrokenProcessPool as error:
        raise SpecsearchError(
            "A process that reads molecules has ended, perhaps for want of memory.",
            "Run the same command again: it goes on where it was.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
