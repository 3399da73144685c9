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
        Records met in these files, and spectra of them that are in the library.
    n_in_library : int
        Points in the whole library.
    n_duplicates : int
        Spectra of the whole library that repeat the SPLASH of another.
    skipped : list of Skipped
    notes : list of (note, accession)
        What was noticed about spectra that were indexed.
    """

    library: str
    n_read: int
    n_indexed: int
    n_in_library: int
    n_duplicates: int
    skipped: list[Skipped]
    notes: list[tuple[str, str]]

    def skipped_by_reason(self) -> list[tuple[str, int, Skipped]]:
        """Reason, how often, and the first example; most frequent first."""
        counts = Counter(item.reason for item in self.skipped)
        first: dict[str, Skipped] = {}
        for item in self.skipped:
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
    """Collect what the ledger says of these sources; `passed_over` are files that were not read at all."""
    skipped, notes = list(passed_over), []
    n_read = n_indexed = 0
    for source in sources:
        read, indexed = ledger.totals(source.sha256)
        n_read += read + len(source.skipped)
        n_indexed += indexed
        skipped += [*source.skipped, *ledger.skipped(source.sha256)]
        notes += ledger.notes(source.sha256)
    return Summary(library, n_read, n_indexed, n_in_library, ledger.n_duplicates(), skipped, notes)
