"""How good the encoder is, on molecules it was not trained on: retrieval and similarity, never the loss."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput, collate
from specsearch.encoder.training.decoys import Peers
from specsearch.encoder.training.examples import Examples

_BATCH = 64
_TIE = 1e-6  # equal scores of a product of matrices may differ by the order in which a processor adds


def at_most(examples: Examples, per_molecule: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of at most so many spectra a molecule, drawn with a fixed seed."""
    generator = np.random.default_rng(seed)
    rows = [generator.permutation(spectra)[:per_molecule] for spectra in examples.spectra_of()]
    return np.sort(np.concatenate(rows))


def states(network: Encoder, inputs: list[TokenInput]) -> torch.Tensor:
    """Pooled states, shape (n_spectra, hidden), in the order of the input, on the network's device."""
    order = np.argsort([item.n_tokens for item in inputs], kind="stable")
    device = network.cls.device
    out = torch.empty(len(inputs), network.config.hidden, device=device)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = collate([inputs[r] for r in rows]).to(device)
            out[torch.from_numpy(rows).to(device)] = network(batch)
    return out


def validate(
    network: Encoder, queries: Examples, library: Examples, peers: Peers | None = None
) -> dict[str, float]:
    """Figures on held-out molecules, each averaged per molecule.

    Parameters
    ----------
    network : Encoder
    queries, library : Examples
    peers : Peers, optional
        Bank molecules of the same mass as the queries' molecules.

    Returns
    -------
    dict
        ``analogue``: Tanimoto of the nearest library spectrum of the same ion mode; ``partner``: share
        of queries whose nearest other query is of the same molecule; ``fingerprint_cosine``: cosine of the
        predicted with the true fingerprint; ``spread``: standard deviation of embedding coordinates
        times sqrt(size), 1 for vectors spread evenly over the sphere and 0 after collapse. With `peers` also
        ``mrr_logit`` and ``mrr_projection``: reciprocal rank of the true molecule among them by the
        raw-logit dot and by the dot of projections.
    """
    network.eval()
    q_rows, l_rows = at_most(queries, 4), at_most(library, 1)
    q_state = states(network, [queries.inputs[i] for i in q_rows])
    l_state = states(network, [library.inputs[i] for i in l_rows])
    q_molecule = queries.molecule[q_rows]
    with torch.inference_mode():
        q, found = network.embed(q_state), network.embed(l_state)
        probability = torch.sigmoid(network.fingerprint(q_state)).cpu().numpy()
        score, among = (q @ found.T).cpu().numpy(), (q @ q.T).cpu().numpy()
    score[queries.positive[q_rows][:, None] != library.positive[l_rows][None, :]] = -np.inf
    best = library.molecule[l_rows][score.argmax(axis=1)]
    np.fill_diagonal(among, -np.inf)
    has_partner = np.bincount(q_molecule)[q_molecule] > 1
    partner = (q_molecule[among.argmax(axis=1)] == q_molecule)[has_partner]
    truth = queries.fingerprints[q_molecule]
    figures = {
        "analogue": per_molecule(_tanimoto(truth, library.fingerprints[best]), q_molecule),
        "partner": per_molecule(partner, q_molecule[has_partner]),
        "fingerprint_cosine": per_molecule(_cosine(probability, truth), q_molecule),
        "spread": spread(q),
    }
    return figures if peers is None else figures | _ranks(network, q_state, q_molecule, queries, peers)


def spread(embedding: torch.Tensor) -> float:
    """Standard deviation of unit vectors' coordinates, over that of an even spread, 1 / sqrt(size)."""
    return float(embedding.std(dim=0).mean() * embedding.shape[1] ** 0.5)


def per_molecule(values: NDArray, molecule: NDArray[np.int64]) -> float:
    """Mean over molecules of the mean over each molecule's spectra; 0 where there is nothing to average."""
    if not len(values):
        return 0.0
    sums = np.bincount(molecule, weights=values)
    counts = np.bincount(molecule)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))


def _ranks(
    network: Encoder, state: torch.Tensor, molecule: NDArray[np.int64], queries: Examples, peers: Peers
) -> dict[str, float]:
    """Reciprocal ranks among the peers; a molecule without any is no question and is left out."""
    asked = [m for m in np.unique(molecule) if len(peers.of[m])]
    by_logit, by_projection = [], []
    with torch.inference_mode():
        for one in asked:
            own = state[torch.from_numpy(molecule == one).to(state.device)]
            bits = np.concatenate([queries.fingerprints[one][None, :], peers.bits(one)])
            candidates = torch.from_numpy(bits).float().to(state.device)
            projected = network.project_query(own) @ network.project_target(candidates).T
            by_logit.append(_reciprocal_rank(network.fingerprint(own) @ candidates.T))
            by_projection.append(_reciprocal_rank(projected))
    return {
        "mrr_logit": float(np.mean(by_logit)) if asked else 0.0,
        "mrr_projection": float(np.mean(by_projection)) if asked else 0.0,
    }


def _reciprocal_rank(score: torch.Tensor) -> float:
    """Mean over spectra (rows) of 1 / rank of the first column; among ties its place is the middle one."""
    truth = score[:, :1]
    is_tied = (score - truth).abs() <= _TIE * truth.abs().clamp(min=1)
    is_better = (score > truth) & ~is_tied
    rank = 1 + is_better.sum(dim=1) + (is_tied.sum(dim=1) - 1) / 2
    return float((1 / rank).mean())


def _tanimoto(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of fingerprints row by row."""
    return (a & b).sum(axis=1) / (a | b).sum(axis=1)


def _cosine(probability: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of predicted and true fingerprints row by row."""
    norm = np.linalg.norm(probability, axis=1) * np.sqrt(truth.sum(axis=1))
    return (probability * truth).sum(axis=1) / norm
