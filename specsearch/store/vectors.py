"""From a spectrum to what is stored and asked: ingest and search take this one road."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.embedder import EMBEDDING_KIND
from specsearch.spectra.binned import BINNING_RECIPE, SparseRows, bin_spectra
from specsearch.spectra.cleaning import ENCODER_RECIPE, Peaks
from specsearch.store.points import SparseVector
from specsearch.store.schema import Contract


def contract_of(card: Card) -> Contract:
    """The contract of collections filled, or asked, with this encoder."""
    return Contract(
        encoder_digest=card.digest,
        embedding_kind=EMBEDDING_KIND,
        embedding_size=card.config.hidden,
        cleaning_recipe=ENCODER_RECIPE.name,
        sparse_recipe=BINNING_RECIPE.name,
        specsearch_version=_own_version(),
    )


@cache
def _own_version() -> str:
    return version("specsearch")  # looked up on disk, which takes a millisecond


def sparse_vectors(batch: Sequence[Peaks]) -> tuple[list[SparseVector], list[SparseVector]]:
    """The `peaks` and `losses` vectors of spectra prepared by the encoder's recipe."""
    peaks, losses = bin_spectra(batch)
    return _vectors(peaks), _vectors(losses)


def _vectors(rows: SparseRows) -> list[SparseVector]:
    return [SparseVector(*rows.row(i)) for i in range(len(rows))]
