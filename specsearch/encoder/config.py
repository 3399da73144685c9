"""The network's shape, as data. Variants are other values of the same class."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from specsearch.errors import CheckpointError

N_PEAK_FEATURES = 8


@dataclass(frozen=True)
class EncoderConfig:
    """Dimensions of the encoder; the defaults are NexaMass-V3-Struct as published.

    Parameters
    ----------
    max_peaks : int
        Peak tokens of a spectrum, the precursor's own included.
    n_fourier : int
        Sine/cosine pairs of m/z and of neutral loss added to the eight features of a peak;
        0 in the published network.
    n_bins : int
        Bins of m/z and neutral loss with a fitted vector each; 0 in the published network.
    hidden, n_layers, n_heads, feed_forward : int
        The transformer.
    dropout : float
        On the residual branches, in training only.
    ssl_size, fingerprint_hidden, fingerprint_bits, projection_size, target_hidden, reranker_hidden : int
        The heads.
    """

    max_peaks: int = 256
    n_fourier: int = 0
    n_bins: int = 0
    hidden: int = 384
    n_layers: int = 6
    n_heads: int = 8
    feed_forward: int = 1536
    dropout: float = 0.1
    ssl_size: int = 192
    fingerprint_hidden: int = 768
    fingerprint_bits: int = 2048
    projection_size: int = 256
    target_hidden: int = 384
    reranker_hidden: int = 512

    def __post_init__(self) -> None:
        if self.hidden % self.n_heads:
            raise CheckpointError(f"hidden size {self.hidden} is not divisible by {self.n_heads} heads.")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values.

        ``n_bins`` is left out at 0: models older than the peak table keep their digests.
        """
        values = asdict(self)
        if not self.n_bins:
            del values["n_bins"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EncoderConfig:
        """Read a configuration; unknown keys are an error, since they would change the network.

        Raises
        ------
        CheckpointError
            If a key is not known.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise CheckpointError(f"The model's configuration has unknown entries: {', '.join(unknown)}.")
        return cls(**values)


PUBLISHED = EncoderConfig()
FOURIER = EncoderConfig(n_fourier=64)
CONFIGS = {"published": PUBLISHED, "fourier": FOURIER}
