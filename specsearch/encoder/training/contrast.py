"""Contrastive loss: views of one thing together, all others apart."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def contrastive(
    projected: torch.Tensor, label: torch.Tensor, temperature: float, ignored: torch.Tensor | None = None
) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al., arXiv 2004.11362); InfoNCE where every label occurs twice.

    Parameters
    ----------
    projected : torch.Tensor of shape (n_views, size)
        Scaled to unit length here.
    label : torch.Tensor of shape (n_views,), int64
        Views with the same label belong together; each label occurs at least twice.
    temperature : float
        Of the softmax.
    ignored : torch.Tensor of shape (n_views, n_views), bool, optional
        Pairs that are neither: views of one label among them still belong together.
    """
    unit = F.normalize(projected, dim=-1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    same = (label[:, None] == label[None, :]) & ~itself
    left_out = itself if ignored is None else itself | (ignored & ~same)
    logits = (unit @ unit.T / temperature).masked_fill(left_out, float("-inf"))
    log_p = F.log_softmax(logits, dim=1).masked_fill(~same, 0.0)
    return -(log_p.sum(dim=1) / same.sum(dim=1)).mean()
