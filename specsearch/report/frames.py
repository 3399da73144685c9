"""Spectra, hits and candidates as pandas tables, under the columns of every other format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specsearch.errors import SpecsearchError
from specsearch.report.candidate_rows import CANDIDATE_COLUMNS, Provenance, candidate_rows
from specsearch.report.rows import HIT_COLUMNS, Columns, hit_rows
from specsearch.search.shortlists import Shortlist
from specsearch.search.similar import Answer
from specsearch.spectra.spectrum import Spectrum

if TYPE_CHECKING:
    from pandas import DataFrame

# Of these only the floats have a value of their own for "unknown" in numpy.
_DTYPES = {str: "string", int: "Int64", float: "float64"}


def to_pandas(
    found: Spectrum | Answer | Shortlist | Iterable[Spectrum] | Iterable[Answer] | Iterable[Shortlist],
    provenance: Provenance | None = None,
) -> DataFrame:
    """A table of spectra, of the hits of answers, or of the candidates of shortlists.

    Parameters
    ----------
    found : Spectrum, Answer, Shortlist, or iterable of one of them
    provenance : Provenance, optional
        What shortlists were made with; else these columns are empty.

    Returns
    -------
    pandas.DataFrame
        One row a spectrum, hit or candidate; see `spectra_frame`, `hits_frame`, `candidates_frame`. Without
        columns if there is nothing in it.

    Raises
    ------
    SpecsearchError
        If pandas is not installed.
    TypeError
        If things of several kinds, or of another, are in it.
    """
    items: list[Any] = [found] if isinstance(found, (Spectrum, Answer, Shortlist)) else list(found)
    kinds = {type(item) for item in items}
    if kinds <= {Spectrum}:
        return spectra_frame(items) if items else _pandas().DataFrame()
    if kinds == {Answer}:
        return hits_frame(items)
    if kinds == {Shortlist}:
        return candidates_frame(items, provenance)
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(f"a table is made of spectra, of answers or of shortlists, not of {names}")


def hits_frame(answers: Iterable[Answer]) -> DataFrame:
    """The hits of answers under `specsearch.report.rows.HIT_COLUMNS`."""
    return _frame([row for answer in answers for row in hit_rows(answer)], HIT_COLUMNS)


def candidates_frame(shortlists: Iterable[Shortlist], provenance: Provenance | None = None) -> DataFrame:
    """The candidates of shortlists under `specsearch.report.candidate_rows.CANDIDATE_COLUMNS`."""
    rows = [row for shortlist in shortlists for row in candidate_rows(shortlist, provenance)]
    return _frame(rows, CANDIDATE_COLUMNS)


def spectra_frame(spectra: Iterable[Spectrum]) -> DataFrame:
    """Spectra with all their metadata, a column a name; ``mz`` and ``intensity`` hold the arrays of peaks."""
    spectra = list(spectra)
    rows = [
        {
            **spectrum.metadata,
            "accession": spectrum.accession,
            "precursor_mz": spectrum.precursor_mz,
            "charge": spectrum.charge,
            "adduct": spectrum.adduct,
            "n_peaks": len(spectrum),
            "notes": "; ".join(spectrum.notes) or None,
        }
        for spectrum in spectra
    ]
    known = {"accession": str, "precursor_mz": float, "charge": int, "adduct": str, "n_peaks": int}
    further = {name: str for row in rows for name in row if name not in known}
    frame = _frame(rows, {**known, **further})
    frame["mz"] = [spectrum.mz for spectrum in spectra]
    frame["intensity"] = [spectrum.intensity for spectrum in spectra]
    return frame


def _frame(rows: Sequence[Mapping[str, Any]], columns: Columns) -> DataFrame:
    pandas = _pandas()
    return pandas.DataFrame(
        {
            name: pandas.Series([row.get(name) for row in rows], dtype=_DTYPES[kind])
            for name, kind in columns.items()
        }
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise SpecsearchError(
            "pandas is not installed.", "Install it with: pip install 'specsearch[notebook]'"
        ) from None
    return pandas
