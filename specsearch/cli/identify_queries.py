"""Unknowns from files to shortlists, and an account of those that got none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rich.progress import Progress

from specsearch.cli.queries import WHAT_QUERIES_ARE, spectra_of
from specsearch.cli.screen import say
from specsearch.errors import InputFileError, Skipped
from specsearch.search.candidates import CandidateSearch
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION, Shortlist
from specsearch.spectra.readers import find_files

_BATCH = 64


@dataclass
class Identified:
    """What became of the queries.

    Parameters
    ----------
    bank : str
    n_molecules : int
        In the bank.
    n_asked, n_without_candidates : int
        Queries that were looked up, and those of them that nothing was found for.
    advice : str
        What would find something for the first of these.
    left_out : list of Skipped
        Queries that could not be read, or not be asked.
    notes : Counter
        How often something was noticed about a query.
    """

    bank: str
    n_molecules: int
    n_asked: int = 0
    n_without_candidates: int = 0
    advice: str = ""
    left_out: list[Skipped] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def count(self, shortlist: Shortlist, file: str, number: int) -> None:
        """Take note of one answer."""
        name = shortlist.query.accession
        if shortlist.reason:
            where = f"record {number}"
            self.left_out.append(Skipped(file, where, shortlist.reason, name, shortlist.detail))
            return
        self.n_asked += 1
        self.notes.update(shortlist.notes)
        if not len(shortlist):
            self.n_without_candidates += 1
            self.advice = self.advice or f"For {name or f'record {number}'}: {shortlist.advice}"

    def tell(self) -> None:
        """Say on stderr what was asked, what was left out and why, and what the answers are not.

        Raises
        ------
        InputFileError
            If no query could be asked at all.
        """
        counts = Counter(item.reason for item in self.left_out)
        for reason, count in counts.most_common():
            example = next(item for item in self.left_out if item.reason == reason)
            say(f"Left out, {count:,} x {reason}; for example {example}")
        for note, count in self.notes.most_common():
            say(f"Noticed, {count:,} x {note}")
        if not self.n_asked:
            raise InputFileError("There was no spectrum to look up.", WHAT_QUERIES_ARE)
        n_found = self.n_asked - self.n_without_candidates
        say(
            f"{self.n_asked:,} queries asked of the bank {self.bank!r} ({self.n_molecules:,} molecules): "
            f"{n_found:,} have candidates, {self.n_without_candidates:,} none."
        )
        if self.advice:
            say(self.advice)
        say(NOT_AN_IDENTIFICATION)


def shortlists(
    paths: Iterable[str | Path], search: CandidateSearch, outcome: Identified, bar: Progress
) -> Iterator[tuple[str, int, Shortlist]]:
    """Answer every spectrum of the files, in their order; memory holds one batch.

    Yields
    ------
    file, number, shortlist : str, int, Shortlist
        The number is that of the record in its file, from 1.
        `outcome` is brought up to date along the way.
    """
    found = find_files(paths)
    outcome.left_out += found.skipped
    queries = spectra_of(found.files, outcome.left_out)
    task = bar.add_task("looking up", total=None)
    while batch := list(islice(queries, _BATCH)):
        spectra = [spectrum for _, _, spectrum in batch]
        for (file, number, _), shortlist in zip(batch, search.search(spectra), strict=True):
            outcome.count(shortlist, file, number)
            yield file, number, shortlist
        bar.advance(task, len(batch))
