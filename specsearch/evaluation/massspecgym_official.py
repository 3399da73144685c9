"""Hit rates through MassSpecGym's own evaluator, and the same count of our own.

The evaluator is ``RetrievalMassSpecGymModel`` of the package ``massspecgym``, which pins old versions of
everything; install it without its dependencies (the README says how). It counts over the lists as they are
given, any entry with the first block of the true InChIKey being right, and averages over spectra.

It sorts scores with ``torch.argsort``, which is not stable: with tied scores its number depends on the
processor. Therefore it is handed each candidate's place, ties broken by the order of the list.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import SpecsearchError
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.massspecgym_lists import Lists
from specsearch.evaluation.ranking import HITS

_BATCH = 256  # spectra


def find_evaluator() -> str | None:
    """Name and version of MassSpecGym's evaluator, or None where it is not installed."""
    return f"massspecgym {version('massspecgym')}" if find_spec("massspecgym") else None


def list_places(score: NDArray[np.floating], pools: Pools) -> NDArray[np.int64]:
    """Place of each candidate in its list, from 0 for the best; equal scores in the order of the list.

    Parameters
    ----------
    score : numpy.ndarray of shape (n_candidates,)
    pools : Pools

    Returns
    -------
    numpy.ndarray of shape (n_candidates,), int64
    """
    pool = np.repeat(np.arange(len(pools)), pools.size)
    order = np.lexsort((-score, pool))  # stable
    place = np.empty(len(score), dtype=np.int64)
    place[order] = np.arange(len(score)) - pools.start[pool]
    return place


def given_hits(score: NDArray[np.floating], lists: Lists, k: int) -> NDArray[np.bool_]:
    """Whether a true entry is among the first k of each list as given, shape (n_pools,)."""
    found = lists.is_true & (list_places(score, lists.given) < k)
    hits: NDArray[np.bool_] = np.logical_or.reduceat(found, lists.given.start)
    return hits


def official_hit_rates(
    scores: Mapping[str, NDArray[np.floating]], lists: Lists
) -> dict[str, dict[str, float]]:
    """Hit rates of each score by MassSpecGym's evaluator, as it names and computes them (in float32).

    Parameters
    ----------
    scores : mapping of str to numpy.ndarray of shape (n_candidates,)
        Of the entries of the lists as given.
    lists : Lists

    Returns
    -------
    dict of str to dict of str to float
        ``hit_rate@1``, ``hit_rate@5`` and ``hit_rate@20`` by the name of the score.

    Raises
    ------
    SpecsearchError
        If the package is not installed.
    """
    if not find_evaluator():
        raise SpecsearchError(
            "MassSpecGym's own evaluator is not installed.",
            "The README says how to install massspecgym beside us; --no-official leaves it out.",
        )
    return {name: _tested(list_places(score, lists.given), lists) for name, score in scores.items()}


def _tested(place: NDArray[np.int64], lists: Lists) -> dict[str, float]:
    """One run of the evaluator's test loop."""
    import pytorch_lightning as lightning
    import torch
    from massspecgym.models.base import Stage
    from massspecgym.models.retrieval.base import RetrievalMassSpecGymModel

    class Ranked(RetrievalMassSpecGymModel):
        """Hands on scores that were computed before."""

        def step(self, batch: dict[str, Any], stage: Any = Stage.NONE) -> dict[str, torch.Tensor]:
            return {"loss": torch.zeros(()), "scores": batch["scores"]}

    # MCES distances solve an integer program for each spectrum: not what is asked here.
    model = Ranked(at_ks=HITS, no_mces_metrics_at_stages=(Stage.VAL, Stage.TEST))
    batches: Any = list(_batches(place, lists))  # any sequence is a data set
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader: Any = torch.utils.data.DataLoader(batches, batch_size=None)
        [measured] = trainer.test(model, loader, verbose=False)
    return {f"hit_rate@{k}": float(measured[f"test_hit_rate@{k}"]) for k in HITS}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice and advertisements."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _batches(place: NDArray[np.int64], lists: Lists) -> Iterator[dict[str, Any]]:
    """Batches as MassSpecGym's data set makes them, with scores instead of molecules."""
    import torch

    size = lists.given.size
    for first in range(0, len(size), _BATCH):
        last = min(first + _BATCH, len(size))
        rows = slice(lists.given.start[first], lists.given.rows(last - 1).stop)
        yield {
            "spec": torch.empty(last - first, 0),  # only its length is read
            "labels": torch.from_numpy(lists.is_true[rows]),
            "scores": torch.from_numpy(-place[rows].astype(np.float32)),
            "batch_ptr": torch.from_numpy(size[first:last]),
        }
