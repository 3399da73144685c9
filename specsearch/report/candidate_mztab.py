"""Shortlists as mzTab-M: what `specsearch.report.mztab` needs to know of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from specsearch.report.candidate_rows import Provenance, candidate_rows
from specsearch.report.mztab import MzTabCandidate, MzTabQuery, Value, write_mztab
from specsearch.report.mztab_metadata import MzTabSource
from specsearch.report.rows import Row
from specsearch.search.shortlists import Shortlist

_SCORES = ("score", "probability", "fingerprint_similarity", "projection_score", "logit_score")
_OF_LIST = ("confidence", "confidence_band", "ambiguity_band", "near_ties", "n_candidates")
_OF_CANDIDATE = (
    "in_90_percent_shortlist",
    "same_fingerprint",
    "same_formula",
    "library_similarity",
    "library_spectrum",
    "explained_peaks",
    "explained_intensity",
    "fragment_score",
    "main_fragments",
)

Answer = tuple[str, int, Shortlist]
"""File of a query, its number there from 1, and its shortlist."""


def write_candidate_mztab(path: Path, answers: Iterable[Answer], provenance: Provenance) -> None:
    """Write all shortlists that have a candidate to one file; the others have no row in this format.

    Parameters
    ----------
    path : Path
    answers : iterable of (str, int, Shortlist)
    provenance : Provenance

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    files: dict[str, int] = {}
    queries = list(_queries(answers, files, provenance))
    settings = (f"encoder={provenance.encoder_digest}", f"ranker={provenance.ranker}")
    source = MzTabSource(
        [Path(file) for file in files],
        provenance.bank,
        provenance.bank_digest,
        version("specsearch"),
        settings,
    )
    write_mztab(path, queries, source)


def _queries(
    answers: Iterable[Answer], files: dict[str, int], provenance: Provenance
) -> Iterator[MzTabQuery]:
    for file, number, shortlist in answers:
        run = files.setdefault(file, len(files))
        query = shortlist.query
        rows = [row for row in candidate_rows(shortlist, provenance, file) if row["adduct"] is not None]
        if not rows or query.precursor_mz is None:
            continue
        hypothesis = shortlist.candidates[0].hypothesis
        charge = query.charge or (hypothesis.adduct.charge if hypothesis is not None else 1)
        yield MzTabQuery(
            query.accession,
            run,
            f"index={number - 1}",
            query.precursor_mz,
            charge,
            [_candidate(row) for row in rows],
            notes={name: _value(rows[0][name]) for name in _OF_LIST},
        )


def _candidate(row: Row) -> MzTabCandidate:
    scores = {name: value for name in _SCORES if isinstance(value := row[name], float)}
    error, mass, rank = row["mass_error_ppm"], row["exact_mass"], row["rank"]
    assert isinstance(mass, float)  # every molecule of a bank has one
    assert isinstance(rank, int)
    return MzTabCandidate(
        rank,
        str(row["inchikey"]),
        str(row["smiles"]),
        str(row["formula"]),
        mass,
        str(row["adduct"]),
        str(row["name"] or ""),
        mass_error_ppm=error if isinstance(error, float) else None,
        scores=scores,
        notes={name: _value(row[name]) for name in _OF_CANDIDATE},
    )


def _value(value: object) -> Value:
    return value if isinstance(value, str | float | int) else None
