"""The same suite against every backend: embedded, the client's local mode, and a real server if there is one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient
from store_contract import StoreContract

from specsearch.store.server import ServerStore
from specsearch.store.store import Store, open_store


class TestEmbedded(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with open_store(tmp_path / "store") as store:
            yield store


class TestClientLocalMode(StoreContract):
    """Shape of the server calls only: this mode ignores indexes and proves nothing about speed or durability."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with ServerStore(QdrantClient(":memory:")) as store:
            yield store


@pytest.mark.skipif(
    "SPECSEARCH_TEST_QDRANT_URL" not in os.environ, reason="no server: set SPECSEARCH_TEST_QDRANT_URL"
)
class TestServer(StoreContract):
    @pytest.fixture
    def name(self) -> str:
        return f"specsearch-test-{uuid.uuid4().hex}"

    @pytest.fixture
    def store(self, name: str) -> Iterator[Store]:
        key = os.environ.get("SPECSEARCH_TEST_QDRANT_API_KEY")
        with open_store(os.environ["SPECSEARCH_TEST_QDRANT_URL"], key) as store:
            yield store
            if store.exists(name):
                store.drop(name)
