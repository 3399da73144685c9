"""Queries from files to answers, and an account of those that got none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rich.progress import Progress

from specsearch.cli.screen import say
from specsearch.errors import InputFileError, Skipped
from specsearch.search.similar import Answer, SearchSettings, SimilaritySearch
from specsearch.spectra.readers import find_files, read_spectra
from specsearch.spectra.spectrum import Spectrum

_BATCH = 256


@dataclass
class Outcome:
    """What became of the queries.

    Parameters
    ----------
    libraries : sequence of str
    n_spectra : int
        In these libraries.
    n_asked, n_without_hits : int
        Queries that were searched, and those of them that nothing was found for.
    left_out : list of Skipped
        Queries that could not be read, or not be asked.
    """

    libraries: Sequence[str]
    n_spectra: int
    n_asked: int = 0
    n_without_hits: int = 0
    left_out: list[Skipped] = field(default_factory=list)

    def tell(self, settings: SearchSettings) -> None:
        """Say on stderr how many were asked, which were left out and why, and what to try.

        Raises
        ------
        InputFileError
            If no query could be asked at all.
        """
        counts = Counter(item.reason for item in self.left_out)
        for reason, count in counts.most_common():
            example = next(item for item in self.left_out if item.reason == reason)
            say(f"Left out, {count:,} x {reason}; for example {example}")
        if not self.n_asked:
            raise InputFileError("There was no spectrum to search with.", WHAT_QUERIES_ARE)
        where = f"{', '.join(self.libraries)} ({self.n_spectra:,} spectra)"
        n_found = self.n_asked - self.n_without_hits
        say(
            f"{self.n_asked:,} queries asked of {where}: {n_found:,} have hits, {self.n_without_hits:,} none."
        )
        if self.n_without_hits:
            say(f"Where nothing was found, try {_advice(settings)}.")


WHAT_QUERIES_ARE = "Queries are MS/MS spectra with at least one peak; a file of MS1 scans alone holds none."


def _advice(settings: SearchSettings) -> str:
    steps = []
    if settings.precursor is not None:
        steps.append(f"a wider window than --precursor {settings.precursor}, or none for analogues")
    if settings.filter.required:
        steps.append("fewer conditions")
    if settings.same_ion_mode:
        steps.append("--any-ion-mode")
    return ", ".join([*steps, "another library"])


def answers(
    paths: Iterable[str | Path], search: SimilaritySearch, outcome: Outcome, bar: Progress
) -> Iterator[tuple[str, Answer]]:
    """Answer every spectrum of the files, in their order; memory holds one batch.

    Yields
    ------
    file, answer : str, Answer
        `outcome` is brought up to date along the way.
    """
    found = find_files(paths)
    outcome.left_out += found.skipped
    queries = spectra_of(found.files, outcome.left_out)
    task = bar.add_task("searching", total=None)
    while batch := list(islice(queries, _BATCH)):
        spectra = [spectrum for _, _, spectrum in batch]
        for (file, number, _), answer in zip(batch, search.search(spectra), strict=True):
            _count(outcome, answer, file, number)
            yield file, answer
        bar.advance(task, len(batch))


def spectra_of(files: Sequence[Path], left_out: list[Skipped]) -> Iterator[tuple[str, int, Spectrum]]:
    """File, number in it, and spectrum of each query that can be read; the others go to `left_out`."""
    for path in files:
        number = 0
        for number, record in enumerate(read_spectra(path), start=1):
            if isinstance(record, Skipped):
                left_out.append(record)
            else:
                yield str(path), number, record
        if not number:
            left_out.append(Skipped(str(path), "whole file", "no MS/MS spectrum in it"))


def _count(outcome: Outcome, answer: Answer, file: str, number: int) -> None:
    if answer.reason:
        outcome.left_out.append(Skipped(file, f"record {number}", answer.reason, answer.query.accession))
        return
    outcome.n_asked += 1
    outcome.n_without_hits += not answer.hits
