"""A batch: views of spectra in buckets by length, and what they are to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenBatch, TokenInput, collate

_BUCKETS = 4  # keep padding small


@dataclass(frozen=True, eq=False)
class Batch:
    """Views ready for the network.

    Parameters
    ----------
    names : list of str
        The spectra behind the views, for messages.
    buckets : list of TokenBatch
        Views of similar length together.
    place : torch.Tensor of shape (n_views,), int64
        Where each view stands among the buckets laid end to end.
    targets : dict of torch.Tensor
        What a phase compares the views with.
    recalled : torch.Tensor of shape (n_views, hidden), optional
        In the order of the buckets, what a peak table says that has not seen the views' molecules.
    """

    names: list[str]
    buckets: list[TokenBatch]
    place: torch.Tensor
    targets: dict[str, torch.Tensor]
    recalled: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        names: list[str],
        views: Sequence[TokenInput],
        targets: dict[str, torch.Tensor],
        recalled: torch.Tensor | None = None,
    ) -> Batch:
        """Pad the views, bucket by bucket; `recalled` is in the order of the views."""
        order = sorted(range(len(views)), key=lambda i: views[i].n_tokens)
        size = -(-len(order) // _BUCKETS)
        buckets = [order[i : i + size] for i in range(0, len(order), size)]
        place = torch.empty(len(order), dtype=torch.long)
        place[torch.tensor(order)] = torch.arange(len(order))
        padded = [collate([views[i] for i in rows]) for rows in buckets]
        return cls(names, padded, place, targets, None if recalled is None else recalled[torch.tensor(order)])

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.names,
            [bucket.to(device) for bucket in self.buckets],
            self.place.to(device),
            {name: values.to(device) for name, values in self.targets.items()},
            None if self.recalled is None else self.recalled.to(device),
        )

    def states(self, network: Encoder) -> torch.Tensor:
        """Pooled states in the order of the views, shape (n_views, hidden)."""
        if self.recalled is None:
            return torch.cat([network(bucket) for bucket in self.buckets])[self.place]
        recalled = self.recalled.split([len(bucket.mask) for bucket in self.buckets])
        return torch.cat(list(map(network, self.buckets, recalled)))[self.place]
