"""What became of the files given to a bank, kept with the bank: the same after one run as after ten."""

from __future__ import annotations

import glob
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ingest.bank_readers import is_molecule_file
from ingest.bank_window import WindowReport
from specsearch.errors import InputFileError, Skipped
from specsearch.store.integrity import write_json


@dataclass
class SourceReport:
    """One file of molecules.

    Parameters
    ----------
    name : str
        As the user named it.
    n_read, n_used : int
        Records, and those of them that are molecules a bank can hold.
    n_keys_taken, n_keys_wrong : int
        InChIKeys taken as the file gives them; and keys of a sample that were found to be another's.
    skipped : list of Skipped
        The other records.
    """

    name: str
    n_read: int = 0
    n_used: int = 0
    n_keys_taken: int = 0
    n_keys_wrong: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, report: WindowReport) -> None:
        """Add the report of a window."""
        self.n_read += report.n_read
        self.n_used += report.n_read - len(report.skipped)
        self.n_keys_taken += report.n_keys_taken
        self.n_keys_wrong += report.n_keys_wrong
        self.skipped += report.skipped

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> SourceReport:
        """Read what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "skipped": [Skipped(**item) for item in values["skipped"]]})


@dataclass(frozen=True)
class BankSummary:
    """The outcome for the files of one call.

    Parameters
    ----------
    bank : str
    sources : list of SourceReport
    n_in_bank, n_new : int
        Molecules in the bank now, and how many of them it had not before.
    passed_over : list of Skipped
        Files that were not read.
    """

    bank: str
    sources: list[SourceReport]
    n_in_bank: int
    n_new: int
    passed_over: list[Skipped]

    @property
    def complaints(self) -> list[Skipped]:
        """Everything that was left out: files, then records."""
        return [*self.passed_over, *(item for source in self.sources for item in source.skipped)]

    def skipped_by_reason(self) -> list[tuple[str, int, Skipped]]:
        """Reason, how often, and the first example; most frequent first."""
        first: dict[str, Skipped] = {}
        for item in self.complaints:
            first.setdefault(item.reason, item)
        counts = Counter(item.reason for item in self.complaints)
        return [(reason, count, first[reason]) for reason, count in counts.most_common()]


def find_molecule_files(paths: Iterable[str | Path]) -> tuple[list[Path], list[Skipped]]:
    """Files behind files, folders (recursively) and patterns, each once; and those that are no molecules.

    A file named by itself is taken at its word, see `ingest.bank_readers.read_molecules`.

    Raises
    ------
    InputFileError
        If a path does not exist or a pattern matches nothing.
    """
    found: dict[Path, Path] = {}
    skipped = []
    for path in paths:
        for file, is_named in _expanded(Path(path)):
            if is_named or is_molecule_file(file):
                found.setdefault(file.resolve(), file)
            else:
                skipped.append(Skipped(str(file), "whole file", "no molecules understood"))
    return list(found.values()), skipped


def _expanded(path: Path) -> Iterator[tuple[Path, bool]]:
    if path.is_file():
        yield path, True
        return
    matches = [path] if path.is_dir() else [Path(match) for match in sorted(glob.glob(str(path)))]
    if not matches:
        raise InputFileError(f"{path} does not exist.", "Check the path.")
    for match in matches:
        for file in sorted(match.rglob("*")) if match.is_dir() else [match]:
            if file.is_file():
                yield file, False
