"""Test split: does a spectrum find its molecule as another contributor measured it, within 10 ppm?

Pool of a query: all clean test spectra of other contributors in the same ion mode within 10 ppm of its
precursor, at least one of them of its molecule. "Contested" pools also hold another molecule; the others
cannot be answered wrongly and are reported beside them. Share of queries with a partner at rank 1, ties
broken at random, averaged per molecule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.circumstances import write_result
from benchmarks.massbank import FILE, embed
from benchmarks.rivals import GreedyCosine
from benchmarks.script import arguments, print_table
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput, token_input
from specsearch.encoder.training.examples import is_clean
from specsearch.evaluation.direct_scores import ALL_VECTORS, DirectScores, Vectors
from specsearch.evaluation.intervals import estimate
from specsearch.evaluation.partners import Pool, partner_first, partner_pools
from specsearch.search.fusion import FusionWeights, fuse
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.similarity import entropy_similarity, modified_cosine
from specsearch.spectra.spectrum import Spectrum

_WINDOW = Tolerance(10.0, "ppm")
_WEIGHTS = {
    "fused": FusionWeights(),
    "embedding": FusionWeights(peaks=0.0, losses=0.0),
    "sparse peaks": FusionWeights(embedding=0.0, losses=0.0),
    "sparse peaks + losses": FusionWeights(embedding=0.0),
}


@dataclass(frozen=True, eq=False)
class _Spectra:
    inputs: list[TokenInput]
    precursor_mz: NDArray[np.float64]
    positive: NDArray[np.bool_]
    contributor: NDArray[np.int64]
    molecule: NDArray[np.int64]


def main() -> None:
    """Measure and write `cross_laboratory.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--cache", type=Path, help="folder outside the repository to keep embeddings in")
    asked = parser.parse_args()
    embedder = Embedder.load(asked.model)
    spectra = _test_spectra(asked.data / FILE)
    pools = partner_pools(
        spectra.precursor_mz, spectra.positive, spectra.contributor, spectra.molecule, _WINDOW
    )
    pools = _sample(pools, asked.limit)
    found = _found(spectra, pools, embedder, asked.cache)
    contested = np.array([pool.is_contested for pool in pools])
    molecule = spectra.molecule[[pool.query for pool in pools]]
    figures: dict[str, Any] = {"definition": __doc__, "spectra": len(spectra.inputs)}
    for title, chosen in (("contested", contested), ("all", np.ones(len(pools), dtype=bool))):
        rows = [
            {"score": name, **estimate(values[chosen], molecule[chosen]).to_dict()}
            for name, values in found.items()
        ]
        sizes = [len(pool.candidates) for pool, is_chosen in zip(pools, chosen, strict=True) if is_chosen]
        print_table(f"Partner at rank 1, {title} pools (median size {np.median(sizes):g})", rows)
        figures[title] = {"rows": rows, "median_pool": float(np.median(sizes)), "queries": len(sizes)}
    write_result("cross_laboratory", asked, figures, embedder.card.digest)


def _test_spectra(path: Path) -> _Spectra:
    """The clean test spectra whose molecule and contributor are known."""
    kept = [record for record in read_parquet(path) if isinstance(record, Spectrum) and _is_wanted(record)]
    return _Spectra(
        [token_input(spectrum) for spectrum in kept],
        np.array([spectrum.precursor_mz for spectrum in kept], dtype=np.float64),
        np.array([(spectrum.charge or 0) > 0 for spectrum in kept]),
        np.unique([spectrum.metadata["contributor"] for spectrum in kept], return_inverse=True)[1],
        np.unique([spectrum.metadata["inchikey"][:14] for spectrum in kept], return_inverse=True)[1],
    )


def _is_wanted(spectrum: Spectrum) -> bool:
    told = spectrum.metadata
    is_named = "contributor" in told and "inchikey" in told
    return told.get("split") == "test" and is_named and is_clean(spectrum)


def _sample(pools: list[Pool], limit: int | None) -> list[Pool]:
    """All queries, or `limit` of them, half of them contested as far as there are any."""
    if limit is None or limit >= len(pools):
        return pools
    contested = [pool for pool in pools if pool.is_contested]
    plain = [pool for pool in pools if not pool.is_contested]
    return _thinned(contested, limit // 2) + _thinned(plain, limit - limit // 2)


def _thinned(pools: list[Pool], n_wanted: int) -> list[Pool]:
    """So many pools, evenly spaced, or all where there are fewer."""
    return pools[:: max(1, len(pools) // max(1, n_wanted))][:n_wanted]


def _found(
    spectra: _Spectra, pools: list[Pool], embedder: Embedder, cache: Path | None
) -> dict[str, NDArray[np.float64]]:
    """Whether a partner stands first, by every score, for each pool."""
    used = np.unique(np.concatenate([[pool.query, *pool.candidates] for pool in pools]))
    inputs = [spectra.inputs[row] for row in used]
    vectors = Vectors.of(inputs, embed(embedder, inputs, cache))
    cosine = GreedyCosine([item.peaks for item in inputs])
    found: dict[str, list[float]] = defaultdict(list)
    for pool in pools:
        query, candidates = int(np.searchsorted(used, pool.query)), np.searchsorted(used, pool.candidates)
        found["random"].append(pool.random_hit)
        for name, score in _scores(vectors, inputs, query, candidates):
            found[name].append(partner_first(score, pool.is_partner))
        found["cosine (matchms, greedy)"].append(
            partner_first(cosine.scores(query, candidates), pool.is_partner)
        )
    return {name: np.array(values) for name, values in found.items()}


def _scores(
    vectors: Vectors, inputs: list[TokenInput], query: int, candidates: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every score of ours of one query with its candidates."""
    parts = DirectScores(vectors[candidates])(vectors[np.array([query])])
    for name, weights in _WEIGHTS.items():
        yield name, fuse(parts, weights, ALL_VECTORS)[0]
    own, theirs = inputs[query].peaks, [inputs[row].peaks for row in candidates]
    yield "entropy similarity (ms_entropy)", entropy_similarity(own, theirs)
    yield "modified cosine", modified_cosine(own, theirs)[0]


if __name__ == "__main__":
    main()
