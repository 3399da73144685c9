"""A library of forty spectra and two models for it: indexing, embedding again, and what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from samples import spectra

from ingest.index import index_files
from ingest.reembed import reembed
from specsearch.encoder.embedder import Embedder
from specsearch.search.self_check import check_encoder, check_graph
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.spectra.writers import write_spectra
from specsearch.store.store import Collection, Store

N_SPECTRA = 40
OLD, NEW = 0, 7  # seeds of two models
RECORDS = spectra(N_SPECTRA, seed=12, longest=30)
State = dict[str, tuple[Any, ...]]


def work(folder: Path) -> Path:
    return folder / "work"


def index(store: Store, folder: Path, model: Embedder, library: str = "lib", n: int = N_SPECTRA) -> int:
    """Index the first spectra of all; how many the library has then."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{n}.parquet"
    if not path.exists():
        write_spectra(path, RECORDS[:n])
    return index_files([path], store, library, model, work(folder)).n_in_library


def again(store: Store, folder: Path, model: Embedder, **how: Any) -> bool:
    def check(made: Collection, point_ids: Sequence[str]) -> None:
        findings = [*check_encoder(made, model, point_ids), *check_graph(made, point_ids)]
        assert [f.check for f in findings if f.is_good is not True] == []
        assert len(point_ids) == N_SPECTRA

    return reembed("lib", store, model, work(folder), how.pop("check", check), **how)


def require_same(found: State, expected: State) -> None:
    """Records, peaks and losses bit by bit; embeddings as near as stored peaks are to those of the file."""
    assert found.keys() == expected.keys()
    for point, (payload, embedding, *sparse) in expected.items():
        assert found[point][0] == payload
        assert found[point][2:] == tuple(sparse)
        one, other = (np.frombuffer(vector, np.float32) for vector in (found[point][1], embedding))
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert cosine > 0.9999


def hits(store: Store, model: Embedder) -> list[Any]:
    with store.open("lib") as collection:
        return found_in(collection, model)


def found_in(collection: Collection, model: Embedder) -> list[Any]:
    answers = SimilaritySearch([collection], model, SearchSettings(top=5)).search(RECORDS[:4])
    return [[(hit.spectrum_id, round(hit.score, 4)) for hit in answer.hits] for answer in answers]


def others(state: State, than: State) -> int:
    """How many embeddings differ."""
    return sum(state[point][1] != than[point][1] for point in state)
