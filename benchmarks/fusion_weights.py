"""Fit the fusion weights on val: the weight of `peaks` is 1, those of the others are tried on a grid."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.circumstances import write_result
from benchmarks.massbank import embed, split_examples
from benchmarks.script import arguments, print_table
from specsearch.encoder.embedder import Embedder
from specsearch.evaluation.analogues import AnalogueTask, analogue_task
from specsearch.evaluation.direct_scores import ALL_VECTORS, DirectScores, Vectors
from specsearch.evaluation.intervals import estimate
from specsearch.search.fusion import FusionWeights, fuse

_EMBEDDING = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_LOSSES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5)
GRID = [FusionWeights(embedding, 1.0, losses) for embedding, losses in product(_EMBEDDING, _LOSSES)]


def main() -> None:
    """Measure and write `fusion_weights.json`; test molecules are never read."""
    parser = arguments(__doc__)
    parser.add_argument("--cache", type=Path, help="folder outside the repository to keep embeddings in")
    asked = parser.parse_args()
    embedder = Embedder.load(asked.model)
    val, train = (split_examples(asked.data, split, asked.limit) for split in ("val", "train"))
    task = analogue_task(val, train)
    queries, library = (
        Vectors.of(part.inputs, embed(embedder, part.inputs, asked.cache))
        for part in (task.queries, task.library)
    )
    found = _found(task, queries, DirectScores(library))
    rows: list[dict[str, Any]] = [
        {**asdict(weights), **estimate(values, task.queries.molecule).to_dict()}
        for weights, values in found.items()
    ]
    print_table(f"Weights on val: {len(task.queries.inputs)} queries", rows)
    best = max(rows, key=lambda row: row["mean"])
    chosen = {name: best[name] for name in ("embedding", "peaks", "losses")}
    print(f"chosen: FusionWeights({', '.join(f'{name}={value}' for name, value in chosen.items())})")
    figures = {
        "split": "val",
        "queries": len(task.queries.inputs),
        "library": len(task.library.inputs),
        "chosen": chosen,
        "rows": rows,
    }
    write_result("fusion_weights", asked, figures, embedder.card.digest)


def _found(
    task: AnalogueTask, queries: Vectors, direct: DirectScores
) -> dict[FusionWeights, NDArray[np.float64]]:
    """Similarity of each query's hit under each weighting."""
    found: dict[FusionWeights, list[NDArray[np.float64]]] = defaultdict(list)
    for block in task.blocks():
        parts = direct(queries[block.rows])
        for weights in GRID:
            found[weights].append(block.judged(block.top(fuse(parts, weights, ALL_VECTORS))))
    return {weights: np.concatenate(values) for weights, values in found.items()}


if __name__ == "__main__":
    main()
