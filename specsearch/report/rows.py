"""What an answer says, one row a hit, one column a thing: the same columns in every format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from specsearch.errors import Skipped
from specsearch.search.similar import Answer, SimilarHit
from specsearch.store.schema import Key

Value = str | int | float | None
Row = dict[str, Value]
Columns = Mapping[str, type]

_FROM_PAYLOAD = {
    Key.COMPOUND_NAME: str,
    Key.FORMULA: str,
    Key.SMILES: str,
    Key.INCHIKEY14: str,
    Key.ADDUCT: str,
    Key.PRECURSOR_MZ: float,
    Key.EXACT_MASS: float,
    Key.CHARGE: int,
    Key.ION_MODE: str,
    Key.INSTRUMENT_TYPE: str,
    Key.COLLISION_ENERGY: str,
    Key.N_PEAKS: int,
    Key.SPLASH: str,
    Key.SOURCE: str,
}

HIT_COLUMNS: Columns = MappingProxyType(
    {
        "query_file": str,
        "query": str,
        "query_precursor_mz": float,
        "rank": int,
        "spectrum_id": str,
        "library": str,
        "accession": str,
        "score": float,
        "embedding_score": float,
        "peaks_score": float,
        "losses_score": float,
        "entropy_similarity": float,
        "modified_cosine": float,
        "matched_peaks": int,
        "mass_error_ppm": float,
        **_FROM_PAYLOAD,
    }
)
"""Columns of `hit_rows` and their types; scores are larger for better, ``score`` is the one that ranks."""

SKIPPED_COLUMNS: Columns = MappingProxyType(
    {"source": str, "position": str, "accession": str, "reason": str, "detail": str}
)


def hit_rows(answer: Answer, query_file: str = "") -> Iterator[Row]:
    """The hits of one query, one row each; an unknown value is None."""
    for hit in answer.hits:
        yield {
            "query_file": query_file,
            "query": answer.query.accession,
            "query_precursor_mz": answer.query.precursor_mz,
            **_scores(hit),
            **{name: hit.payload.get(name) for name in _FROM_PAYLOAD},
        }


def _scores(hit: SimilarHit) -> Row:
    return {
        "rank": hit.rank,
        "spectrum_id": hit.spectrum_id,
        "library": hit.payload.get(Key.LIBRARY),
        "accession": hit.payload.get(Key.ACCESSION),
        "score": round(hit.score, 6),
        "embedding_score": round(hit.embedding, 6),
        "peaks_score": round(hit.peaks, 6),
        "losses_score": round(hit.losses, 6),
        "entropy_similarity": round(hit.entropy_similarity, 6),
        "modified_cosine": round(hit.modified_cosine, 6),
        "matched_peaks": hit.matched_peaks,
        "mass_error_ppm": None if hit.mass_error_ppm is None else round(hit.mass_error_ppm, 3),
    }


def skipped_row(skipped: Skipped) -> Row:
    """A record that was left out, as a row of `SKIPPED_COLUMNS`."""
    return {
        "source": skipped.source,
        "position": skipped.position,
        "accession": skipped.accession,
        "reason": skipped.reason,
        "detail": skipped.detail,
    }
