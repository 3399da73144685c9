"""Pruning before scoring: the answer must be that of every score computed."""

from __future__ import annotations

import numpy as np
import pytest

from specsearch.search.contenders import find_contenders
from specsearch.store.queries import Hit, best_first


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_dropped_who_could_have_won(seed: int) -> None:
    """Pruning by bounds against every score computed."""
    rng = np.random.default_rng(seed)
    limit, top, n = int(rng.integers(5, 30)), int(rng.integers(1, 12)), int(rng.integers(1, 200))
    truth = {
        "embedding": rng.uniform(-1, 1, n),
        "peaks": rng.uniform(0, 1, n).round(1) * (rng.random(n) < 0.7),
        "losses": rng.uniform(0, 1, n) * (rng.random(n) < 0.3),
    }
    weights = dict(zip(truth, rng.uniform(0.1, 2, 3), strict=True))
    lists: dict[str, list[Hit]] = {}
    for name, scores in truth.items():
        floor = -2 if name == "embedding" else 0
        found = [Hit(f"{i:03d}", float(score), {}) for i, score in enumerate(scores) if score > floor]
        lists[name] = best_first(found)[:limit]
    contenders = find_contenders(lists, weights, limit, top)
    everyone = sorted({int(hit.point_id) for hits in lists.values() for hit in hits})
    fused = {i: sum(weights[name] * truth[name][i] for name in truth) for i in everyone}
    best = sorted(everyone, key=lambda i: -fused[i])[:top]
    staying = [int(point_id) for point_id in contenders.point_ids]
    assert set(best) <= set(staying) <= set(everyone)
    assert staying == sorted(staying)
    for name, known in contenders.scores.items():
        listed = {int(hit.point_id): hit.score for hit in lists[name]}
        np.testing.assert_array_equal(known, [listed.get(i, np.nan) for i in staying])
