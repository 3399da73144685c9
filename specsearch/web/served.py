"""What a server has open, and what can be asked of it; every method blocks and runs in a lane."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput, token_input
from specsearch.errors import LibraryNotFound, StoreError
from specsearch.report.candidate_rows import Provenance, made_by
from specsearch.report.networks import network_of, node_rows, with_queries
from specsearch.report.rows import Row
from specsearch.search.candidates import CandidateSearch, CandidateSettings
from specsearch.search.decision import DecisionLayer
from specsearch.search.families import N_SEEDS, FamilySettings, find_family, seeds_of
from specsearch.search.graph import Kind
from specsearch.search.graph_files import Graph
from specsearch.search.library_evidence import N_NEIGHBOURS
from specsearch.search.shortlists import Shortlist
from specsearch.search.similar import Answer, SearchSettings, SimilaritySearch
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Bank
from specsearch.store.points import point_id
from specsearch.store.schema import Key
from specsearch.store.spectra import spectrum_of
from specsearch.store.store import Collection

_LOG = logging.getLogger(__name__)
Encode = Callable[[Sequence[TokenInput]], NDArray[np.float32]]


@dataclass(eq=False)
class Served:
    """Libraries, banks and graphs that are open, and the model that made them.

    Parameters
    ----------
    collections : mapping of str to Collection
        By name.
    banks : mapping of str to Bank
    graphs : mapping of str to Graph
        By the name of the library; only those that fit it.
    beside : mapping of str to Path
        By the name of the library: the folder where its map and its receipt are kept.
    embedder : Embedder
    network : Encoder
        The embedder's, on the CPU, in evaluation mode.
    decision : DecisionLayer or None
        What ranks candidates; None ranks by a fixed rule.
    encode : callable, optional
        As `Embedder.embed_inputs`, in another process, so that it does not hold up this one.
    at : str, optional
        What leads a command to the store, as `` --store FOLDER``; empty where nothing need be said.
    """

    collections: Mapping[str, Collection]
    banks: Mapping[str, Bank]
    graphs: Mapping[str, Graph]
    beside: Mapping[str, Path]
    embedder: Embedder
    network: Encoder
    decision: DecisionLayer | None
    encode: Encode | None = None
    at: str = ""

    def take_up(self, collection: Collection, beside: Path) -> None:
        """Serve a library that was opened, or opened again: no longer with a graph that does not fit it.

        Mappings are replaced, not changed: another thread may be looking at them.
        """
        name = collection.name
        self.collections = {**self.collections, name: collection}
        self.beside = {**self.beside, name: beside}
        if name in self.graphs and self.graphs[name].nodes.num_rows != collection.count():
            self.graphs = {other: graph for other, graph in self.graphs.items() if other != name}

    def is_answering(self) -> bool:
        """Whether any of the libraries can be asked; where there is none, nothing is amiss."""
        return not self.collections or any(map(_can_be_asked, self.collections.values()))

    def sizes(self) -> dict[str, int | None]:
        """How many spectra each library holds; None for one that cannot be asked.

        Raises
        ------
        StoreError
            If none of them can.
        """
        sizes: dict[str, int | None] = {}
        fault: StoreError | None = None
        for name, collection in self.collections.items():
            try:
                sizes[name] = collection.count()
            except StoreError as error:
                _LOG.error("%s", error)  # it names folders of this machine
                sizes[name], fault = None, error
        if fault is not None and set(sizes.values()) == {None}:
            raise fault
        return sizes

    def require_libraries(self, names: Sequence[str]) -> tuple[str, ...]:
        """The libraries meant; all of them where none is named.

        Raises
        ------
        LibraryNotFound
        """
        for name in names:
            require(name, self.collections, "library")
        if not self.collections:
            raise LibraryNotFound(
                "No library is served.", 'Make one with "specsearch index" and start the server again.'
            )
        return tuple(dict.fromkeys(names)) or tuple(self.collections)

    def require_library(self, name: str | None) -> str:
        """The library meant; the only one where none is named.

        Raises
        ------
        LibraryNotFound
        """
        if name is None and len(self.collections) == 1:
            return next(iter(self.collections))
        return require(name or "", self.collections, "library")

    def require_bank(self, name: str | None) -> Bank:
        """The bank meant; the only one where none is named.

        Raises
        ------
        LibraryNotFound
        """
        if name is None and len(self.banks) == 1:
            return next(iter(self.banks.values()))
        return self.banks[require(name or "", self.banks, "bank")]

    def embeddings(self, spectra: Sequence[Spectrum]) -> NDArray[np.float32]:
        """Embeddings of unit norm, a row a spectrum, made apart from the engine where that is possible."""
        inputs = [token_input(spectrum) for spectrum in spectra]
        return (self.encode or self.embedder.embed_inputs)(inputs)

    def search(
        self,
        libraries: Sequence[str],
        settings: SearchSettings,
        spectra: Sequence[Spectrum],
        embeddings: NDArray[np.float32] | None = None,
    ) -> list[Answer]:
        """What looks like these spectra, whose embeddings may be known already."""
        collections = [self.collections[name] for name in libraries]
        return list(SimilaritySearch(collections, self.embedder, settings).search(spectra, embeddings))

    def identify(
        self, bank: Bank, libraries: Sequence[str], settings: CandidateSettings, spectra: Sequence[Spectrum]
    ) -> list[Shortlist]:
        """What these spectra could be."""
        evidence = SearchSettings(top=N_NEIGHBOURS, n_candidates=100)
        collections = [self.collections[name] for name in libraries]
        similar = SimilaritySearch(collections, self.embedder, evidence) if collections else None
        return list(CandidateSearch(bank, self.embedder, self.network, settings, similar).search(spectra))

    def provenance(self, bank: Bank) -> Provenance:
        """What answers from a bank are made with."""
        return made_by(bank, self.embedder.card.digest, self.decision)

    def spectrum(self, spectrum_id: str) -> Spectrum:
        """One spectrum of a library.

        Raises
        ------
        LibraryNotFound
        """
        return next(iter(self.spectra([spectrum_id]).values()))

    def spectra(self, spectrum_ids: Sequence[str]) -> dict[str, Spectrum]:
        """Spectra of libraries, by their ids, in the order asked.

        Raises
        ------
        LibraryNotFound
            If one is not there.
        """
        found: dict[str, Spectrum] = {}
        for name, ids in _by_library(spectrum_ids).items():
            collection = self.collections[require(name, self.collections, "library")]
            records = collection.fetch(list(ids))
            for point, spectrum_id in ids.items():
                if point not in records:
                    raise LibraryNotFound(
                        f"There is no spectrum {spectrum_id!r}.",
                        'Ids are "LIBRARY:ACCESSION", as hits show them.',
                    )
                found[spectrum_id] = spectrum_of(records[point])
        return {spectrum_id: found[spectrum_id] for spectrum_id in spectrum_ids}

    def family(self, spectrum_id: str, settings: FamilySettings) -> tuple[nx.Graph, list[Row]]:
        """The structure family around a spectrum of a library: its network, and a row a member.

        Raises
        ------
        LibraryNotFound
            If there is no such spectrum, or no graph of its library.
        """
        graph = self._graph(spectrum_id.partition(":")[0])
        return _family(graph, {graph.row_of(spectrum_id): 1.0}, settings)

    def family_around(
        self, library: str, spectrum: Spectrum, settings: FamilySettings
    ) -> tuple[nx.Graph, list[Row]]:
        """The structure family that a spectrum would have in a library; its hits are one hop away.

        Raises
        ------
        LibraryNotFound
            If the library has no graph.
        """
        graph = self._graph(library)
        answers = [one for one in self.search([library], SearchSettings(top=N_SEEDS), [spectrum]) if one.hits]
        further = replace(settings, hops=max(0, settings.hops - 1))
        network, rows = _family(graph, seeds_of(graph, answers), further)
        return network, with_queries(network, rows, answers)

    def _graph(self, name: str) -> Graph:
        require(name, self.collections, "library")
        if name not in self.graphs:
            raise LibraryNotFound(
                f"The library {name!r} has no neighbour graph that fits it.",
                f'End the server, run "specsearch graph {name}{self.at}", and start it again.',
            )
        return self.graphs[name]

    def embed(self, spectra: Sequence[Spectrum]) -> list[list[float] | None]:
        """Embeddings of unit norm, rounded to seven digits; None for a spectrum without fragments."""
        vectors = self.embedder.embed_inputs([token_input(spectrum) for spectrum in spectra])
        return [np.asarray(v, np.float64).round(7).tolist() if len(v) else None for v in vectors]


def _family(graph: Graph, seeds: Mapping[int, float], settings: FamilySettings) -> tuple[nx.Graph, list[Row]]:
    molecules = graph.nodes[Key.INCHIKEY14].to_pylist()
    family = find_family(graph.of(Kind.EVERYWHERE), molecules, seeds, settings)
    rows = node_rows(graph.nodes, family)
    return network_of(rows, family), rows


def require(name: str, known: Mapping[str, object], what: str) -> str:
    """The name, if it is served; raises `LibraryNotFound`."""
    if name not in known:
        there = ", ".join(known) or "none"
        raise LibraryNotFound(f"There is no {what} {name!r}.", f"Served: {there}.")
    return name


def _can_be_asked(collection: Collection) -> bool:
    try:
        collection.count(exact=False)
    except StoreError:
        return False
    return True


def _by_library(spectrum_ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
    """Point id to spectrum id, by library."""
    found: dict[str, dict[str, str]] = {}
    for spectrum_id in spectrum_ids:
        name, _, accession = spectrum_id.partition(":")
        found.setdefault(name, {})[point_id(name, accession)] = spectrum_id
    return found


def in_slices(spectra: Sequence[Spectrum], n_rows: int) -> Iterator[Sequence[Spectrum]]:
    """Spectra a few at a time, so that long jobs let others in between."""
    for start in range(0, len(spectra), n_rows):
        yield spectra[start : start + n_rows]
