"""What a shortlist says, one row a candidate, one column a thing: the same columns in every format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

import numpy as np

from specsearch.report.rows import Columns, Row
from specsearch.search.decision import DecisionLayer
from specsearch.search.shortlists import Candidate, Shortlist
from specsearch.store.bank import Bank
from specsearch.store.schema import Key

_RULE = "rule: z(projection) + z(logit) + mass"


@dataclass(frozen=True)
class Provenance:
    """What an answer was made with: names of the bank and the ranking, digests of encoder and bank."""

    bank: str
    bank_digest: str
    encoder_digest: str
    ranker: str


def made_by(bank: Bank, encoder_digest: str, decision: DecisionLayer | None) -> Provenance:
    """What answers from a bank are made with; without a decision layer a fixed rule ranks."""
    ranker = _RULE if decision is None else decision.digest
    return Provenance(bank.name, bank.card.digest, encoder_digest, ranker)


_COVERAGE, _MEMBER = "90%", "in_90_percent_shortlist"
CANDIDATE_COLUMNS: Columns = MappingProxyType(
    {
        "query_file": str,
        "query": str,
        "query_precursor_mz": float,
        "n_candidates": int,
        "rank": int,
        "smiles": str,
        "name": str,
        "inchikey": str,
        "formula": str,
        "exact_mass": float,
        "formal_charge": int,
        "rdkit_valid": str,
        "adduct": str,
        "adduct_origin": str,
        "adduct_fits_ion_mode": str,
        "adduct_fits_structure": str,
        "mass_error_ppm": float,
        "mass_error_da": float,
        "score": float,
        "probability": float,
        "confidence": float,
        "confidence_band": str,
        "ambiguity_band": str,
        "near_ties": int,
        "same_fingerprint": int,
        "same_formula": int,
        "in_90_percent_shortlist": str,
        "fingerprint_similarity": float,
        "projection_score": float,
        "logit_score": float,
        "reranker_score_experimental": float,
        "library_similarity": float,
        "library_spectrum": str,
        "library_molecule": str,
        "explained_peaks": int,
        "explained_intensity": float,
        "fragment_score": float,
        "main_fragments": str,
        "notes": str,
        "bank": str,
        "bank_digest": str,
        "encoder_digest": str,
        "ranker": str,
    }
)
"""Columns of `candidate_rows` and their types; larger scores are better, ``score`` is what ranks."""

SELECTIVE_COLUMNS: Columns = MappingProxyType(
    {"query_id": str, "candidate_id": str, "rank": int, "score": float}
)
"""What tools for selective prediction read; a candidate goes by the first block of its InChIKey."""


def candidate_rows(
    shortlist: Shortlist, provenance: Provenance | None, query_file: str = ""
) -> Iterator[Row]:
    """The candidates of one query, one row each; an unknown value is None."""
    made_with = asdict(provenance) if provenance else {part.name: None for part in fields(Provenance)}
    for candidate in shortlist.candidates:
        yield {
            "query_file": query_file,
            "query": shortlist.query.accession,
            "query_precursor_mz": shortlist.query.precursor_mz,
            "n_candidates": len(shortlist),
            "rank": candidate.rank,
            **_molecule(candidate),
            **_precursor(shortlist, candidate),
            **_scores(shortlist, candidate),
            **_rating(shortlist, candidate),
            **_library(shortlist, candidate),
            "notes": "; ".join(shortlist.notes) or None,
            **made_with,
        }


def selective_rows(shortlist: Shortlist) -> Iterator[Row]:
    """The candidates of one query in four columns."""
    for candidate in shortlist.candidates:
        yield {
            "query_id": shortlist.query.accession,
            "candidate_id": candidate.molecule.inchikey14,
            "rank": candidate.rank,
            "score": round(candidate.score, 6),
        }


def _molecule(candidate: Candidate) -> Row:
    molecule = candidate.molecule
    return {
        "smiles": molecule.smiles,
        "name": molecule.name or None,
        "inchikey": molecule.inchikey,
        "formula": molecule.formula,
        "exact_mass": round(molecule.exact_mass, 6),
        "formal_charge": molecule.formal_charge,
        "rdkit_valid": "yes",  # a bank takes in nothing that RDKit cannot sanitise
    }


def _precursor(shortlist: Shortlist, candidate: Candidate) -> Row:
    """How the candidate agrees with the precursor; errors are those of the neutral mass."""
    hypothesis = candidate.hypothesis
    names = ("adduct", "adduct_origin", "adduct_fits_ion_mode", "adduct_fits_structure")
    if hypothesis is None or shortlist.scores is None:
        return dict.fromkeys((*names, "mass_error_ppm", "mass_error_da"))
    mode = shortlist.query.ion_mode
    fits_mode = "unknown" if mode is None else _yes(not hypothesis.adduct.contradicts(mode))
    return {
        "adduct": str(hypothesis.adduct),
        "adduct_origin": "given" if hypothesis.is_given else "assumed",
        "adduct_fits_ion_mode": fits_mode,
        "adduct_fits_structure": _yes(bool(shortlist.scores.adduct_fits[candidate.place])),
        "mass_error_ppm": _rounded(shortlist.scores.mass_error_ppm[candidate.place], 3),
        "mass_error_da": round(hypothesis.exact_mass - candidate.molecule.exact_mass, 6),
    }


def _scores(shortlist: Shortlist, candidate: Candidate) -> Row:
    scores, place, support = shortlist.scores, candidate.place, candidate.support
    assert scores is not None  # there is a candidate
    return {
        "score": round(candidate.score, 6),
        "fingerprint_similarity": _rounded(scores.cosine[place]),
        "projection_score": _rounded(scores.projection[place]),
        "logit_score": _rounded(scores.logit[place]),
        "reranker_score_experimental": _rounded(scores.reranker[place]),
        "explained_peaks": None if support is None else support.n_explained,
        "explained_intensity": _rounded(scores.explained_intensity[place]),
        "fragment_score": _rounded(scores.fragment_score[place]),
        "main_fragments": None if support is None else support.note or None,
    }


def _rating(shortlist: Shortlist, candidate: Candidate) -> Row:
    """How sure the list is, and what cannot be told apart."""
    rating = shortlist.rating
    alike = {"same_fingerprint": candidate.n_same_fingerprint, "same_formula": candidate.n_same_formula}
    names = ("probability", "confidence", "confidence_band", "ambiguity_band", "near_ties", _MEMBER)
    if rating is None:
        return {**dict.fromkeys(names), **alike}
    member = rating.in_shortlist.get(_COVERAGE)
    return {
        "probability": _rounded(rating.probability[candidate.place]),
        "confidence": _rounded(rating.confidence),
        "confidence_band": rating.band,
        "ambiguity_band": rating.ambiguity,
        "near_ties": rating.n_near_ties,
        _MEMBER: None if member is None else _yes(bool(member[candidate.place])),
        **alike,
    }


def _library(shortlist: Shortlist, candidate: Candidate) -> Row:
    scores, neighbours = shortlist.scores, shortlist.neighbours
    if scores is None or neighbours is None or scores.library_hit[candidate.place] < 0:
        return dict.fromkeys(("library_similarity", "library_spectrum", "library_molecule"))
    hit = neighbours.hits[int(scores.library_hit[candidate.place])]
    payload: Mapping[str, str] = hit.payload
    return {
        "library_similarity": _rounded(scores.library_similarity[candidate.place]),
        "library_spectrum": hit.spectrum_id,
        "library_molecule": payload.get(Key.COMPOUND_NAME) or payload.get(Key.SMILES),
    }


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _rounded(value: float, n_decimals: int = 6) -> float | None:
    return None if np.isnan(value) else round(float(value), n_decimals)
