"""What pages show of answers: plain values for the templates and for the script that draws."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from specsearch.chemistry.drawings import draw_molecule
from specsearch.errors import ParseError
from specsearch.report.tables import plain, precursor_error
from specsearch.search.candidates import WINDOW
from specsearch.search.confidence import CANNOT_SAY, HIGH, LOW, MEDIUM
from specsearch.search.decision import DecisionLayer
from specsearch.search.fragment_support import explained_ions
from specsearch.search.shortlists import Candidate, Shortlist
from specsearch.search.similar import Answer, SimilarHit
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean
from specsearch.spectra.similarity import match_peaks
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.schema import Key
from specsearch.web.links import link_text

View = dict[str, Any]

BAND_WORDS = {
    HIGH: "Of lists rated so, nine in ten have the right molecule first, if the bank has it.",
    MEDIUM: "Right first in at least every second such list at its edge, if the bank has it.",
    LOW: "Right first in about every fifth such list at its edge, if the bank has it.",
    CANNOT_SAY: "The evidence does not decide: read the list as a list.",
}
_EVIDENCE_WORDS = {
    "projection": "learned projection",
    "logit": "predicted fingerprint, bit by bit",
    "cosine": "predicted fingerprint, as a whole",
    "library_similarity": "similar spectra of the libraries",
    "fragment_score": "fragments that explain peaks",
    "explained_intensity": "intensity that fragments explain",
    "mass": "mass error",
    "formula": "how many share its formula",
    "length": "length of the list",
}
_ON_A_PAGE = {  # where the command line has options, a page has fields
    "--mass ": "a mass window of ",
    "another adduct (--adduct)": "another adduct (in the settings)",
    "--adduct settles it": "the adduct in the settings settles it",
}
_N_ANNOTATED = 10


def query_view(spectrum: Spectrum) -> View:
    """What a page says of the spectrum that was asked about."""
    return {**listed_view(spectrum), "structure": structure(spectrum.metadata.get("smiles", ""))}


def listed_view(spectrum: Spectrum) -> View:
    """What a page says of one of many spectra."""
    return {
        "accession": plain(spectrum.accession),
        "name": plain(spectrum.metadata.get("compound_name", "")),
        "precursor_mz": spectrum.precursor_mz,
        "adduct": plain(spectrum.adduct or ""),
        "ion_mode": spectrum.ion_mode or "unknown ion mode",
        "n_peaks": len(spectrum),
        "link": link_text(spectrum),
        "notes": [plain(note) for note in spectrum.notes],
    }


def counted(n: int, one: str, many: str = "") -> str:
    """A number of things in words that agree with it."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def hits_view(answer: Answer) -> View:
    """Hits for the list, and peaks for the plot."""
    query = clean(answer.query, RESCORING_RECIPE)
    molecules = [hit.payload.get(Key.INCHIKEY14) for hit in answer.hits]
    first: dict[str | None, int] = {}  # rank of the first hit of each molecule
    for hit, molecule in zip(answer.hits, molecules, strict=True):
        first.setdefault(molecule, hit.rank)
    return {
        "hits": [
            {**_hit(answer.query, hit), "same_as": first[molecule] if molecule else hit.rank}
            for hit, molecule in zip(answer.hits, molecules, strict=True)
        ],
        "n_molecules": len(first) if all(molecules) else None,
        "data": {
            "query": _peaks(query, plain(answer.query.accession) or "query"),
            "others": [_mirrored(query, hit) for hit in answer.hits],
        },
    }


def _hit(query: Spectrum, hit: SimilarHit) -> View:
    payload = hit.payload
    return {
        "rank": hit.rank,
        "id": hit.spectrum_id,
        "name": plain(payload.get(Key.COMPOUND_NAME) or payload.get(Key.ACCESSION, "")),
        "structure": structure(payload.get(Key.SMILES) or ""),
        "smiles": plain(payload.get(Key.SMILES) or ""),
        "formula": plain(payload.get(Key.FORMULA) or ""),
        "adduct": plain(payload.get(Key.ADDUCT) or ""),
        "instrument": plain(payload.get(Key.INSTRUMENT_TYPE) or ""),
        "energy": plain(payload.get(Key.COLLISION_ENERGY) or ""),
        "score": hit.score,
        "precursor": _precursor(query, hit),
        "evidence": {
            "learned embedding": hit.embedding,
            "shared peaks": hit.peaks,
            "shared losses": hit.losses,
            "spectral entropy": hit.entropy_similarity,
            "modified cosine": hit.modified_cosine,
        },
        "matched_peaks": hit.matched_peaks,
    }


def _precursor(query: Spectrum, hit: SimilarHit) -> str:
    """Where a hit's precursor lies, in words: a sign could be the query's or the hit's."""
    shown = precursor_error(query, hit)  # signed as the query's
    sign, size = shown[0], shown[1:]
    if sign not in "+-":
        return "precursor unknown"
    if not float(size.split()[0]):
        return "at the query's m/z"
    return f"{size} {'below' if sign == '+' else 'above'} the query"


def _mirrored(query: Peaks, hit: SimilarHit) -> View:
    stored = Spectrum.checked(
        hit.spectrum.mz, hit.spectrum.intensity, precursor_mz=hit.payload.get(Key.PRECURSOR_MZ)
    )
    other = clean(stored, RESCORING_RECIPE)
    return {**_peaks(other, plain(hit.spectrum_id)), "pairs": match_peaks(query, other)}


def candidates_view(shortlist: Shortlist, decision: DecisionLayer | None) -> View:
    """Candidates for the list, fragments for the plot, and why the first is before the second."""
    query = clean(shortlist.query, RESCORING_RECIPE)
    rating = shortlist.rating
    return {
        "candidates": [_candidate(shortlist, one) for one in shortlist.candidates],
        "n_considered": len(shortlist),
        "band": None if rating is None else rating.band,
        "confidence": None if rating is None else rating.confidence,
        "words": "" if rating is None else BAND_WORDS[rating.band],
        "n_near_ties": None if rating is None else rating.n_near_ties,
        "why": _why(shortlist, decision),
        "notes": [plain(note) for note in shortlist.notes],
        "why_none": _why_none(shortlist),
        "data": {
            "query": _peaks(query, plain(shortlist.query.accession) or "query"),
            "others": [_explained(query, one) for one in shortlist.candidates],
        },
    }


def _why_none(shortlist: Shortlist) -> str:
    """Why there is no candidate, and what would find one."""
    text = ": ".join(part for part in (shortlist.reason, shortlist.detail) if part) or shortlist.advice
    for option, words in _ON_A_PAGE.items():
        text = text.replace(option, words)
    return text


def _candidate(shortlist: Shortlist, candidate: Candidate) -> View:
    scores, place, molecule = shortlist.scores, candidate.place, candidate.molecule
    assert scores is not None  # there is a candidate
    rating, support = shortlist.rating, candidate.support
    member = None if rating is None else rating.in_shortlist.get("90%")
    return {
        "rank": candidate.rank,
        "name": plain(molecule.name or molecule.inchikey),
        "inchikey": molecule.inchikey,
        "smiles": plain(molecule.smiles),
        "structure": structure(molecule.smiles),
        "formula": molecule.formula,
        "adduct": "" if candidate.hypothesis is None else str(candidate.hypothesis.adduct),
        "adduct_fits": bool(scores.adduct_fits[place]),
        "error_ppm": _known(scores.mass_error_ppm[place]),
        "probability": None if rating is None else float(rating.probability[place]),
        "is_in_shortlist": None if member is None else bool(member[place]),
        "fingerprint": float(scores.cosine[place]),
        "library": _known(scores.library_similarity[place]),
        "library_name": _library_name(shortlist, place),
        "n_explained": None if support is None else support.n_explained,
        "explained": None if support is None else support.explained_intensity,
        "n_same_fingerprint": candidate.n_same_fingerprint,
        "n_same_formula": candidate.n_same_formula,
    }


def _library_name(shortlist: Shortlist, place: int) -> str:
    if shortlist.neighbours is None or shortlist.scores is None or shortlist.scores.library_hit[place] < 0:
        return ""
    payload = shortlist.neighbours.hits[int(shortlist.scores.library_hit[place])].payload
    return plain(payload.get(Key.COMPOUND_NAME) or payload.get(Key.ACCESSION) or "")


def _explained(query: Peaks, candidate: Candidate) -> View:
    """The formulas of the ions that a candidate's fragments explain; of the first ones only."""
    if candidate.rank > _N_ANNOTATED or candidate.support is None or candidate.hypothesis is None:
        return {"ions": {}}
    return {"ions": explained_ions(candidate.molecule.smiles, query, candidate.hypothesis.adduct, WINDOW)}


def _why(shortlist: Shortlist, decision: DecisionLayer | None) -> list[View]:
    """What speaks for the first candidate against the second, strongest first, in log-odds."""
    if decision is None or shortlist.scores is None or len(shortlist.candidates) < 2:
        return []
    first, second = (candidate.place for candidate in shortlist.candidates[:2])
    found = [
        {"what": _EVIDENCE_WORDS[name], "difference": float(values[first] - values[second])}
        for name, values in decision.contributions(shortlist.scores).items()
    ]
    return sorted(found, key=lambda one: -abs(one["difference"]))


def structure(smiles: str) -> str:
    """A drawing as the address of an image, where nothing in it runs; empty where there is none."""
    try:
        drawing = draw_molecule(smiles, 200, 130) if smiles else ""
    except ParseError:
        drawing = ""
    return drawing and f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}"


def _peaks(peaks: Peaks, title: str) -> View:
    return {
        "title": title,
        "mz": peaks.mz.round(4).tolist(),
        "intensity": (100 * peaks.intensity / peaks.intensity.max(initial=1e-12)).round(2).tolist(),
        "precursor_mz": peaks.precursor_mz,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
