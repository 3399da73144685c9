"""What an ingest did, from the ledger: the same after one run as after ten that were killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.ledger import Ledger
from ingest.plan import Source
from specsearch.errors import Skipped


@dataclass(frozen=True)
class Summary:
    """The outcome for the files of one call.

    Parameters
    ----------
    library : str
    n_read, n_indexed : int
        Records met in these files, and spectra of them that are in the library; the difference is
        the number of `skipped`.
    n_in_library : int
        Points in the whole library.
    n_duplicates : int
        Spectra of the whole library that repeat the SPLASH of another.
    skipped : list of Skipped
        Records that were left out.
    passed_over : list of Skipped
        Files that were not read at all.
    notes : list of (note, accession)
        What was noticed about spectra that were indexed.
    """

    library: str
    n_read: int
    n_indexed: int
    n_in_library: int
    n_duplicates: int
    skipped: list[Skipped]
    passed_over: list[Skipped]
    notes: list[tuple[str, str]]

    @property
    def complaints(self) -> list[Skipped]:
        """Everything that was left out: files, then records."""
        return [*self.passed_over, *self.skipped]

    def skipped_by_reason(self) -> list[tuple[str, int, Skipped]]:
        """Reason, how often, and the first example, files and records; most frequent first."""
        counts = Counter(item.reason for item in self.complaints)
        first: dict[str, Skipped] = {}
        for item in self.complaints:
            first.setdefault(item.reason, item)
        return [(reason, count, first[reason]) for reason, count in counts.most_common()]

    def notes_by_kind(self) -> list[tuple[str, int, str]]:
        """Note (without its detail), how often, and the first spectrum; most frequent first."""
        kinds = [(note.partition(":")[0], accession) for note, accession in self.notes]
        counts = Counter(kind for kind, _ in kinds)
        first: dict[str, str] = {}
        for kind, accession in kinds:
            first.setdefault(kind, accession)
        return [(kind, count, first[kind]) for kind, count in counts.most_common()]


def summarise(
    library: str,
    ledger: Ledger,
    sources: Sequence[Source],
    n_in_library: int,
    passed_over: Sequence[Skipped] = (),
) -> Summary:
    """Collect what the ledger says of these sources."""
    skipped: list[Skipped] = []
    notes: list[tuple[str, str]] = []
    n_read = n_indexed = 0
    for source in sources:
        read, indexed = ledger.totals(source.sha256)
        n_read += read + len(source.skipped)
        n_indexed += indexed
        skipped += [*source.skipped, *ledger.skipped(source.sha256)]
        notes += ledger.notes(source.sha256)
    n_duplicates = ledger.n_duplicates()
    return Summary(library, n_read, n_indexed, n_in_library, n_duplicates, skipped, list(passed_over), notes)
