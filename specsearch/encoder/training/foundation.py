"""The foundation phase: any spectra, no annotation. Two views of a spectrum are to be recognised as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.augment import augment
from specsearch.encoder.training.batch import Batch
from specsearch.encoder.training.contrast import contrastive
from specsearch.encoder.training.pools import Pools
from specsearch.encoder.training.recipe import FoundationRecipe
from specsearch.encoder.training.validation import spread, states
from specsearch.encoder.training.workplace import CPU

# Peaks are asked for by nominal mass: fine enough to tell fragments apart, coarse enough for one layer.
N_BINS = 1500
_LIGHT, _DEEP = 256, 2048


class FoundationPhase:
    """What the loop asks of the foundation phase.

    Parameters
    ----------
    recipe : FoundationRecipe
    pools : Pools
    device : torch.device

    Raises
    ------
    TrainingError
        If no spectrum is held out.
    """

    def __init__(self, recipe: FoundationRecipe, pools: Pools, device: torch.device = CPU) -> None:
        self._recipe, self._pools = recipe, pools
        self._held_out = pools.held_out(_DEEP)
        torch.manual_seed(recipe.seed)
        self.head = nn.Linear(recipe.config.hidden, N_BINS).to(device)

    def prepare(self, network: Encoder) -> None:
        """Nothing: a peak table needs molecules."""

    def batch(self, number: int) -> Batch:
        """Two views of each of some spectra, and the peaks that each view lacks."""
        pool, rows, generator = self._pools.draw(number)
        items = [pool[row] for row in np.repeat(rows, 2).tolist()]
        views = [augment(item, self._recipe.augmentation, generator) for item in items]
        missing = np.stack([missing_peaks(item, view) for item, view in zip(items, views, strict=True)])
        targets = {
            "label": torch.arange(len(rows)).repeat_interleave(2),
            "precursor_mz": torch.from_numpy(np.repeat(pool.precursor_mz[rows], 2)),
            "missing": torch.from_numpy(missing),
        }
        return Batch.of([pool.accession[row] for row in rows], views, targets)

    def losses(self, network: Encoder, state: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """``contrastive`` (InfoNCE on the SSL projection) and ``masked_peaks``."""
        label, precursor_mz = batch.targets["label"], batch.targets["precursor_mz"]
        apart = (precursor_mz[:, None] - precursor_mz[None, :]).abs()
        # Spectra of one precursor may be of one compound: to push them apart would unlearn what is wanted.
        is_near = apart <= precursor_mz[:, None] * (self._recipe.same_precursor_ppm * 1e-6)
        projected = network.ssl(state)
        losses = {
            "contrastive": contrastive(projected, label, self._recipe.temperature, is_near | is_near.T),
            "masked_peaks": self._recipe.masked_peaks
            * masked_peak_loss(self.head(state), batch.targets["missing"]),
        }
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def judge(self, network: Encoder, is_last: bool) -> dict[str, float]:
        """Whether held-out spectra are recognised among many, by another view of them.

        Returns
        -------
        dict
            ``found_by_peaks``: share of views whose nearest neighbour among the other views is of their own
            spectrum, no view showing its precursor, among at most 256 spectra (the ``score``); ``spread``:
            as in `validation.validate`. At the end of the phase also ``deep_found`` and
            ``deep_found_by_peaks``, among all that are held out, with and without precursor.
        """
        light = np.arange(min(_LIGHT, len(self._held_out)))
        found, embedding = self._found(network, light, with_precursor=False)
        figures = {"found_by_peaks": found, "spread": spread(embedding), "score": found}
        if is_last:
            everything = np.arange(len(self._held_out))
            figures["deep_found"], _ = self._found(network, everything, with_precursor=True)
            figures["deep_found_by_peaks"], _ = self._found(network, everything, with_precursor=False)
        return figures

    def _found(
        self, network: Encoder, rows: NDArray[np.int64], with_precursor: bool
    ) -> tuple[float, torch.Tensor]:
        how = replace(self._recipe.augmentation, precursor_dropout=0.0 if with_precursor else 1.0)
        generator = np.random.default_rng(0)  # the same views at every validation
        views = [[augment(self._held_out[row], how, generator) for row in rows] for _ in range(2)]
        with torch.inference_mode():
            first, second = (network.embed(states(network, each)) for each in views)
            nearest = (first @ second.T).argmax(dim=1).cpu().numpy()
        return float((nearest == np.arange(len(rows))).mean()), first


def missing_peaks(whole: TokenInput, view: TokenInput) -> NDArray[np.float32]:
    """Which nominal masses a view lacks, weighted by the square root of intensity.

    Returns
    -------
    numpy.ndarray of shape (N_BINS,), float32
        Sums to 1; all 0 where nothing is missing.
    """
    bins = np.rint(whole.peaks.mz).astype(np.int64)
    missing = (bins < N_BINS) & ~np.isin(bins, np.rint(view.peaks.mz).astype(np.int64))
    weight = np.bincount(bins[missing], np.sqrt(whole.peaks.intensity[missing]), minlength=N_BINS)
    return (weight / max(weight.sum(), 1e-9)).astype(np.float32)


def masked_peak_loss(logits: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the peaks that views lack, over views that lack any.

    Parameters
    ----------
    logits, missing : torch.Tensor of shape (n_views, N_BINS)
    """
    loss = -(missing * F.log_softmax(logits, dim=1)).sum(dim=1)
    return loss.sum() / (missing.sum(dim=1) > 0).sum().clamp(min=1)
