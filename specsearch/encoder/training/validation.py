"""How good the encoder is, on molecules it was not trained on: retrieval and similarity, never the loss."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput, collate
from specsearch.encoder.training.examples import Examples

_BATCH = 64


def at_most(examples: Examples, per_molecule: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of at most so many spectra a molecule, drawn with a fixed seed."""
    generator = np.random.default_rng(seed)
    rows = [generator.permutation(spectra)[:per_molecule] for spectra in examples.spectra_of()]
    return np.sort(np.concatenate(rows))


def states(network: Encoder, inputs: list[TokenInput]) -> torch.Tensor:
    """Pooled states, shape (n_spectra, hidden), in the order of the input."""
    order = np.argsort([item.n_tokens for item in inputs], kind="stable")
    out = torch.empty(len(inputs), network.config.hidden)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            out[torch.from_numpy(rows)] = network(collate([inputs[r] for r in rows]))
    return out


def validate(network: Encoder, queries: Examples, library: Examples) -> dict[str, float]:
    """Figures on held-out molecules, each averaged per molecule.

    Returns
    -------
    dict
        ``analogue``: Tanimoto of the nearest library spectrum of the same ion mode; ``partner``: share
        of queries whose nearest other query is of the same molecule; ``fingerprint_cosine``: cosine of the
        predicted with the true fingerprint; ``spread``: standard deviation of embedding coordinates
        times sqrt(size), 1 for vectors spread evenly over the sphere and 0 after collapse.
    """
    network.eval()
    q_rows, l_rows = at_most(queries, 4), at_most(library, 1)
    q_state = states(network, [queries.inputs[i] for i in q_rows])
    with torch.inference_mode():
        q, library_embedding = (
            network.embed(q_state),
            network.embed(states(network, [library.inputs[i] for i in l_rows])),
        )
        probability = torch.sigmoid(network.fingerprint(q_state)).numpy()
    q_molecule = queries.molecule[q_rows]
    score = (q @ library_embedding.T).numpy()
    score[queries.positive[q_rows][:, None] != library.positive[l_rows][None, :]] = -np.inf
    best = library.molecule[l_rows][score.argmax(axis=1)]
    truth, found = queries.fingerprints[q_molecule], library.fingerprints[best]
    common = (truth & found).sum(axis=1)
    tanimoto = common / (truth | found).sum(axis=1)
    among = (q @ q.T).numpy()
    np.fill_diagonal(among, -np.inf)
    has_partner = np.bincount(q_molecule)[q_molecule] > 1
    partner = (q_molecule[among.argmax(axis=1)] == q_molecule)[has_partner]
    norm = np.linalg.norm(probability, axis=1) * np.sqrt(truth.sum(axis=1))
    cosine = (probability * truth).sum(axis=1) / norm
    return {
        "analogue": _per_molecule(tanimoto, q_molecule),
        "partner": _per_molecule(partner, q_molecule[has_partner]),
        "fingerprint_cosine": _per_molecule(cosine, q_molecule),
        "spread": float(q.std(dim=0).mean() * q.shape[1] ** 0.5),
    }


def _per_molecule(values: NDArray, molecule: NDArray[np.int64]) -> float:
    """Mean over molecules of the mean over each molecule's spectra; 0 where there is nothing to average."""
    if not len(values):
        return 0.0
    sums = np.bincount(molecule, weights=values)
    counts = np.bincount(molecule)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))
