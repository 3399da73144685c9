"""Files of strangers are read in a process of its own: what breaks, hangs or grows there harms no other.

Formats declare sizes that no file has to hold, a few kilobytes of Parquet or HDF5 gigabytes, and are
read by libraries in C: only a limit of the operating system stops all of it.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from specsearch.errors import InputFileError, InvalidSpectrum, Skipped, SpecsearchError
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.spectrum import Spectrum
from specsearch.web.bounds import within_bounds

_READERS = ("mgf", "msp", "massbank", "gnps_json", "massspecgym", "parquet", "mzml", "mzxml")
_GRACE_S = 5.0
_MOST_MEMORY = 4 << 30
_USE_THE_COMMAND_LINE = 'Read it with the command line: "specsearch search".'
# Forked from a process that has the readers in memory and nothing else; elsewhere begun anew.
_PROCESSES: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")


@dataclass(frozen=True)
class ReadingLimits:
    """Where reading ends.

    Parameters
    ----------
    n_spectra, n_skipped, n_peaks : int
        In all.
    n_peaks_each : int
        Spectra with more are skipped.
    duration_s : float
    """

    n_spectra: int
    n_skipped: int
    n_peaks: int
    n_peaks_each: int
    duration_s: float


@dataclass
class SentFile:
    """What a file held.

    Parameters
    ----------
    name : str
        As the client calls it, fit to be shown.
    spectra : list of Spectrum
    skipped : list of Skipped
    ended_by : str
        The limit, in words, after which reading ended though there is more in it; else empty.
    """

    name: str = ""
    spectra: list[Spectrum] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    ended_by: str = ""

    @property
    def is_complete(self) -> bool:
        """False where there is more in it than is read at once."""
        return not self.ended_by


def prepare_reading() -> None:
    """Have the readers in memory before the first file comes; for a process that is a server."""
    if sys.platform != "win32":
        _PROCESSES.set_forkserver_preload(
            [__name__, *(f"specsearch.spectra.readers.{name}" for name in _READERS)]
        )
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def read_apart(path: Path, limits: ReadingLimits) -> SentFile:
    """Read a file in a process of its own, which is ended when it takes too long.

    Raises
    ------
    InputFileError
        If it holds no spectra in a format that is understood, or cannot be read within the limits.
    """
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_read_and_send, args=(path, limits, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(limits.duration_s + _GRACE_S):
            raise InputFileError("It takes too long to read this file.", _USE_THE_COMMAND_LINE)
        spectra, skipped, ended_by, complaint = ours.recv()
    except EOFError:
        raise InputFileError("This file cannot be read: the reader broke.", _USE_THE_COMMAND_LINE) from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if complaint:
        raise InputFileError(*complaint)
    return SentFile("", [Spectrum(*values) for values in spectra], skipped, ended_by)


def _read_and_send(path: Path, limits: ReadingLimits, to: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which answers to its end
    _bound_memory()
    found, complaint = SentFile(), ("", "")
    try:
        found = _read(path, limits)
    except SpecsearchError as error:
        complaint = (error.message, error.next_step)
    except MemoryError:
        complaint = ("This file needs too much memory.", _USE_THE_COMMAND_LINE)
    to.send(
        (
            [_plain(one) for one in found.spectra],
            found.skipped,
            found.ended_by,
            any(complaint) and complaint,
        )
    )


def _bound_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # not everywhere
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, most))


def _plain(one: Spectrum) -> tuple[Any, ...]:
    """A spectrum as what can be sent: its arguments."""
    known = (one.accession, one.precursor_mz, one.charge, one.adduct)
    return (one.mz, one.intensity, *known, dict(one.metadata), one.notes)


def _read(path: Path, limits: ReadingLimits) -> SentFile:
    found, end = SentFile(), time.monotonic() + limits.duration_s
    for record in _records(path, limits.n_peaks_each):
        # Asked only now that there is one more: a file may hold just as many as are allowed.
        found.ended_by = _limit_reached(found, limits, time.monotonic() > end)
        if found.ended_by:
            break
        if isinstance(record, Skipped):
            found.skipped.append(record)
        else:
            found.spectra.append(record)
    return found


def _limit_reached(found: SentFile, limits: ReadingLimits, is_late: bool) -> str:
    if len(found.spectra) >= limits.n_spectra:
        return f"{limits.n_spectra:,} spectra"
    if len(found.skipped) >= limits.n_skipped:
        return f"{limits.n_skipped:,} records that cannot be used"
    if sum(map(len, found.spectra)) >= limits.n_peaks:
        return f"{limits.n_peaks:,} peaks"
    # The first is taken however long it took, so that there is something to show.
    return f"{limits.duration_s:g} seconds" if is_late and (found.spectra or found.skipped) else ""


def _records(path: Path, n_peaks_each: int) -> Iterator[Spectrum | Skipped]:
    """Records of the file; a spectrum that other requests would not take is left out."""
    for number, record in enumerate(read_spectra(path), start=1):
        if isinstance(record, Skipped):
            yield record
            continue
        try:
            if len(record) > n_peaks_each:
                raise InvalidSpectrum("too many peaks", f"{len(record):,}, allowed are {n_peaks_each:,}")
            yield within_bounds(record)
        except InvalidSpectrum as fault:
            yield Skipped("", f"record {number}", fault.reason, record.accession[:80], fault.detail)
