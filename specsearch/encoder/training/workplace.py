"""Where a run computes: the device, the arithmetic, and the other processes that share its steps.

Processes are started by ``torchrun``, which tells each its rank in the environment. Gradients are
averaged here by hand instead of through ``DistributedDataParallel``: the losses call several heads of
the network, not its ``forward`` alone, and a plain average keeps the result of a step the same however
many processes share it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

CPU = torch.device("cpu")
# The first process validates, reads and caches while the others wait for it.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Workplace:
    """One process of a run.

    Parameters
    ----------
    device : torch.device
    rank, n_ranks : int
        Which process this is, of how many.
    """

    device: torch.device = CPU
    rank: int = 0
    n_ranks: int = 1

    @classmethod
    def from_environment(cls) -> Workplace:
        """The GPU where there is one, else the CPU; joins the other processes under ``torchrun``."""
        local = int(os.environ.get("LOCAL_RANK", "0"))
        has_gpu = torch.cuda.is_available()
        device = torch.device("cuda", local) if has_gpu else CPU
        if has_gpu:
            torch.cuda.set_device(device)
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if has_gpu else "gloo", timeout=_PATIENCE)
        return cls(device, dist.get_rank(), dist.get_world_size())

    @classmethod
    @contextmanager
    def joined(cls) -> Iterator[Workplace]:
        """`from_environment`, and leave the other processes in the end."""
        place = cls.from_environment()
        yield place
        if place.n_ranks > 1:  # after an error torchrun ends the others; waiting for them could be for ever
            dist.destroy_process_group()

    def __str__(self) -> str:
        several = f", process {self.rank + 1} of {self.n_ranks}" if self.n_ranks > 1 else ""
        return f"{self.device}{several}"

    @property
    def is_first(self) -> bool:
        """Whether this process speaks, validates and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.n_ranks > 1:
            dist.barrier()

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Let the first process do something alone; the others then find what it left on disk."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes."""
        if self.n_ranks == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.n_ranks
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def average_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Named numbers, the same names everywhere, as their means over all processes."""
        if self.n_ranks == 1:
            return dict(numbers)
        values = torch.tensor(list(numbers.values()), device=self.device)
        dist.all_reduce(values)
        return dict(zip(numbers, (values / self.n_ranks).tolist(), strict=True))

    def arithmetic(self, bf16: bool) -> AbstractContextManager:
        """Bfloat16 autocast where it is asked for and native; emulated it is 3-4x slower."""
        return (
            torch.autocast(self.device.type, torch.bfloat16) if bf16 and self._has_bf16() else nullcontext()
        )

    def _has_bf16(self) -> bool:
        if self.device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
