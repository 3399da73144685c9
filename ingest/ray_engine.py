"""The encoder on a Ray cluster: one actor a GPU, or one a machine where there is none.

An actor asks for what its machine has. Where somebody else holds that, Ray would wait without a word; so one
that has not started after a while is left out, and told of.

Reading, naming and storing stay with the process that was started, in the order of the input: names and the
store need one owner. A worker that dies is started again, and its window is asked of another meanwhile; where
a node is lost the others do its work; where the driver dies, the ledger knows what was acknowledged.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_START_S = 90.0  # Python, torch and the model are loaded by then, also over a network disk
_PATIENCE_S, _PAUSE_S = 300.0, 0.5  # a worker that died is back in seconds, a node in minutes

_ELSEWHERE = "Run the same command with --engine here; if that fails, too, please report it."
_BUSY = 'Another job may hold its processors, see "ray status": wait for that, or use --engine here.'

Tell = Callable[[str], None]


class EmbeddingActor:
    """Holds the encoder on a worker, on the devices that it finds there.

    Parameters
    ----------
    network : Encoder
    card : Card
    """

    def __init__(self, network: Encoder, card: Card) -> None:
        self._embedder = Embedder(network, card)

    def start(self) -> None:
        """Nothing to do: who answers has the encoder loaded."""

    def embed(self, inputs: Sequence[TokenInput]) -> NDArray[np.float32]:
        """Embeddings of one window."""
        return self._embedder.embed_inputs(inputs)


def on_ray(address: str | None = None, tell: Tell = lambda sentence: None) -> MakeEngine:
    """An engine on a Ray cluster.

    Parameters
    ----------
    address : str, optional
        Of a cluster, as ``"ray://head:10001"`` or ``"auto"``; else what ``RAY_ADDRESS`` says, else a cluster
        is started on this machine and ended afterwards.
    tell : callable
        Told in one sentence which machines do not take part.

    Raises
    ------
    SpecsearchError
        If Ray is not installed, the cluster is not there, none of its machines can take part, or the encoder
        fails on one.
    """
    return partial(_engine, address=address, tell=tell)


@contextmanager
def _engine(embedder: Embedder, n_spectra: int, address: str | None, tell: Tell) -> Iterator[Engine]:
    try:
        import ray
    except ImportError:
        raise SpecsearchError("Ray is not installed.", 'pip install "specsearch[ray]"') from None
    from ray.exceptions import RayError, RayTaskError

    try:
        # Without an address Ray would join whatever ran here last, and wait minutes for one that was killed.
        where = address or os.environ.get("RAY_ADDRESS") or "local"
        ray.init(address=where, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        network = ray.put(embedder.network)  # held here as long as an actor may have to start again
        actors = _actors(network, embedder.card, tell)
        with ThreadPoolExecutor(len(actors)) as threads:
            crew = _Crew(actors)
            yield Engine(lambda inputs: threads.submit(crew.embed, inputs), len(actors))
    except RayTaskError as error:
        fault = f"{type(error.cause).__name__}: {error.cause}"
        raise SpecsearchError(
            f"The encoder failed on a machine of the Ray cluster ({fault}).",
            _ELSEWHERE,
        ) from error
    except (RayError, ConnectionError) as error:
        raise SpecsearchError(
            f"The Ray cluster cannot go on: {_in_short(error)}",
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


def _actors(network: Any, card: Card, tell: Tell) -> list[Any]:
    """Those that have started.

    Raises
    ------
    SpecsearchError
        If none has.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayError

    asked = _ask_for_actors(network, card)
    actors, absent, ends = [], [], time.monotonic() + _START_S
    step = _ELSEWHERE
    for name, actor, started in asked:
        try:
            ray.get(started, timeout=max(0.1, ends - time.monotonic()))
            actors.append(actor)
        except GetTimeoutError:
            absent.append(f"{name} (did not start within {_START_S:g} s)")
            ray.kill(actor)
            step = _BUSY
        except RayError as error:
            absent.append(f"{name} ({_in_short(error)})")
    without = ", ".join(dict.fromkeys(absent)) or "none has a processor to offer"
    if not actors:
        raise SpecsearchError(f"No machine of the Ray cluster can embed: {without}.", step)
    if absent:
        tell(f"{len(actors):,} of {len(asked):,} Ray workers embed, without {without}.")
    return actors


def _ask_for_actors(network: Any, card: Card) -> list[tuple[str, Any, Any]]:
    """For each its machine, its handle, and what comes when it has started."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # A call is never repeated by Ray itself: it would wait for the node that is lost.
    kind: Any = ray.remote(max_restarts=_FOR_EVER, max_task_retries=0)(EmbeddingActor)
    asked = []
    for node, needs in places(ray.nodes()):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
        actor = kind.options(scheduling_strategy=there, **needs).remote(network, card)
        asked.append((_name(node), actor, actor.start.remote()))
    return asked


def places(nodes: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], dict[str, float]]]:
    """Node and needs of each actor to be: one GPU; without any in the cluster, all cores of a machine.

    Parameters
    ----------
    nodes : sequence of mapping
        As Ray lists them. One that was started without processors, as heads often are, has no "CPU".
    """
    alive = [node for node in nodes if node["Alive"]]
    by_gpu = [
        (node, {"num_gpus": 1.0}) for node in alive for _ in range(int(node["Resources"].get("GPU", 0)))
    ]
    by_cpu = [(node, {"num_cpus": n}) for node in alive if (n := node["Resources"].get("CPU", 0))]
    return by_gpu or by_cpu


def _name(node: Mapping[str, Any]) -> str:
    return str(node["NodeManagerHostname"] or node["NodeManagerAddress"])


def _in_short(error: Exception) -> str:
    """Ray's first line; its last where it shows where something was raised, and then what."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if any(line.lstrip().startswith('File "') for line in lines) else 0]
