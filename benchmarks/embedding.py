"""Embedding speed, as a share of what this machine's matrix products reach in the same run."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.circumstances import write_result
from benchmarks.flops import FORMULA, embedding_flops, median_rate, network_rate, square_rate
from benchmarks.massbank import all_spectra
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from benchmarks.timing import timed
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import token_input

_LEAST_SHARE = 0.60


def main() -> None:
    """Measure and write `embedding.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="of each matrix product, before and after")
    asked = parser.parse_args()
    # On the processor, whose matrix products it is held against.
    embedder = Embedder(*load_checkpoint(asked.model), [torch.device("cpu")])
    inputs = [token_input(spectrum) for spectrum in all_spectra(asked)]
    lengths = np.array([item.n_tokens + 1 for item in inputs])
    embedder.embed_inputs(inputs[:64])
    square, shapes = square_rate(asked.repeats), network_rate(embedder.card.config, asked.repeats)
    _, seconds = timed(embedder.embed_inputs, inputs)
    square += square_rate(asked.repeats)
    shapes += network_rate(embedder.card.config, asked.repeats)
    rate = embedding_flops(embedder.card.config, lengths) / seconds
    figures = {
        "spectra": len(inputs),
        "seconds": seconds,
        "spectra_per_s": len(inputs) / seconds,
        "real_tokens_per_s": int(lengths.sum()) / seconds,
        "mean_tokens": float(lengths.mean()),
        "gflops": rate / 1e9,
        "matmul_2048_gflops": median_rate(square) / 1e9,
        "matmul_network_gflops": median_rate(shapes) / 1e9,
        "share_of_matmul_2048": rate / median_rate(square),
        "share_of_matmul_network": rate / median_rate(shapes),
    }
    print_table("Embedding", [{"figure": name, "value": value} for name, value in figures.items()])
    bounds = {
        "share of measured matmul rate": verdict(figures["share_of_matmul_2048"], _LEAST_SHARE, at_most=False)
    }
    print_verdicts(bounds)
    spread = {"matmul_2048": [r / 1e9 for r in square], "matmul_network": [r / 1e9 for r in shapes]}
    content = {**figures, "flops": FORMULA, "gflops_of_repeats": spread, "bounds": bounds}
    write_result("embedding", asked, content, embedder.card.digest)


if __name__ == "__main__":
    main()
