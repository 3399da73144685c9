"""A small server over a real store, bank and graph: asked in this process, or over a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import uvicorn
from bank_material import MOLECULES, build, small_encoder, write_smi
from fastapi import FastAPI
from rdkit import Chem
from samples import spectra

from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import token_input
from specsearch.evaluation.library_recall import make_receipt
from specsearch.report.receipt import RECEIPT, write_receipt
from specsearch.search.duplicates import Duplicates, DuplicateSettings
from specsearch.search.graph import GraphSettings
from specsearch.search.graph_files import build_graph
from specsearch.search.library_map import keep_map
from specsearch.search.snapshot import read_snapshot
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import open_bank
from specsearch.store.points import make_point
from specsearch.store.schema import Key
from specsearch.store.store import Store, open_store
from specsearch.store.vectors import contract_of, sparse_vectors
from specsearch.web.access import Access
from specsearch.web.app import Limits, make_app
from specsearch.web.served import Served
from specsearch.web.writing import Writer

HOSTILE = "<script>alert('x')</script>"
KEY = "a key of this test only"
LIBRARY, BANK = "lib", "mine"
CAFFEINE = Spectrum.checked(
    [69.0447, 83.0604, 110.0713, 123.0427, 138.0662],
    [8.2, 12.4, 35.1, 5.3, 100.0],
    accession="caffeine",
    precursor_mz=195.0877,
    charge=1,
    adduct="[M+H]+",
    metadata={
        "compound_name": "Caffeine",
        "smiles": MOLECULES["caffeine"],
        "inchikey": "RYYVLZVUVIJVGH-UHFFFAOYSA-N",
    },
)


def records() -> list[Spectrum]:
    """Random spectra with the structures of real molecules, one with a hostile name, and caffeine's own."""
    structures = list(MOLECULES.items())
    made = []
    for i, one in enumerate(spectra(60, seed=1)):
        name, smiles = structures[i % len(structures)]
        key = Chem.MolToInchiKey(Chem.MolFromSmiles(smiles))
        known = {"compound_name": HOSTILE if i == 3 else name, "smiles": smiles, "inchikey": key}
        made.append(replace(one, accession=f"S{i}", metadata={**one.metadata, **known}))
    return [*made, CAFFEINE]


def fill(store: Store, embedder: Embedder) -> None:
    """Store the records as a library."""
    batch = records()
    inputs = [token_input(one) for one in batch]
    vectors = (embedder.embed_inputs(inputs), *sparse_vectors([item.peaks for item in inputs]))
    with store.create(LIBRARY, contract_of(embedder.card)) as collection:
        collection.upsert([make_point(LIBRARY, s, *v) for s, *v in zip(batch, *vectors, strict=True)])


@contextmanager
def small_server(folder: Path, *, is_empty: bool = False) -> Iterator[Served]:
    """Everything that can be served, or nothing."""
    network, card = small_encoder()
    embedder = Embedder(network, card)
    if is_empty:
        yield Served({}, {}, {}, {}, embedder, network, None)
        return
    build(folder / "bank", write_smi(folder / "molecules.smi", MOLECULES.items()))
    bank = replace(open_bank(folder / "bank", card.digest), name=BANK)
    with open_store(folder / "store") as store:
        fill(store, embedder)
        with store.open(LIBRARY) as collection:
            graph, _ = build_graph(read_snapshot(collection), GraphSettings(n_neighbours=5))
            graphs, beside = {LIBRARY: graph}, {LIBRARY: folder / "beside"}
            yield Served({LIBRARY: collection}, {BANK: bank}, graphs, beside, embedder, network, None)


def keep_beside(served: Served) -> None:
    """A map and a receipt beside the library: places are two numbers of each embedding, two spectra go."""
    snapshot, settings = read_snapshot(served.collections[LIBRARY]), DuplicateSettings()
    keep_map(served.beside[LIBRARY], snapshot, snapshot.embeddings[:, :2])
    goes = np.isin(snapshot.texts(Key.COMPOUND_NAME), [HOSTILE, "Caffeine"])
    stays = np.flatnonzero(~goes)[0]
    found = Duplicates(
        np.where(goes, stays, np.arange(len(goes))), np.where(goes, "identical", "").astype(object)
    )
    receipt = make_receipt(snapshot, found.kept, settings)
    write_receipt(served.beside[LIBRARY] / RECEIPT, snapshot, found, settings, receipt)


def small_app(
    served: Served, keys: tuple[str, ...] = (), limits: Limits | None = None, writer: Writer | None = None
) -> FastAPI:
    """The application over what is served."""
    limits = limits or Limits(rate="1000/second")
    hosts = ["127.0.0.1", "localhost", "testserver"] if not keys else ["*"]
    return make_app(served, Access(keys, limits.rate), hosts, limits, writer)


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The application on a real socket of this machine; its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)
