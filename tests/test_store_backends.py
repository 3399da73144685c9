"""The same suite against every backend: embedded, two stand-ins for a server, and a real one if there is one.

The real one is used where SPECSEARCH_TEST_QDRANT_URL is set (and SPECSEARCH_TEST_QDRANT_API_KEY, if it wants
one). For the loss of a node, SPECSEARCH_TEST_QDRANT_STOP and SPECSEARCH_TEST_QDRANT_START are commands that
stop and start one that is not the one asked, such as "docker compose stop qdrant-2".
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient
from server_standin import StandInServer, connected
from store_contract import StoreContract
from store_material import CONTRACT, brute_force, require_answer, unit

from specsearch.errors import StoreError
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.planner import LARGE_INDEX
from specsearch.store.points import Point, SparseVector, make_point
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import SPECTRA, Contract
from specsearch.store.server import ServerStore
from specsearch.store.server_connection import ServerAccess
from specsearch.store.server_settings import Quantization, ServerSettings
from specsearch.store.server_terms import INDEXING_OFF, INDEXING_ON, payload_indexes
from specsearch.store.store import Collection, Store, open_store

STOP, START = (f"SPECSEARCH_TEST_QDRANT_{what}" for what in ("STOP", "START"))
MANY, WIDE = 3_000, 384  # 2.3 MB of float16: more than the server needs to build a graph


class TestEmbedded(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
        with open_store(tmp_path_factory.mktemp("store")) as store:
            yield store


@pytest.mark.filterwarnings("ignore:Local mode performs exact")
class TestClientLocalMode(StoreContract):
    """The shape of our calls only: this mode ignores indexes and is no proof of speed or durability."""

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls) -> Iterator[Store]:
        with ServerStore(QdrantClient(":memory:")) as store:
            yield store


@pytest.mark.filterwarnings("ignore:Local mode performs exact")
class TestRestStandIn(StoreContract):
    """With real requests and answers, to a stand-in: no proof of Qdrant either."""

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls) -> Iterator[Store]:
        with connected(StandInServer(), ServerSettings(2, 2, 1, Quantization.INT8, True)) as store:
            yield store


@pytest.mark.skipif(
    "SPECSEARCH_TEST_QDRANT_URL" not in os.environ, reason="no server: set SPECSEARCH_TEST_QDRANT_URL"
)
class TestServer(StoreContract):
    """A real one: every call that the server backend makes."""

    @staticmethod
    def opened(settings: ServerSettings | None = None, access: ServerAccess | None = None) -> ServerStore:
        key = os.environ.get("SPECSEARCH_TEST_QDRANT_API_KEY")
        return ServerStore.connect(os.environ["SPECSEARCH_TEST_QDRANT_URL"], key, access, settings)

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls) -> Iterator[Store]:
        with cls.opened() as store:
            yield store

    @pytest.mark.parametrize("quantization", list(Quantization))
    def test_settings_are_read_back(self, name: str, quantization: Quantization) -> None:
        settings = ServerSettings(2, 1, 1, quantization, True)
        with self.opened(settings) as store, store.create(name, CONTRACT):
            assert store.made_with(name) == settings
            info = store._client.get_collection(store.place(name) or name)
        sparse = info.config.params.sparse_vectors or {}
        assert [params.index and params.index.on_disk for params in sparse.values()] == [True, True]
        assert all(field.params.on_disk for field in info.payload_schema.values())
        assert info.config.hnsw_config.m == LARGE_INDEX.m
        assert info.config.hnsw_config.ef_construct == LARGE_INDEX.ef_construct
        assert set(info.payload_schema) == set(payload_indexes(SPECTRA))

    @pytest.mark.parametrize("quantization", list(Quantization))
    def test_a_load_is_indexed_at_its_end_and_small_vectors_find_the_nearest(
        self, name: str, quantization: Quantization
    ) -> None:
        stored = wide_points(MANY)
        watched: list[tuple[int, int]] = []
        contract = Contract("digest-1", "state", WIDE, "clean-1", "binned-1")
        with self.opened(ServerSettings(quantization=quantization)) as store:
            with store.create(name, contract) as library:
                library.upsert(stored)
                assert threshold(store, name) == INDEXING_OFF
                assert library.info().n_indexed_vectors == 0
            with store.open(name, write=True) as library:
                assert library.optimize(lambda n_done, n_vectors: watched.append((n_done, n_vectors)))
                assert threshold(store, name) == INDEXING_ON
                assert library.info().n_indexed_vectors >= MANY
                rng = np.random.default_rng(2)
                queries = [VectorQuery("embedding", unit(rng, WIDE), 10, exact=False) for _ in range(20)]
                answers = library.query(queries)
        expected = [sorted(brute_force(stored, q).items(), key=lambda item: -item[1])[:10] for q in queries]
        found = [
            len({hit.point_id for hit in hits} & {point for point, _ in best})
            for hits, best in zip(answers, expected, strict=True)
        ]
        assert np.mean(found) > (8 if quantization is Quantization.BINARY else 9.5)

    def test_points_go_over_grpc(self, name: str, stored: list[Point]) -> None:
        said: list[str] = []
        port = int(os.environ.get("SPECSEARCH_QDRANT_GRPC_PORT", "6334"))
        access = ServerAccess(grpc_port=port, tell=said.append)
        with self.opened(access=access) as store, store.create(name, CONTRACT) as library:
            library.upsert(stored)
            found = library.fetch([point.point_id for point in stored], with_vectors=True)
        if said:
            pytest.skip(f"not over gRPC: {said[0]}")
        for point in stored:
            record = found[point.point_id]
            assert record.payload == point.payload
            assert record.peaks.indices.tolist() == point.peaks.indices.tolist()
            assert record.losses.values.tolist() == point.losses.values.tolist()

    def test_without_grpc_points_arrive_all_the_same(self, name: str, stored: list[Point]) -> None:
        said: list[str] = []
        access = ServerAccess(grpc_port=9, tell=said.append)
        with self.opened(access=access) as store, store.create(name, CONTRACT) as library:
            library.upsert(stored)
            assert library.count() == len(stored)
        assert len(said) == 1

    def test_answers_that_are_lost_do_no_harm(self, name: str, stored: list[Point]) -> None:
        """The requests go to the real server; every third answer does not come back."""
        way = LossyWay()
        key = os.environ.get("SPECSEARCH_TEST_QDRANT_API_KEY")
        url, access = os.environ["SPECSEARCH_TEST_QDRANT_URL"], ServerAccess(grpc_port=9)
        with ServerStore.connect(url, key, access, transport=way) as store:
            with store.create(name, CONTRACT) as library:
                library.upsert(stored)
                library.delete([stored[0].point_id])
                library.optimize()
            with store.making(f"{name}-2", CONTRACT) as made:
                made.upsert(stored)
            store.drop(f"{name}-2")
            with store.open(name) as library:
                assert library.count() == len(stored) - 1
        assert way.n_lost > 5

    @pytest.mark.skipif(STOP not in os.environ or START not in os.environ, reason=f"set {STOP} and {START}")
    @pytest.mark.parametrize("consistency", [1, 2])
    def test_a_node_lost_and_returned(self, name: str, stored: list[Point], consistency: int) -> None:
        """With two copies all can be read; a write that both must have is refused, and then done."""
        settings = ServerSettings(2, 2, consistency)
        with self.opened(settings) as store, store.create(name, CONTRACT) as library:
            library.upsert(stored[:40])
            run(STOP)
            try:
                query = VectorQuery("embedding", stored[0].embedding, 5)
                require_answer(library.query([query])[0], brute_force(stored[:40], query), 5)
                if consistency == 2:
                    with pytest.raises(StoreError, match="node of the Qdrant cluster is away"):
                        library.upsert(stored)
                else:
                    library.upsert(stored)
            finally:
                run(START)
            until_written(library, stored)
            assert library.count() == len(stored)
            library.optimize()
            assert {record.point_id for record in library.scroll()} == {p.point_id for p in stored}


class LossyWay(httpx.HTTPTransport):
    """A network that loses every third answer."""

    def __init__(self) -> None:
        super().__init__()
        self.n_lost = self.n_asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.n_asked += 1
        if self.n_asked % 3:
            return response
        self.n_lost += 1
        response.close()
        raise httpx.ReadTimeout("lost on purpose", request=request)


def wide_points(n: int) -> list[Point]:
    rng = np.random.default_rng(1)
    return [
        make_point(
            "lib",
            Spectrum.checked([50.0], [1.0], accession=str(i)),
            unit(rng, WIDE),
            SparseVector(),
            SparseVector(),
        )
        for i in range(n)
    ]


def threshold(store: ServerStore, name: str) -> int | None:
    return store._client.get_collection(store.place(name) or name).config.optimizer_config.indexing_threshold


def run(variable: str) -> None:
    subprocess.run(os.environ[variable], shell=True, check=True, timeout=120)


def until_written(library: Collection, stored: list[Point]) -> None:
    """Write again until the node that came back has caught up."""
    for _ in range(30):
        try:
            library.upsert(stored)
            return
        except StoreError:
            time.sleep(2)
    raise AssertionError("the cluster did not come back within a minute")
