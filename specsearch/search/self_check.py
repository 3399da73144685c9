"""Whether a library holds what it should and finds what is there, each answer by another road."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.embedder import Embedder
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.cleaning import ENCODER_RECIPE, clean
from specsearch.store.filters import Filter
from specsearch.store.points import SparseVector, point_id
from specsearch.store.queries import CollectionInfo, VectorQuery
from specsearch.store.schema import Key, VectorName
from specsearch.store.spectra import spectrum_of
from specsearch.store.store import Collection
from specsearch.store.vectors import contract_of, sparse_vectors

LEAST_RECALL = 0.98
# Vectors are stored as float16, and peaks to 0.06 ppm: a stored vector and its remake differ by about 1e-4.
LEAST_COSINE = 0.999
_TOP = 10
_WINDOWS_DA = (None, 100.0, 5.0, 0.5)
_TIE = 1e-3  # scores nearer than float16 can tell


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check : str
    is_good : bool or None
        None where it could not be made.
    detail : str
        The figures, or why there are none.
    next_step : str
    """

    check: str
    is_good: bool | None
    detail: str
    next_step: str = ""


def check_state(info: CollectionInfo) -> Iterator[Finding]:
    """What was known of the files when the library was opened, and what a server says of itself."""
    if info.were_files_compared is None:
        yield Finding("files", True, "kept by the server")
        is_good = info.is_healthy and not info.next_step
        yield Finding("server", is_good if info.is_settled else None, info.detail, info.next_step)
    elif info.were_files_compared:
        yield Finding("files", True, "every file as it was written")
    else:
        detail = "the last writer did not close it, so there was nothing to compare with"
        yield Finding("files", None, detail, "The next verify compares with what is there now.")


def check_records(snapshot: Snapshot, count: int) -> Iterator[Finding]:
    """Counts, names and vectors of a library that was read whole, so that every record could be decoded."""
    again = "Index the library again from its files."
    n_read = len(snapshot)
    detail = f"{count:,} counted, {n_read:,} read and decoded"
    yield Finding("records", count == n_read, detail, "" if count == n_read else again)
    names = snapshot.table[Key.SPECTRUM_ID].to_pylist()
    n_twice = len(names) - len(set(names))
    yield Finding("spectrum ids", not n_twice, f"{n_twice:,} used twice", again if n_twice else "")
    n_other = sum(
        made != point_id(snapshot.library, accession)
        for made, accession in zip(snapshot.point_ids, snapshot.texts(Key.ACCESSION), strict=True)
    )
    detail = f"{n_other:,} not made of library and accession"
    yield Finding("point ids", not n_other, detail, again if n_other else "")
    yield _repeated_records(snapshot)
    n_bad = int((~np.isfinite(snapshot.embeddings).all(axis=1)).sum())
    yield Finding("embeddings are numbers", not n_bad, f"{n_bad:,} are not", again if n_bad else "")


def _repeated_records(snapshot: Snapshot) -> Finding:
    """No fault: a library may say the same under two names, and somebody may want to know."""
    digests = [digest for digest in snapshot.table[Key.CONTENT].to_pylist() if digest]
    n_repeated = len(digests) - len(set(digests))
    step = f'"specsearch dedup {snapshot.library}" shows them' if n_repeated else ""
    return Finding("repeated records", True, f"{n_repeated:,} say the same as another", step)


def check_encoder(collection: Collection, embedder: Embedder, point_ids: Sequence[str]) -> Iterator[Finding]:
    """Stored vectors of a sample against those that the encoder makes of the stored peaks now.

    Parameters
    ----------
    collection : Collection
    embedder : Embedder
    point_ids : sequence of str
        The sample.
    """
    ours = contract_of(embedder.card)
    if not collection.contract.is_same(ours):
        detail = f"made by another encoder or recipe ({collection.contract.encoder_digest[:8]})"
        yield Finding("vectors made again", None, detail, "Name its model with --model.")
        return
    records = list(collection.fetch(list(point_ids), with_vectors=True).values())
    spectra = [spectrum_of(record) for record in records]
    made = embedder.embed(spectra)
    stored = np.array([record.embedding for record in records], dtype=np.float32).reshape(made.shape)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    cosine = (made * stored).sum(axis=1)
    peaks, losses = sparse_vectors([clean(spectrum, ENCODER_RECIPE) for spectrum in spectra])
    sparse = [
        min(_cosine(record.peaks, p), _cosine(record.losses, loss))
        for record, p, loss in zip(records, peaks, losses, strict=True)
    ]
    for name, values in (("embeddings made again", cosine), ("peak vectors made again", np.array(sparse))):
        n_off = int((values < LEAST_COSINE).sum())
        lowest = float(values.min(initial=1.0))
        detail = f"{n_off:,} of {len(records):,} differ, lowest cosine {lowest:.5f}"
        yield Finding(name, not n_off, detail, "Index the library again from its files." if n_off else "")


def check_recall(collection: Collection, snapshot: Snapshot, rows: NDArray[np.int64]) -> Iterator[Finding]:
    """Search as it is done against comparing with everything, without and with precursor windows.

    Parameters
    ----------
    collection : Collection
    snapshot : Snapshot
        Of the same library.
    rows : numpy.ndarray of shape (n_queries,)
        Spectra of the library to ask for.
    """
    for width in _WINDOWS_DA:
        asked = rows if width is None else rows[np.isfinite(snapshot.precursor_mz[rows])]
        name = "recall@10, no filter" if width is None else f"recall@10, within {width:g} Da"
        if not len(asked):
            yield Finding(name, None, "no spectrum with a precursor in the sample")
            continue
        recall = float(np.mean([_recall(collection, snapshot, int(row), width) for row in asked]))
        is_good = recall >= LEAST_RECALL
        step = "" if is_good else "Build its indexes again: specsearch verify NAME --repair."
        yield Finding(name, is_good, f"{recall:.4f} over {len(asked):,} queries", step)


def check_graph(collection: Collection, point_ids: Sequence[str]) -> Iterator[Finding]:
    """What the engine finds by its graph against what it finds by comparing with everything.

    Parameters
    ----------
    collection : Collection
    point_ids : sequence of str
        Spectra of the library to ask for.
    """
    records = collection.fetch(list(point_ids), with_vectors=True).values()
    for width in _WINDOWS_DA:
        filters = [_around(record.payload.get(Key.PRECURSOR_MZ), width) for record in records]
        asked = [(r.embedding, f) for r, f in zip(records, filters, strict=True) if f or width is None]
        name = "graph, no filter" if width is None else f"graph, within {width:g} Da"
        if not asked:
            yield Finding(name, None, "no spectrum with a precursor in the sample")
            continue
        recalls = [_recall_of_graph(collection, vector, filter) for vector, filter in asked]
        recall = float(np.mean(recalls))
        yield Finding(name, recall >= LEAST_RECALL, f"recall@10 {recall:.4f} over {len(asked):,} queries")


def _around(precursor_mz: float | None, width: float | None) -> Filter | None:
    if precursor_mz is None or width is None:
        return None
    return Filter(precursor_mz=(precursor_mz - width, precursor_mz + width))


def _recall_of_graph(
    collection: Collection, embedding: NDArray[np.float32] | None, filter: Filter | None
) -> float:
    query = np.asarray(embedding, dtype=np.float32)
    query /= np.linalg.norm(query)
    walked, true = collection.query(
        [
            VectorQuery(VectorName.EMBEDDING, query, _TOP, filter, exact=is_exact, with_payload=False)
            for is_exact in (False, True)
        ]
    )
    return sum(hit.score >= true[-1].score - _TIE for hit in walked) / len(true)


def _recall(collection: Collection, snapshot: Snapshot, row: int, width: float | None) -> float:
    query = snapshot.embeddings[row]
    filter, inside = None, np.ones(len(snapshot), dtype=np.bool_)
    if width is not None:
        precursor = float(snapshot.precursor_mz[row])
        filter = Filter(precursor_mz=(precursor - width, precursor + width))
        inside = np.abs(snapshot.precursor_mz - precursor) <= width
    true = np.sort(snapshot.embeddings[inside] @ query)[::-1][:_TOP]
    request = VectorQuery(VectorName.EMBEDDING, query, _TOP, filter, with_payload=False)
    scores = np.array([hit.score for hit in collection.query([request])[0]])
    return float((scores >= true[-1] - _TIE).sum() / len(true))


def _cosine(one: SparseVector, other: SparseVector) -> float:
    """Of two sparse vectors; 1 where both are empty."""
    if not len(one) and not len(other):
        return 1.0
    _, ours, theirs = np.intersect1d(one.indices, other.indices, return_indices=True)
    norms = float(np.linalg.norm(one.values) * np.linalg.norm(other.values))
    return float(one.values[ours] @ other.values[theirs]) / norms if norms else 0.0
