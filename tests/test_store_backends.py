"""The same suite against every backend: embedded, client local mode, and a real server if there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient
from store_contract import StoreContract

from specsearch.store.server import ServerStore
from specsearch.store.store import Store, open_store


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


@pytest.mark.skipif(
    "SPECSEARCH_TEST_QDRANT_URL" not in os.environ, reason="no server: set SPECSEARCH_TEST_QDRANT_URL"
)
class TestServer(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def store(cls) -> Iterator[Store]:
        key = os.environ.get("SPECSEARCH_TEST_QDRANT_API_KEY")
        with open_store(os.environ["SPECSEARCH_TEST_QDRANT_URL"], key) as store:
            yield store
