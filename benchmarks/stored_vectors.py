"""What a library should store: which of the encoder's vectors, in what precision, from how many peaks.

Judged on val by analogue search in train; test molecules are never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.circumstances import write_result
from benchmarks.massbank import split_examples
from benchmarks.script import arguments, print_table
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput
from specsearch.evaluation.analogues import AnalogueTask, analogue_task
from specsearch.evaluation.intervals import estimate

_N_TOKENS = (64, 128, 256)
_K = 10
_BYTES = {"float32": 4, "float16": 2, "int8": 1}


def main() -> None:
    """Measure and write `stored_vectors.json`."""
    asked = arguments(__doc__).parse_args()
    network, card = load_checkpoint(asked.model)
    embedder = Embedder(network, card)
    val, train = (split_examples(asked.data, split, asked.limit) for split in ("val", "train"))
    task = analogue_task(val, train)
    heads = {"state": torch.nn.Identity(), "SSL output": network.ssl, "query projection": network.query}
    rows: list[dict[str, Any]] = []
    for n_tokens in _N_TOKENS:
        states = [
            torch.from_numpy(embedder.states([strongest(item, n_tokens - 1) for item in part.inputs]))
            for part in (task.queries, task.library)
        ]
        # Precision matters for any vector alike, so it is tried on all peaks only.
        precisions = list(_BYTES) if n_tokens == max(_N_TOKENS) else ["float32"]
        for name, head in heads.items():
            with torch.inference_mode():
                queries, library = (unit(head(state).numpy()) for state in states)
            rows += [row(task, queries, library, name, n_tokens, precision) for precision in precisions]
            print_table("Stored vectors, val", rows[-len(precisions) :])
    write_result("stored_vectors", asked, {"split": "val", "rows": rows}, card.digest)


def strongest(item: TokenInput, n_peaks: int) -> TokenInput:
    """The spectrum with its strongest peaks alone."""
    mz, intensity = item.peaks.mz, item.peaks.intensity
    kept = np.sort(np.argsort(-intensity, kind="stable")[:n_peaks])
    return replace(item, peaks=replace(item.peaks, mz=mz[kept], intensity=intensity[kept]))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length one."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def stored(vectors: NDArray[np.float32], precision: str) -> NDArray[np.float32]:
    """Vectors as they come back from storage; int8 with one scale a collection, as the engines do."""
    if precision == "int8":
        scale = np.quantile(np.abs(vectors), 0.99) / 127
        return np.clip(np.rint(vectors / scale), -127, 127).astype(np.float32) * scale
    return vectors.astype(precision).astype(np.float32)


def row(
    task: AnalogueTask,
    queries: NDArray[np.float32],
    library: NDArray[np.float32],
    name: str,
    n_tokens: int,
    precision: str,
) -> dict[str, Any]:
    """One line of the table."""
    kept, judged, recalled = stored(library, precision), [], []
    for block in task.blocks():
        score = queries[block.rows] @ kept.T
        judged.append(block.judged(block.top(score)))
        recalled += shared(top(queries[block.rows] @ library.T), top(score))
    mean = estimate(np.concatenate(judged), task.queries.molecule)
    return {
        "vector": name,
        "size": library.shape[1],
        "tokens": n_tokens,
        "precision": precision,
        "bytes": library.shape[1] * _BYTES[precision],
        "analogue": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "recall@10 of float32": float(np.mean(recalled)),
    }


def top(score: NDArray[np.float32]) -> NDArray[np.int64]:
    """Columns of the ten best of each row."""
    return np.argpartition(-score, min(_K, score.shape[1] - 1), axis=1)[:, :_K]


def shared(expected: NDArray[np.int64], found: NDArray[np.int64]) -> Sequence[float]:
    """Share of each row's expected columns that were found."""
    return [len(np.intersect1d(a, b)) / len(a) for a, b in zip(expected, found, strict=True)]


if __name__ == "__main__":
    main()
