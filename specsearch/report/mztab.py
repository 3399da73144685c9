"""Candidate shortlists as mzTab-M 2.0, the format of the Proteomics and Metabolomics Standards Initiatives.

One row of the small-molecule table (SML) and of the feature table (SMF) a query, one row of the evidence
table (SME) a candidate. The candidates stay what they are: alternatives, marked as ambiguous (code 1) at
reliability level 3, "tentative candidates". Nothing is quantified, and the file says so.

Source: mzTab format specification 2.0 for metabolomics, HUPO-PSI (2019); Hoffmann et al., Analytical
Chemistry 91, 3302 (2019).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from specsearch.chemistry.adducts import parse_adduct
from specsearch.errors import ParseError
from specsearch.report.mztab_metadata import MASS_ERROR, NULL, MzTabSource, metadata_lines, parameter, plain
from specsearch.spectra.writers.atomic import replacing_text

# As the specification prescribes it; what does not fit (radicals, for example) is given as null.
_ADDUCT = re.compile(r"\[\d*M([+-]\w+)*\]\d*[+-]")
_COLUMN = re.compile(r"[^A-Za-z0-9_]+")
_TENTATIVE, _MASS_ONLY = "3", "5"  # levels of MS:1002955 (Schymanski et al., ES&T 48, 2097 (2014))
_AMBIGUOUS = "1"

Value = str | float | int | None
Lines = Iterator[Sequence[str]]


@dataclass(frozen=True)
class MzTabCandidate:
    """One candidate of a query.

    Parameters
    ----------
    rank : int
        From 1; equal for candidates that cannot be told apart.
    inchikey, smiles, formula : str
    exact_mass : float
        Da.
    adduct : str
        Bracket notation, of this candidate's hypothesis.
    name, inchi : str
        Empty where unknown.
    mass_error_ppm : float or None
        Signed.
    scores : mapping of str to float
        The same names for every candidate of a file, the one that ranks first.
    notes : mapping of str to str, float, int or None
        Whatever else is said of it: confidence band, explained peaks, evidence; optional columns.
    """

    rank: int
    inchikey: str
    smiles: str
    formula: str
    exact_mass: float
    adduct: str
    name: str = ""
    inchi: str = ""
    mass_error_ppm: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class MzTabQuery:
    """One query with its shortlist.

    Parameters
    ----------
    accession : str
    run : int
        Which of the source's files, from 0.
    spectrum_ref : str
        The spectrum in its file as the file's format counts, e.g. ``"index=5"`` (MGF) or ``"scan=17"``.
    precursor_mz : float
    charge : int
        Signed; its sign is the ion mode.
    candidates : sequence of MzTabCandidate
        Best first; may be empty.
    retention_time_s : float or None
    notes : mapping of str to str, float, int or None
        Of the whole list, e.g. its confidence band; optional columns.
    """

    accession: str
    run: int
    spectrum_ref: str
    precursor_mz: float
    charge: int
    candidates: Sequence[MzTabCandidate]
    retention_time_s: float | None = None
    notes: Mapping[str, Value] = field(default_factory=dict)


def write_mztab(path: Path, queries: Sequence[MzTabQuery], source: MzTabSource) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    path : Path
    queries : sequence of MzTabQuery
    source : MzTabSource
        The files that were asked about, the bank, and what asked.

    Raises
    ------
    InputFileError
        If the file cannot be written.
    ParseError
        If an adduct is not understood: its candidate would have no theoretical m/z.
    """
    scores = list(dict.fromkeys(name for query in queries for c in query.candidates for name in c.scores))
    polarities = [
        sorted({query.charge > 0 for query in queries if query.run == run}, reverse=True)
        for run in range(len(source.files))
    ]
    sections = (_summaries, _features, _evidence)
    with replacing_text(path) as stream:
        stream.writelines(f"{line}\n" for line in metadata_lines(source, polarities, scores))
        for section in sections:
            stream.write("\n")
            stream.writelines("\t".join(cells) + "\n" for cells in section(queries, source, scores))


def _summaries(queries: Sequence[MzTabQuery], source: MzTabSource, scores: Sequence[str]) -> Lines:
    """The SML table: alternatives side by side, separated by bars."""
    runs = range(1, len(source.files) + 1)
    notes = _names(query.notes for query in queries)
    head = "SMH SML_ID SMF_ID_REFS database_identifier chemical_formula smiles inchi chemical_name uri"
    head += " theoretical_neutral_mass adduct_ions reliability best_id_confidence_measure"
    head += " best_id_confidence_value"
    abundances = [f"abundance_assay[{run}]" for run in runs]
    abundances += ["abundance_study_variable[1]", "abundance_variation_study_variable[1]"]
    yield [*head.split(), *abundances, "opt_global_query", *map(_column, notes)]
    for number, query in enumerate(queries, start=1):
        listed = query.candidates
        best = listed[0].scores.get(scores[0]) if listed and scores else None
        yield [
            "SML",
            str(number),
            str(number),
            _bars(listed, lambda c: source.identifier(c.inchikey)),
            _bars(listed, lambda c: c.formula),
            _bars(listed, lambda c: c.smiles),
            _bars(listed, lambda c: c.inchi),
            _bars(listed, lambda c: c.name),
            NULL,
            _bars(listed, lambda c: _text(c.exact_mass)),
            "|".join(dict.fromkeys(_adduct(c) for c in listed if _adduct(c) != NULL)) or NULL,
            _TENTATIVE if listed else _MASS_ONLY,
            NULL if best is None else parameter(scores[0]),
            _text(best),
            *[NULL] * len(abundances),
            _text(query.accession),
            *(_text(query.notes.get(name)) for name in notes),
        ]


def _features(queries: Sequence[MzTabQuery], source: MzTabSource, scores: Sequence[str]) -> Lines:
    """The SMF table: the precursor that was measured."""
    runs = range(1, len(source.files) + 1)
    head = "SFH SMF_ID SME_ID_REFS SME_ID_REF_ambiguity_code adduct_ion isotopomer exp_mass_to_charge charge"
    head += " retention_time_in_seconds retention_time_in_seconds_start retention_time_in_seconds_end"
    yield [*head.split(), *(f"abundance_assay[{run}]" for run in runs)]
    first = 1
    for number, query in enumerate(queries, start=1):
        evidence = range(first, first + len(query.candidates))
        first = evidence.stop
        adducts = {_adduct(candidate) for candidate in query.candidates}
        yield [
            "SMF",
            str(number),
            "|".join(map(str, evidence)) or NULL,
            _AMBIGUOUS if len(evidence) > 1 else NULL,
            adducts.pop() if len(adducts) == 1 else NULL,
            NULL,
            _text(query.precursor_mz),
            str(abs(query.charge)),
            _text(query.retention_time_s),
            *[NULL] * (2 + len(runs)),
        ]


def _evidence(queries: Sequence[MzTabQuery], source: MzTabSource, scores: Sequence[str]) -> Lines:
    """The SME table: each candidate with its rank and scores."""
    notes = _names(candidate.notes for query in queries for candidate in query.candidates)
    head = "SEH SME_ID evidence_input_id database_identifier chemical_formula smiles inchi chemical_name uri"
    head += " derivatized_form adduct_ion exp_mass_to_charge charge theoretical_mass_to_charge spectra_ref"
    head += " identification_method ms_level"
    measures = [f"id_confidence_measure[{number}]" for number in range(1, max(1, len(scores)) + 1)]
    yield [*head.split(), *measures, "rank", MASS_ERROR, "opt_global_inchikey", *map(_column, notes)]
    number = 0
    for query in queries:
        reference = f"ms_run[{query.run + 1}]:{plain(query.spectrum_ref)}"
        for candidate in query.candidates:
            number += 1
            values = [candidate.scores.get(name) for name in scores] or [None]
            yield [
                "SME",
                str(number),
                reference,
                source.identifier(candidate.inchikey),
                *map(_text, (candidate.formula, candidate.smiles, candidate.inchi, candidate.name)),
                NULL,
                NULL,
                _adduct(candidate),
                _text(query.precursor_mz),
                str(abs(query.charge)),
                _text(float(parse_adduct(candidate.adduct).precursor_mz(candidate.exact_mass))),
                reference,
                parameter("specsearch", source.version),
                "[MS, MS:1000511, ms level, 2]",
                *map(_text, values),
                str(candidate.rank),
                _text(candidate.mass_error_ppm),
                _text(candidate.inchikey),
                *(_text(candidate.notes.get(name)) for name in notes),
            ]


def _text(value: Value) -> str:
    """A cell: numbers without exponent, null for what is unknown or empty."""
    if value is None or value == "":
        return NULL
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else "NaN"
    return plain(str(value))


def _bars(candidates: Sequence[MzTabCandidate], of: Callable[[MzTabCandidate], str]) -> str:
    """One entry for each candidate, separated by bars; null where none has any."""
    cells = [_text(of(candidate)).replace("|", "/") for candidate in candidates]
    return "|".join(cells) if set(cells) - {NULL} else NULL


def _adduct(candidate: MzTabCandidate) -> str:
    try:
        text = str(parse_adduct(candidate.adduct))
    except ParseError:
        return NULL
    return text if _ADDUCT.fullmatch(text) else NULL


def _names(notes: Iterator[Mapping[str, Value]]) -> list[str]:
    return list(dict.fromkeys(name for one in notes for name in one))


def _column(name: str) -> str:
    return f"opt_global_{_COLUMN.sub('_', name).strip('_')}"
