"""Spectra in, unit vectors out: batches bucketed by length, order kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT, Card, load_checkpoint
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenBatch, TokenInput, collate, token_input
from specsearch.spectra.spectrum import Spectrum

EMBEDDING_KIND = "state"
# Padded tokens of one batch: on a CPU a batch this size stays near the caches, a GPU wants to be filled.
_CPU_TOKENS = 2048
_GPU_TOKENS = 262_144


class Embedder:
    """An encoder on its devices, ready to embed.

    Parameters
    ----------
    network : Encoder
        In evaluation mode.
    card : Card
        Its card, with the digest that collections remember.
    devices : sequence of torch.device, optional
        Where copies of the network run; all CUDA devices where there are any, else the CPU.
    dtype : torch.dtype, optional
        Of the arithmetic; what the devices are fastest at.

    Attributes
    ----------
    network, card
        As given: what another machine makes an embedder of for its own devices.
    """

    def __init__(
        self,
        network: Encoder,
        card: Card,
        devices: Sequence[torch.device] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.network = network
        self.card = card
        self.devices = list(devices) if devices else _all_devices()
        self.dtype = dtype or _fastest_dtype(self.devices[0])
        self._networks = [_copy_to(network, device, self.dtype) for device in self.devices]

    @classmethod
    def load(cls, path: Path = DEFAULT_CHECKPOINT, key_map: dict[str, str] | None = None) -> Embedder:
        """Load a model file (by default the shipped one)."""
        return cls(*load_checkpoint(path, key_map))

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return self.card.config.hidden

    def embed(self, spectra: Iterable[Spectrum]) -> NDArray[np.float32]:
        """Embed spectra.

        Returns
        -------
        numpy.ndarray of shape (n_spectra, size), float32
            Unit-length rows, in the order of the input.
        """
        return self.embed_inputs([token_input(spectrum) for spectrum in spectra])

    def embed_inputs(self, inputs: Sequence[TokenInput]) -> NDArray[np.float32]:
        """Embed prepared spectra; rows in the order of the input."""
        states = torch.from_numpy(self.states(inputs))
        return self._networks[0].embed(states).numpy()

    def states(
        self, inputs: Sequence[TokenInput], on_done: Callable[[int], None] = lambda n_spectra: None
    ) -> NDArray[np.float32]:
        """Pooled states of prepared spectra, not normalised: what every head of the network reads.

        Parameters
        ----------
        inputs : sequence of TokenInput
        on_done : callable
            Told after each batch how many spectra it held.

        Returns
        -------
        numpy.ndarray of shape (n_spectra, size), float32
            Rows in the order of the input.
        """
        out = np.empty((len(inputs), self.size), dtype=np.float32)
        pending: list[tuple[list[int], torch.Tensor]] = []
        for number, rows in enumerate(self._batches(inputs)):
            # Launches on a GPU return at once, so several devices work side by side.
            pending.append((rows, self._run(number % len(self.devices), collate([inputs[r] for r in rows]))))
            if len(pending) >= 2 * len(self.devices):
                _collect(pending.pop(0), out)
            on_done(len(rows))
        for item in pending:
            _collect(item, out)
        return out

    def _run(self, which: int, batch: TokenBatch) -> torch.Tensor:
        network, device = self._networks[which], self.devices[which]
        with torch.inference_mode():
            batch = batch.to(device)
            features = batch.features.to(self.dtype)
            return network(TokenBatch(features, batch.mz, batch.loss, batch.mask)).float()

    def _batches(self, inputs: Sequence[TokenInput]) -> Iterator[list[int]]:
        """Rows grouped by length, so that short spectra do not pay for long ones."""
        budget = _CPU_TOKENS if self.devices[0].type == "cpu" else _GPU_TOKENS
        lengths = np.array([item.n_tokens + 1 for item in inputs])
        rows: list[int] = []
        for row in np.argsort(-lengths, kind="stable").tolist():
            # Longest first: the first row of a batch is as wide as the batch will be.
            if rows and (len(rows) + 1) * lengths[rows[0]] > budget:
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows


def _collect(item: tuple[list[int], torch.Tensor], out: NDArray[np.float32]) -> None:
    rows, vectors = item
    out[rows] = vectors.cpu().numpy()


def _all_devices() -> list[torch.device]:
    if torch.cuda.is_available():
        return [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    return [torch.device("cpu")]


def _fastest_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it natively; emulated, as on other CPUs, it is 3-4x slower."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if native else torch.float32


def _copy_to(network: Encoder, device: torch.device, dtype: torch.dtype) -> Encoder:
    copy = Encoder(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.to(device=device, dtype=dtype).eval()
