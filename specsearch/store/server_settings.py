"""How a new library on a Qdrant server is made: over how many nodes, in how many copies, how small."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from specsearch.errors import StoreError


class Quantization(StrEnum):
    """How small the copy of the embeddings is that a search walks over; the hits are always rescored."""

    NONE = "none"
    INT8 = "int8"  # a fourth of float32
    BINARY = "binary"  # a thirty-second


# So many times the wanted hits are taken from the small vectors, then compared by the stored ones. In the
# embedded engine, int8 with 2 loses nothing of the nearest 10 among 100,000 synthetic vectors.
OVERSAMPLING: Final = {Quantization.INT8: 2.0, Quantization.BINARY: 4.0}
QUANTILE: Final = 0.99  # int8 steps span this share of the values, so that a few large ones cost no precision


@dataclass(frozen=True)
class ServerSettings:
    """What is decided when a library is made, and stays.

    Parameters
    ----------
    shards, replicas : int, optional
        Parts of a library, and copies of each; None leaves it to the server, whose own default is a shard for
        each node and one copy.
    write_consistency : int, optional
        Copies that must have a write before it counts; None leaves it to the server (one).
    quantization : Quantization
    on_disk : bool
        Keep vectors, payloads and their indexes (of peaks and losses, too) on disk and read them when asked
        for; the graph and small vectors stay in memory.

    Raises
    ------
    StoreError
        If a write would have to reach more copies than there are.
    """

    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None
    quantization: Quantization = Quantization.NONE
    on_disk: bool = False

    def __post_init__(self) -> None:
        n_needed, n_copies = self.write_consistency or 1, self.replicas
        if n_copies is not None and n_needed > n_copies:
            raise StoreError(
                f"A write cannot reach {n_needed} copies where there are {n_copies}.",
                "Ask for more replicas, or a smaller write consistency.",
            )

    def __str__(self) -> str:
        n_written = self.write_consistency
        counts = ((self.shards, "shards"), (self.replicas, "replicas"), (n_written, "for a write"))
        said = [f"{count} {what}" for count, what in counts if count is not None]
        said.append(f"quantization {self.quantization}")
        return ", ".join([*said, "on disk" if self.on_disk else "in memory"])
