"""What a library of any size needs, by a formula from what was measured on smaller ones. No I/O.

For n spectra, b molecules of banks, r replicas, with bytes and seconds a spectrum from `Measured`:

- a vector takes 2 bytes a dimension; quantised, the copy that searches read takes 1 byte (int8) or 1 bit
  (binary) a dimension, and the original stays on disk;
- the graph takes 2 * m links of 4 bytes a point, and a tenth more for its upper layers;
- memory = r * (n * (searched vector + graph + indexes) + b * molecule): what a search reads at random places.
  Records and stored peaks are read from disk, a few hundred a search;
- disk = r * (n * (vector + quantised copy + graph + all other files) + b * molecule + log of each shard);
  while indexes are built, twice that;
- nodes = r * (memory of one replica / `USABLE_SHARE` of a node's, rounded up); one shard where one node holds
  a replica, else two a node, so that nodes can be doubled without indexing anything again;
- embedding = n * operations a spectrum / operations a second; storing = n * seconds of one process, which
  works at the same time, so ingest takes as long as the slower; building = c * n * log2(n) for each replica.

Measured on 2.1 million spectra at most, in the embedded engine; beyond, and on a server, it is arithmetic.
The tests hold the constants against `benchmarks/results/growth.json` where that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Quantization = Literal["none", "int8", "binary"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
Basis = Literal["measured", "estimated, not measured", "as given"]

USABLE_SHARE = 0.75  # of a node's memory; the rest is for the system and for building indexes
GPU_FLOPS = 312e12  # NVIDIA A100, bfloat16 without sparsity, by its data sheet
GPU_UTILISATION = 0.10  # assumed: short sequences and a narrow network keep few of its units busy
_BUILDING_DISK = 2
_SHARDS_PER_NODE = 2
_UPPER_LAYERS = 1.1
_LINK_BYTES = 4
_HOUR_S = 3600.0
_BITS = {"int8": 8, "binary": 1}


@dataclass(frozen=True)
class Measured:
    """What one spectrum, or one molecule, was seen to cost; `python -m benchmarks.sizing` fits it anew.

    Parameters
    ----------
    dimensions : int
        Of the shipped model's embedding.
    links : int
        m of the graph, `planner.LARGE_INDEX`.
    index_bytes : float
        Inverted indexes of peaks and losses (331; 33 values each), indexes of the payload (415) and ids (29):
        files of a segment of 100,000 perturbed MassBank spectra, before its graph was built, a spectrum.
    kept_bytes : float
        The same of what a search reads only for its hits, records and stored peaks: what is left of the slope
        of the disk from 100,000 to 2,100,000 spectra (2,873).
    shard_bytes : float
        Log and pages allocated ahead, a shard: where that line begins.
    molecule_bytes, molecule_record_bytes : float
        All files, the log left out, of a bank of 9,991 molecules and of its collection without graph, a
        molecule; and what of them no search reads at random.
    flops : float
        Operations of embedding a MassBank spectrum (20.7 tokens on average) by the shipped model, by
        `benchmarks.flops`; one of 256 tokens takes 14 times as many.
    core_flops : float
        Operations a second of one core: `benchmarks/results/embedding.json`, 67.0 GFLOP/s on two.
    storing_s : float
        Processor time of reading, preparing and storing, without embedding: the mean of 21 files of 100,000.
    building_s : float
        Core seconds of building, all graphs on the way (m=32, ef_construct=200, of up to 600,000 spectra),
        over n * log2(n): 7.9e-5 to 8.1e-5 at 0.5, 1, 2 and 2.1 million perturbed MassBank spectra.
    """

    dimensions: int = 256
    links: int = 32
    index_bytes: float = 775.0
    kept_bytes: float = 1304.0
    shard_bytes: float = 51e6
    molecule_bytes: float = 1373.0
    molecule_record_bytes: float = 146.0
    flops: float = 0.1385e9
    core_flops: float = 33.5e9
    storing_s: float = 0.97e-3
    building_s: float = 8.0e-5

    @property
    def vector_bytes(self) -> float:
        """The vector as it is stored, float16."""
        return 2.0 * self.dimensions

    @property
    def graph_bytes(self) -> float:
        """Links of one point."""
        return 2 * self.links * _LINK_BYTES * _UPPER_LAYERS

    @property
    def memory_bytes(self) -> float:
        """What searches read at random places, of a spectrum that is not quantised."""
        return self.vector_bytes + self.graph_bytes + self.index_bytes

    @property
    def disk_bytes(self) -> float:
        """A spectrum's files, without a quantised copy."""
        return self.memory_bytes + self.kept_bytes

    @property
    def gpu_rate(self) -> float:
        """Spectra a second that one GPU may embed: a bound from its data sheet, not a measurement."""
        return GPU_FLOPS * GPU_UTILISATION / self.flops

    @property
    def core_rate(self) -> float:
        """Spectra a second that one core embeds."""
        return self.core_flops / self.flops


MEASURED = Measured()


@dataclass(frozen=True)
class Wish:
    """What is to be planned for.

    Parameters
    ----------
    n_spectra : int
    n_molecules : int
        Of all banks together.
    n_gpus : int
        That embed; 0 for one core.
    n_replicas : int
        Copies of everything, each on nodes of its own.
    quantization : {"none", "int8", "binary"}
        Of the vectors that searches read.
    node_bytes : int
        Memory of one node.
    spectra_per_s : float, optional
        Embedding as the user measured it, of all GPUs or cores together.
    """

    n_spectra: int
    n_molecules: int = 0
    n_gpus: int = 0
    n_replicas: int = 1
    quantization: Quantization = "none"
    node_bytes: int = 64 * 10**9
    spectra_per_s: float | None = None


@dataclass(frozen=True)
class Plan:
    """What it takes, of all replicas together where nothing else is said; bytes, hours, counts."""

    vectors_bytes: float
    graph_bytes: float
    indexes_bytes: float
    banks_bytes: float
    disk_bytes: float
    n_nodes: int
    n_shards: int
    embedding_hours: float
    embedding_basis: Basis
    storing_hours: float
    building_core_hours: float

    @property
    def memory_bytes(self) -> float:
        """All that should stay in memory."""
        return self.vectors_bytes + self.graph_bytes + self.indexes_bytes + self.banks_bytes

    @property
    def building_disk_bytes(self) -> float:
        """Disk while indexes are built: the old ones and the new."""
        return _BUILDING_DISK * self.disk_bytes

    @property
    def ingest_hours(self) -> float:
        """Embedding and storing go on at the same time."""
        return max(self.embedding_hours, self.storing_hours)


def plan(wish: Wish, measured: Measured = MEASURED) -> Plan:
    """The formula."""
    n, n_replicas = wish.n_spectra, wish.n_replicas
    quantized = 0.0
    if wish.quantization != "none":
        quantized = measured.dimensions * _BITS[wish.quantization] / 8
    searched = quantized or measured.vector_bytes
    molecule = measured.molecule_bytes - measured.molecule_record_bytes
    one_replica = n * (searched + measured.graph_bytes + measured.index_bytes) + wish.n_molecules * molecule
    nodes = math.ceil(one_replica / (USABLE_SHARE * wish.node_bytes))
    shards = 1 if nodes == 1 else _SHARDS_PER_NODE * nodes
    disk = n * (measured.disk_bytes + quantized) + wish.n_molecules * measured.molecule_bytes
    rate, basis = _embedding(wish, measured)
    return Plan(
        vectors_bytes=n_replicas * n * searched,
        graph_bytes=n_replicas * n * measured.graph_bytes,
        indexes_bytes=n_replicas * n * measured.index_bytes,
        banks_bytes=n_replicas * wish.n_molecules * molecule,
        disk_bytes=n_replicas * (disk + shards * measured.shard_bytes),
        n_nodes=n_replicas * nodes,
        n_shards=shards,
        embedding_hours=n / rate / _HOUR_S,
        embedding_basis=basis,
        storing_hours=n * measured.storing_s / _HOUR_S,
        building_core_hours=n_replicas * measured.building_s * n * math.log2(n) / _HOUR_S,
    )


def _embedding(wish: Wish, measured: Measured) -> tuple[float, Basis]:
    """Spectra a second, and how that is known."""
    if wish.spectra_per_s is not None:
        return wish.spectra_per_s, "as given"
    if wish.n_gpus:
        return wish.n_gpus * measured.gpu_rate, "estimated, not measured"
    return measured.core_rate, "measured"
