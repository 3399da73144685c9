"""What training aims at and how it is judged, by hand and by scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import TINY, examples, network
from sklearn.decomposition import KernelPCA

from specsearch.encoder.tokens import collate
from specsearch.encoder.training.objective import Objective, Weights, structure_space
from specsearch.encoder.training.validation import states, validate

TRAIN, VAL = examples(24), examples(8, seed=1, first=100)


def tanimoto(a: np.ndarray, b: np.ndarray) -> float:
    left, right = set(np.flatnonzero(a)), set(np.flatnonzero(b))
    return len(left & right) / len(left | right)


def test_places_of_molecules_are_kernel_pca_of_their_tanimoto() -> None:
    bits = TRAIN.fingerprints
    places, similarity = structure_space(bits, 10)
    by_hand = np.array([[tanimoto(a, b) for b in bits] for a in bits])
    np.testing.assert_allclose(similarity, by_hand, atol=1e-6)
    reference = KernelPCA(10, kernel="precomputed", eigen_solver="dense").fit_transform(by_hand)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    np.testing.assert_allclose(places @ places.T, reference @ reference.T, atol=1e-4)


def test_with_room_for_all_dot_products_are_the_centred_kernel() -> None:
    bits = TRAIN.fingerprints
    places, similarity = structure_space(bits, 64)
    n = len(bits)
    centring = np.eye(n) - np.ones((n, n)) / n
    kernel = centring @ similarity.astype(float) @ centring
    scale = np.sqrt(np.diag(kernel))
    np.testing.assert_allclose(places @ places.T, kernel / np.outer(scale, scale), atol=1e-4)
    assert not places[:, n:].any()
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1.0, atol=1e-5)


def test_losses_by_hand() -> None:
    made, weights = network(), Weights(structure=0.7, fingerprint=2.0, projection=0.3, ssl=0.1)
    molecule = torch.tensor([3, 3, 5, 5, 9, 9])
    torch.manual_seed(0)
    state = torch.randn(6, TINY.hidden)
    with torch.no_grad():
        losses = Objective(TRAIN.fingerprints, TINY.hidden, weights)(made, state, molecule)
        embedding = made.embed(state).double().numpy()
        z = made.ssl(state).double().numpy()
        logits = made.fingerprint(state).double().numpy()
        query = made.project_query(state).double().numpy()
        target = made.project_target(torch.from_numpy(TRAIN.fingerprints[[3, 5, 9]]).float()).double().numpy()
    places, similarity = structure_space(TRAIN.fingerprints, TINY.hidden)

    def softmax(x: np.ndarray) -> np.ndarray:
        raised = np.exp(x - x.max())
        return raised / raised.sum()

    rows = molecule.tolist()
    structure = [
        -(softmax(similarity[m] / 0.06) * np.log(softmax(places @ e / 0.08))).sum()
        for m, e in zip(rows, embedding, strict=True)
    ]
    p, truth = 1 / (1 + np.exp(-logits)), TRAIN.fingerprints[rows]
    fingerprint = -(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    projection = [-np.log(softmax(target @ q / 0.07)[i // 2]) for i, q in enumerate(query)]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    ssl = []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        ssl.append(-np.log(softmax(z[others] @ z[i] / 0.1)[others.index(i ^ 1)]))
    expected = {
        "structure": 0.7 * np.mean(structure),
        "fingerprint": 2.0 * fingerprint.mean(),
        "projection": 0.3 * np.mean(projection),
        "ssl": 0.1 * np.mean(ssl),
    }
    expected["total"] = sum(expected.values())
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-4)


def test_states_come_back_in_order() -> None:
    made = network()
    inputs = [TRAIN.inputs[i] for i in np.random.default_rng(0).permutation(70)]
    with torch.inference_mode():
        alone = torch.cat([made(collate([item])) for item in inputs])
    torch.testing.assert_close(states(made, inputs), alone, atol=1e-5, rtol=0)


def test_validation_by_hand() -> None:
    made = network()
    queries = replace(VAL, positive=np.arange(24) % 3 != 1)
    library = replace(examples(10, per_molecule=1, seed=4), positive=np.arange(10) % 2 == 0)
    with torch.inference_mode():
        q = [made.embed(made(collate([item])))[0].numpy() for item in queries.inputs]
        found = [made.embed(made(collate([item])))[0].numpy() for item in library.inputs]
        bits = [torch.sigmoid(made.fingerprint(made(collate([i]))))[0].numpy() for i in queries.inputs]
    analogue, partner, cosine = [[] for _ in range(8)], [[] for _ in range(8)], [[] for _ in range(8)]
    for i, own in enumerate(queries.molecule):
        truth = queries.fingerprints[own].astype(float)
        allowed = [j for j in range(10) if library.positive[j] == queries.positive[i]]
        best = max(allowed, key=lambda j: q[i] @ found[j])
        analogue[own].append(tanimoto(truth, library.fingerprints[best]))
        nearest = max((j for j in range(24) if j != i), key=lambda j: q[i] @ q[j])
        partner[own].append(queries.molecule[nearest] == own)
        cosine[own].append(bits[i] @ truth / np.linalg.norm(bits[i]) / np.linalg.norm(truth))
    figures = validate(made, queries, library)
    assert figures["analogue"] == pytest.approx(np.mean([np.mean(values) for values in analogue]))
    assert figures["partner"] == pytest.approx(np.mean([np.mean(values) for values in partner]))
    assert figures["fingerprint_cosine"] == pytest.approx(np.mean([np.mean(v) for v in cosine]), rel=1e-5)
    assert figures["spread"] == pytest.approx(np.std(q, axis=0, ddof=1).mean() * 32**0.5, rel=1e-4)
