"""The best of a whole bank without a mass window: by projections in the vector index, and by fingerprints.

A fingerprint sets some 50 of 2,048 bits, so f·z of every molecule is a sum over short lists: on 1,000,000
molecules 34 ms a query and 2.4 ms in batches of 64, against 671 and 54 for unpacked bits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.store.bank import Bank
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import Key, VectorName
from specsearch.store.store import Collection

_BLOCK = 65_536


def best_by_fingerprint(bank: Bank, logits: NDArray[np.float32], limit: int) -> NDArray[np.int64]:
    """Rows of the molecules with the highest f·z, best first.

    Parameters
    ----------
    bank : Bank
    logits : numpy.ndarray of shape (n_queries, n_bits), float32
    limit : int
        At most the size of the bank.

    Returns
    -------
    numpy.ndarray of shape (n_queries, min(limit, n_molecules)), int64
    """
    on_bits, starts = bank.on_bits
    weights = torch.from_numpy(np.ascontiguousarray(logits.T))
    best_score = torch.empty((len(logits), 0))
    best_row = torch.empty((len(logits), 0), dtype=torch.int64)
    for first in range(0, len(bank), _BLOCK):
        bounds = starts[first : first + _BLOCK + 1]
        inside = torch.from_numpy(on_bits[bounds[0] : bounds[-1]])
        offsets = torch.from_numpy((bounds - bounds[0]).astype(np.int32))
        sums = torch.nn.functional.embedding_bag(
            inside, weights, offsets, mode="sum", include_last_offset=True
        ).T
        rows = torch.arange(first, first + sums.shape[1]).expand(len(logits), -1)
        score, row = torch.cat([best_score, sums], dim=1), torch.cat([best_row, rows], dim=1)
        best_score, place = score.topk(min(limit, score.shape[1]), dim=1)
        best_row = row.gather(1, place)
    return best_row.numpy()


def best_by_projection(
    bank: Bank, collection: Collection, projection: NDArray[np.float32], limit: int
) -> list[NDArray[np.int64]]:
    """Rows of the molecules whose target projection is nearest, best first, for each query.

    Parameters
    ----------
    bank : Bank
    collection : Collection
        Of the bank's projections.
    projection : numpy.ndarray of shape (n_queries, projection_size), float32
    limit : int
    """
    answers = collection.query([VectorQuery(VectorName.EMBEDDING, query, limit) for query in projection])
    found = [bank.rows_of([hit.payload[Key.INCHIKEY14] for hit in hits]) for hits in answers]
    return [rows[rows >= 0] for rows in found]
