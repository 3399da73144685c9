"""Ranking the true molecule above molecules of the same mass: what a search will ask of the encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from specsearch.encoder.network import Encoder


class Decoys(NamedTuple):
    """Decoys of a batch's molecules.

    Parameters
    ----------
    bits : torch.Tensor of shape (n_molecules, n_decoys, n_bits), uint8
    present : torch.Tensor of shape (n_molecules, n_decoys), bool
        False where a molecule has fewer decoys.
    """

    bits: torch.Tensor
    present: torch.Tensor


def ranking_losses(
    network: Encoder,
    state: torch.Tensor,
    logits: torch.Tensor,
    truth: torch.Tensor,
    label: torch.Tensor,
    decoys: Decoys,
    logit_temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of the truth among truth and decoys, by raw-logit dot and by dot of projections.

    The log-likelihood of a fingerprint f under independent bits with logits z is f.z minus a term that is
    the same for all candidates of a spectrum; so f.z ranks as the likelihood does.

    Parameters
    ----------
    network : Encoder
    state : torch.Tensor of shape (n_spectra, hidden)
    logits : torch.Tensor of shape (n_spectra, n_bits)
        ``network.fingerprint(state)``.
    truth : torch.Tensor of shape (n_molecules, n_bits), float32
    label : torch.Tensor of shape (n_spectra,), int64
        Row of each spectrum's molecule in `truth`.
    decoys : Decoys
        In the order of `truth`.
    logit_temperature : float
        Divides the raw-logit dot; that of the projections is the network's own.
    """
    candidates = torch.cat([truth[:, None, :], decoys.bits.to(truth.dtype)], dim=1)
    absent = F.pad(~decoys.present, (1, 0), value=False)[label]
    by_logit = torch.einsum("sb,scb->sc", logits, candidates[label]) / logit_temperature
    targets = network.project_target(candidates)[label]
    temperature = network.log_temperature.exp().clamp(min=0.01)
    by_projection = torch.einsum("sp,scp->sc", network.project_query(state), targets) / temperature
    first = torch.zeros_like(label)
    return (
        F.cross_entropy(by_logit.masked_fill(absent, float("-inf")), first),
        F.cross_entropy(by_projection.masked_fill(absent, float("-inf")), first),
    )
