"""What the encoder says of queries: fingerprint logits and query projections, one pass for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import token_input
from specsearch.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class QueryOutputs:
    """The encoder's answers about some spectra, in their order.

    Parameters
    ----------
    logits : numpy.ndarray of shape (n_spectra, n_bits), float32
        Log-odds of each Morgan bit.
    projection : numpy.ndarray of shape (n_spectra, projection_size), float32
        Unit rows, to be compared with target projections of molecules.
    """

    logits: NDArray[np.float32]
    projection: NDArray[np.float32]


def read_queries(embedder: Embedder, network: Encoder, spectra: Sequence[Spectrum]) -> QueryOutputs:
    """Encode spectra and read the heads.

    Parameters
    ----------
    embedder : Embedder
        Of the same network.
    network : Encoder
        In evaluation mode, on the CPU, in float32: the heads are small.
    spectra : sequence of Spectrum
    """
    states = torch.from_numpy(embedder.states([token_input(spectrum) for spectrum in spectra]))
    with torch.inference_mode():
        return QueryOutputs(network.fingerprint(states).numpy(), network.project_query(states).numpy())
