"""The encoder on a Ray cluster: one actor a GPU, or one a machine where there is none.

Reading, naming and storing stay with the process that was started, in the order of the input: names and the
store need one owner. A worker that dies is started again, and its window is asked of another meanwhile; where
a node is lost the others do its work; where the driver dies, the ledger knows what was acknowledged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.engines import Engine, MakeEngine
from specsearch.encoder.checkpoint import Card
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput
from specsearch.errors import SpecsearchError

_FOR_EVER = -1
_PATIENCE_S, _PAUSE_S = 300.0, 0.5  # a worker that died is back in seconds, a node in minutes


class EmbeddingActor:
    """Holds the encoder on a worker, on the devices that it finds there.

    Parameters
    ----------
    network : Encoder
    card : Card
    """

    def __init__(self, network: Encoder, card: Card) -> None:
        self._embedder = Embedder(network, card)

    def embed(self, inputs: Sequence[TokenInput]) -> NDArray[np.float32]:
        """Embeddings of one window."""
        return self._embedder.embed_inputs(inputs)


def on_ray(address: str | None = None) -> MakeEngine:
    """An engine on a Ray cluster.

    Parameters
    ----------
    address : str, optional
        Of a cluster, as ``"ray://head:10001"`` or ``"auto"``; else what ``RAY_ADDRESS`` says, else a cluster
        is started on this machine and ended afterwards.

    Raises
    ------
    SpecsearchError
        If Ray is not installed, or the cluster is not there.
    """
    return partial(_engine, address=address)


@contextmanager
def _engine(embedder: Embedder, n_spectra: int, address: str | None) -> Iterator[Engine]:
    try:
        import ray
    except ImportError:
        raise SpecsearchError("Ray is not installed.", 'pip install "specsearch[ray]"') from None
    from ray.exceptions import RayError

    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        network = ray.put(embedder.network)  # held here as long as an actor may have to start again
        actors = _actors(network, embedder.card)
        with ThreadPoolExecutor(len(actors)) as threads:
            crew = _Crew(actors)
            yield Engine(lambda inputs: threads.submit(crew.embed, inputs), len(actors))
    except (RayError, ConnectionError) as error:
        raise SpecsearchError(
            f"The Ray cluster cannot go on: {str(error).splitlines()[0]}",
            "Run the same command again when it is back: it goes on where it was.",
        ) from None
    finally:
        ray.shutdown()


class _Crew:
    """Actors that take turns; a window whose actor is lost is asked of the next one.

    Parameters
    ----------
    actors : sequence
        Ray's handles. One that starts again is asked again; one that cannot, since its node is gone, costs
        its turns only.
    """

    def __init__(self, actors: Sequence[Any]) -> None:
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for actor in actors:
            self._idle.put(actor)

    def embed(self, inputs: Sequence[TokenInput]) -> NDArray[np.float32]:
        """Embeddings of one window, by whichever actor can; blocks.

        Raises
        ------
        ray.exceptions.RayActorError
            If none could for some minutes.
        """
        import ray
        from ray.exceptions import RayActorError

        began = time.monotonic()
        while True:
            actor = self._idle.get()
            try:
                embeddings: NDArray[np.float32] = ray.get(actor.embed.remote(inputs))
                return embeddings
            except RayActorError:
                if time.monotonic() - began > _PATIENCE_S:
                    raise
                time.sleep(_PAUSE_S)
            finally:
                self._idle.put(actor)


def _actors(network: Any, card: Card) -> list[Any]:
    """One actor a GPU; without any, one a machine with all its cores."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_gpus = int(sum(node.get("GPU", 0) for node in nodes))
    # A call is never repeated by Ray itself: it would wait for the node that is lost.
    kind = ray.remote(max_restarts=_FOR_EVER, max_task_retries=0)(EmbeddingActor)
    if n_gpus:
        return [kind.options(num_gpus=1).remote(network, card) for _ in range(n_gpus)]
    return [kind.options(num_cpus=node.get("CPU", 1)).remote(network, card) for node in nodes]
