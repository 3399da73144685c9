"""What can be put to the test: anything that embeds spectra, our encoder first of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN, unpack_bits
from specsearch.encoder.checkpoint import Card
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput
from specsearch.errors import CheckpointError
from specsearch.evaluation.cache import kept_array
from specsearch.evaluation.outputs import Outputs
from specsearch.evaluation.progress import Progress, silent

_BLOCK = 2048


class Model(Protocol):
    """A model under evaluation."""

    def read(self, inputs: Sequence[TokenInput], what: str, progress: Progress = silent) -> Outputs:
        """Answers about prepared spectra, in their order; `what` names them for the progress."""

    def targets(self, packed: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Target projections of packed fingerprints (n_molecules, n_bytes), or None where it has none."""


class EncoderModel:
    """An encoder checkpoint under evaluation.

    Parameters
    ----------
    network : Encoder
        In evaluation mode, on the CPU: its heads are read in float32.
    card : Card
        With the digest, by which states are found again.
    cache : Path, optional
        Folder where states are kept between runs.

    Raises
    ------
    CheckpointError
        If its fingerprints have another length than ours.
    """

    def __init__(self, network: Encoder, card: Card, cache: Path | None = None) -> None:
        if network.config.fingerprint_bits != DEFAULT_MORGAN.n_bits:
            raise CheckpointError(
                f"The model predicts {network.config.fingerprint_bits} fingerprint bits; "
                f"evaluation compares them with {DEFAULT_MORGAN.n_bits} Morgan bits."
            )
        self._network = network
        self._embedder = Embedder(network, card)
        self._cache = cache

    def read(self, inputs: Sequence[TokenInput], what: str, progress: Progress = silent) -> Outputs:
        """One pass over the spectra; embedding, logits and query projection are read off it."""
        states = self._states(inputs, what, progress)
        blocks = [torch.from_numpy(states[start : start + _BLOCK]) for start in range(0, len(states), _BLOCK)]
        heads = (self._network.embed, self._network.fingerprint, self._network.project_query)
        with torch.inference_mode():
            return Outputs(*(torch.cat([head(block) for block in blocks]).numpy() for head in heads))

    def targets(self, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Target projections of packed fingerprints, shape (n_molecules, projection_size)."""
        blocks = []
        for start in range(0, len(packed), _BLOCK):
            bits = unpack_bits(packed[start : start + _BLOCK], DEFAULT_MORGAN.n_bits)
            with torch.inference_mode():
                blocks.append(self._network.project_target(torch.from_numpy(bits).float()).numpy())
        return np.concatenate(blocks)

    def _states(self, inputs: Sequence[TokenInput], what: str, progress: Progress) -> NDArray[np.float32]:
        done = 0

        def report(n_spectra: int) -> None:
            nonlocal done
            done += n_spectra
            progress(f"encoding {what}", done, len(inputs))

        path = None if self._cache is None else self._cache / f"states-{self._name(inputs)}.npy"
        return kept_array(path, lambda: self._embedder.states(inputs, report))

    def _name(self, inputs: Sequence[TokenInput]) -> str:
        """A name that changes with the model, its arithmetic, and every peak."""
        known = hashlib.sha256(f"{self._embedder.card.digest}|{self._embedder.dtype}".encode())
        for item in inputs:
            known.update(f"{item.peaks.precursor_mz!r}|{item.charge_sign}|{len(item.peaks.mz)}|".encode())
            known.update(item.peaks.mz.tobytes())
            known.update(item.peaks.intensity.tobytes())
        return known.hexdigest()[:32]
