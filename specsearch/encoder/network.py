"""The encoder network, to be read in one sitting.

An encoder-only transformer over peak tokens with a learned summary token (CLS); its final state,
scaled to unit length, is a spectrum's embedding. Beside the transformer there may be a peak table
(`peak_table.py`), whose word is added to the state. With the default configuration this has exactly the
14,106,690 parameters of NexaMass-V3-Struct. The published card gives dimensions and the total, not
the layout; this layout meets every figure.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from specsearch.encoder.config import N_PEAK_FEATURES, EncoderConfig
from specsearch.encoder.peak_table import PeakTable
from specsearch.encoder.tokens import TokenBatch

# Periods of the Fourier features in Da: from the whole m/z range down to instrument accuracy.
_LONGEST_PERIOD_DA = 2000.0
_SHORTEST_PERIOD_DA = 0.02
# Where there is a peak table, the rest of the network begins as a small correction of what it says.
_FIRST_CORRECTION = 0.1


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.norm_attention = nn.LayerNorm(config.hidden)
        self.qkv = nn.Linear(config.hidden, 3 * config.hidden)
        self.out = nn.Linear(config.hidden, config.hidden)
        self.norm_feed_forward = nn.LayerNorm(config.hidden)
        self.up = nn.Linear(config.hidden, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map states (n, t, hidden) to states; `mask` (n, 1, 1, t) is True where there is a token."""
        x = x + self.dropout(self.attend(self.norm_attention(x), mask))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm_feed_forward(x)))))

    def attend(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, t, hidden = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.n_heads, hidden // self.n_heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(n, t, hidden))


class Encoder(nn.Module):
    """Spectrum encoder with its heads.

    Parameters
    ----------
    config : EncoderConfig
        Its shape.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        hidden, size = config.hidden, config.projection_size
        self.peaks = nn.Linear(N_PEAK_FEATURES + 4 * config.n_fourier, hidden)
        self.cls = nn.Parameter(torch.randn(hidden) * 0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(hidden)
        if config.n_bins:
            self.table = PeakTable(config.n_bins, hidden)
            self.recall = nn.Linear(hidden, hidden, bias=False)
            self.recall.weight.data.copy_(torch.eye(hidden) * hidden**0.5)
            nn.init.constant_(self.norm.weight, _FIRST_CORRECTION)
        self.ssl = nn.Linear(hidden, config.ssl_size)
        self.fingerprint = nn.Sequential(
            nn.Linear(hidden, config.fingerprint_hidden),
            nn.LayerNorm(config.fingerprint_hidden),
            nn.GELU(),
            nn.Linear(config.fingerprint_hidden, config.fingerprint_bits),
        )
        self.query = nn.Linear(hidden, size)
        self.target = nn.Sequential(
            nn.Linear(config.fingerprint_bits, config.target_hidden),
            nn.GELU(),
            nn.Linear(config.target_hidden, size),
        )
        self.reranker = nn.Sequential(
            nn.Linear(4 * size, config.reranker_hidden), nn.GELU(), nn.Linear(config.reranker_hidden, 1)
        )
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.07)))

    def forward(self, batch: TokenBatch, recalled: torch.Tensor | None = None) -> torch.Tensor:
        """Return the pooled state of each spectrum, shape (n_spectra, hidden); not normalised.

        Parameters
        ----------
        batch : TokenBatch
        recalled : torch.Tensor of shape (n_spectra, hidden), optional
            In training, what a table says that was fitted without these spectra's molecules.

        Raises
        ------
        ValueError
            If a spectrum has more tokens than the configuration allows.
        """
        if batch.mask.shape[1] > self.config.max_peaks:
            raise ValueError(f"{batch.mask.shape[1]} tokens in a spectrum, at most {self.config.max_peaks}")
        tokens = self.peaks(self.token_features(batch))
        cls = self.cls.expand(len(tokens), 1, -1)
        x = torch.cat([cls, tokens], dim=1)
        mask = F.pad(batch.mask, (1, 0), value=True)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        state = self.norm(x[:, 0])
        if not self.config.n_bins:
            return state
        return state + self.recall(self.table(batch) if recalled is None else recalled)

    def token_features(self, batch: TokenBatch) -> torch.Tensor:
        """The eight features, followed by sines and cosines of m/z and neutral loss where configured."""
        if not self.config.n_fourier:
            return batch.features
        exponent = torch.linspace(0, 1, self.config.n_fourier, dtype=torch.float64, device=batch.mz.device)
        period_da = _LONGEST_PERIOD_DA * (_SHORTEST_PERIOD_DA / _LONGEST_PERIOD_DA) ** exponent
        waves = [batch.features]
        for values in (batch.mz, batch.loss):
            # Whole turns are removed in float64; what is left fits float32.
            turns = values.unsqueeze(-1) / period_da
            angle = ((turns - turns.round()) * (2 * math.pi)).float()
            waves += [angle.sin(), angle.cos()]
        return torch.cat(waves, dim=-1).to(batch.features.dtype)

    def embed(self, state: torch.Tensor) -> torch.Tensor:
        """Unit-length embedding, shape (n, hidden): what a library stores."""
        return F.normalize(state, dim=-1)

    def project_query(self, state: torch.Tensor) -> torch.Tensor:
        """Unit-length query projection of spectra, shape (n, projection_size)."""
        return F.normalize(self.query(state), dim=-1)

    def project_target(self, fingerprint: torch.Tensor) -> torch.Tensor:
        """Unit-length target projection of Morgan fingerprints (n, 2048) in {0, 1}."""
        return F.normalize(self.target(fingerprint), dim=-1)

    def rerank(self, query: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Experimental score of paired projections (n, projection_size), shape (n,)."""
        pair = torch.cat([query, target, query * target, (query - target).abs()], dim=-1)
        return self.reranker(pair).squeeze(-1)

    def n_parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.parameters())
