"""What a server opens, in the one process or in each of several, and the application over it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from specsearch.cli.settings import ModelAt, StoreAt
from specsearch.errors import SpecsearchError, StoreError

if TYPE_CHECKING:
    import numpy as np
    from fastapi import FastAPI
    from numpy.typing import NDArray

    from specsearch.encoder.embedder import Embedder
    from specsearch.encoder.tokens import TokenInput
    from specsearch.search.graph_files import Graph
    from specsearch.store.store import Collection, Store
    from specsearch.web.served import Encode, Served


@dataclass(frozen=True)
class Serving:
    """What is to be served, and to whom; may be sent to another process.

    Parameters
    ----------
    store : StoreAt
    model : ModelAt
    names, bank_names : tuple of str
        All that are there where none is named.
    keys : tuple of str
    hosts : list of str
        Names that a browser may call the server by.
    rate : str
    waiting : int
        Requests that may wait.
    allow_write : bool
    """

    store: StoreAt
    model: ModelAt
    names: tuple[str, ...]
    bank_names: tuple[str, ...]
    keys: tuple[str, ...]
    hosts: list[str]
    rate: str
    waiting: int
    allow_write: bool


def open_app(stack: ExitStack, serving: Serving) -> FastAPI:
    """Open all of it, until the stack is closed."""
    from specsearch.cli.serve_index import make_writer
    from specsearch.web.access import Access
    from specsearch.web.app import Limits, make_app
    from specsearch.web.reading import prepare_reading

    _log_requests()
    prepare_reading()
    opened = stack.enter_context(serving.store.open())
    served = open_served(stack, serving, opened)
    access, limits = Access(serving.keys, serving.rate), Limits(serving.rate, serving.waiting)
    writer = make_writer(serving.store, opened, served) if serving.allow_write else None
    return make_app(served, access, serving.hosts, limits, writer)


def encoder_apart(stack: ExitStack, embedder: Embedder) -> Encode:
    """The encoder in a process of its own: here it would wait for Python's lock at every layer."""
    from ingest.embedding import EmbeddingProcess
    from specsearch.cli.screen import say

    # Threads of one query wait for each other by spinning, on cores that the engine and others need.
    process = stack.enter_context(EmbeddingProcess(embedder, max(1, (os.cpu_count() or 1) // 2)))
    has_ended = False

    def encode(inputs: Sequence[TokenInput]) -> NDArray[np.float32]:
        nonlocal has_ended
        if not has_ended:
            try:
                return process.submit(inputs).result()
            except SpecsearchError as error:
                has_ended = True
                say(f"{error.message} Searches go on, slower; start the server again.", "warning")
        return embedder.embed_inputs(inputs)

    return encode


def open_served(stack: ExitStack, serving: Serving, opened: Store) -> Served:
    """Open libraries and banks, and whatever belongs to them."""
    from specsearch.cli.graph_at import graph_folder
    from specsearch.cli.ranker import find_ranker
    from specsearch.encoder.embedder import Embedder
    from specsearch.search.similar import SearchSettings, SimilaritySearch
    from specsearch.store.bank import bank_names as banks_there
    from specsearch.store.bank import open_bank
    from specsearch.web.served import Served

    store, names = serving.store, serving.names
    network, card = serving.model.read()
    embedder = Embedder(network, card)
    collections = {
        name: stack.enter_context(opened.open(name)) for name in dict.fromkeys(names or opened.libraries())
    }
    for collection in collections.values():
        SimilaritySearch([collection], embedder, SearchSettings())  # raises where another model filled it
    banks = {
        name: open_bank(store.banks / name, card.digest)
        for name in serving.bank_names or banks_there(store.banks)
    }
    graphs = {name: graph for name, one in collections.items() if (graph := _graph(store, one)) is not None}
    beside = {name: graph_folder(store, name) for name in collections}
    ranker = find_ranker(None, card.digest)
    return Served(collections, banks, graphs, beside, embedder, network, ranker, at=_option(serving))


def _option(serving: Serving) -> str:
    """What leads to the store, for commands on pages: only those on this machine are told where it lies."""
    option = serving.store.option()
    return " --store STORE" if option and serving.keys else option


def _graph(store: StoreAt, collection: Collection) -> Graph | None:
    """The graph of a library, or None, said so where it is there and does not fit."""
    from specsearch.cli.graph_at import graph_folder
    from specsearch.cli.screen import say
    from specsearch.search.graph_files import find_graph

    graph = find_graph(graph_folder(store, collection.name))
    try:
        if graph is not None:
            graph.require_size(collection)
    except StoreError as error:
        say(f"Families of {collection.name!r} are not served. {error}")
        return None
    return graph


def _log_requests() -> None:
    """A line a request, where lines are for a program; people have the metrics."""
    from specsearch.cli.screen import say, says_json

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage(), record.levelname.lower())

    if says_json():
        logger = logging.getLogger("specsearch.web")
        logger.addHandler(Lines())
        logger.setLevel(logging.INFO)
