"""Spectra, answers and shortlists in a line each, for lists of them and for terminals."""

from __future__ import annotations

from specsearch.report.tables import describe_spectrum, plain
from specsearch.search.shortlists import Shortlist
from specsearch.search.similar import Answer
from specsearch.spectra.spectrum import Spectrum


def spectrum_line(spectrum: Spectrum) -> str:
    """Name, precursor, number of peaks, structure."""
    return f"Spectrum({describe_spectrum(spectrum)})"


def answer_line(answer: Answer) -> str:
    """The query's name, how many hits there are, and the best."""
    found = answer.reason or f"{len(answer.hits)} hits"
    if answer.hits:
        found += f", best {answer.hits[0].spectrum_id} with {answer.hits[0].score:.3f}"
    return plain(f"Answer({answer.query.accession}: {found})")


def shortlist_line(shortlist: Shortlist) -> str:
    """The query's name, how many candidates there are, the first, and how sure that is."""
    found = shortlist.reason or f"{len(shortlist)} candidates"
    if shortlist.candidates:
        first = shortlist.candidates[0].molecule
        found += f", first {first.name or first.inchikey14}"
    if shortlist.rating is not None:
        found += f", confidence {shortlist.rating.band}"
    return plain(f"Shortlist({shortlist.query.accession}: {found})")
