"""The contract, filters and plans: values without an engine."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from store_material import CONTRACT

from specsearch.errors import ContractMismatch, StoreDamaged, StoreError
from specsearch.store.filters import Filter
from specsearch.store.planner import EXACT_BELOW, plan_searches
from specsearch.store.points import SparseVector
from specsearch.store.queries import Hit, VectorQuery, best_first
from specsearch.store.schema import Contract
from specsearch.store.server import ServerStore
from specsearch.store.store import open_store


def test_contract_survives_json() -> None:
    assert Contract.from_dict(CONTRACT.to_dict()) == CONTRACT
    assert Contract.from_dict({**CONTRACT.to_dict(), "of_a_later_version": 1}) == CONTRACT


@pytest.mark.parametrize(
    "spoil", [{"encoder_digest": None}, {"embedding_size": "16"}, {"payload_version": []}]
)
def test_a_spoiled_contract_is_damage(spoil: dict[str, object]) -> None:
    with pytest.raises(StoreDamaged, match=next(iter(spoil))):
        Contract.from_dict({**CONTRACT.to_dict(), **spoil})
    without = {key: value for key, value in CONTRACT.to_dict().items() if key not in spoil}
    with pytest.raises(StoreDamaged, match=next(iter(spoil))):
        Contract.from_dict(without)


def test_each_meaningful_entry_is_compared() -> None:
    others = {
        "encoder_digest": "other",
        "embedding_kind": "other",
        "embedding_size": 17,
        "cleaning_recipe": "other",
        "sparse_recipe": "other",
        "payload_version": 99,
    }
    for name, value in others.items():
        with pytest.raises(ContractMismatch, match=f"{name} is .*specsearch reembed lib"):
            CONTRACT.require_same(dataclasses.replace(CONTRACT, **{name: value}), "lib")
    with pytest.raises(ContractMismatch, match=r"'lib'.*encoder_digest.*sparse_recipe"):
        CONTRACT.require_same(dataclasses.replace(CONTRACT, encoder_digest="x", sparse_recipe="y"), "lib")
    CONTRACT.require_same(
        dataclasses.replace(CONTRACT, specsearch_version="9", engine="x", engine_version="1")
    )


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (math.nan, 1.0), (1.0, math.nan)])
def test_an_empty_range_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(StoreError, match="precursor_mz"):
        Filter(precursor_mz=bounds)


def test_open_ends_stay_open() -> None:
    ranges = Filter(precursor_mz=(-math.inf, 5.0), exact_mass=(1.0, math.inf)).ranges
    assert ranges["precursor_mz"][0] is None
    assert ranges["exact_mass"][1] is None
    assert ranges["precursor_mz"][1] == pytest.approx(5.0, abs=1e-6)


def test_plans_follow_the_count_and_count_once() -> None:
    asked: list[Filter | None] = []
    window = Filter(precursor_mz=(100.0, 200.0))
    sizes = {None: 500_000, window: EXACT_BELOW - 1}

    def count(filter: Filter | None) -> int:
        asked.append(filter)
        return sizes[filter]

    dense = np.ones(4, np.float32)
    everywhere, wide, narrow, again, forced, sparse = plan_searches(
        [
            VectorQuery("embedding", dense, 10),
            VectorQuery("embedding", dense, 300),
            VectorQuery("embedding", dense, 10, window),
            VectorQuery("embedding", dense, 10, window),
            VectorQuery("embedding", dense, 10, window, exact=False),
            VectorQuery("peaks", SparseVector(), 10, window),
        ],
        count,
    )
    assert asked == [None, window]
    assert (everywhere.exact, everywhere.acorn) == (False, False)
    assert wide.ef >= 300
    assert narrow.exact
    assert again.exact
    assert (forced.exact, forced.acorn) == (False, True)
    assert not sparse.exact


def test_equal_scores_are_ordered_by_id() -> None:
    hits = [Hit("b", 1.0, {}), Hit("c", 2.0, {}), Hit("a", 1.0, {})]
    assert [hit.point_id for hit in best_first(hits)] == ["c", "a", "b"]


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StoreError, match=r"did not answer.*Check the address"):
        open_store("http://127.0.0.1:9")


def test_a_key_is_never_sent_in_the_clear() -> None:
    with pytest.raises(StoreError, match="unencrypted"):
        ServerStore.connect("http://192.0.2.1:6333", api_key="secret")
