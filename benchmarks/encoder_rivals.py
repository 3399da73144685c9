"""The encoder beside rivals trained on the same split, in one run: a feed-forward net, and DeepSets.

Rivals that need no training stand beside the encoder in ``specsearch evaluate encoder``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.circumstances import write_result
from benchmarks.massbank import FILE
from benchmarks.rival_networks import BinnedFeedForward, FourierDeepSets
from benchmarks.rival_training import Schedule, TrainedRival, train
from benchmarks.script import arguments
from specsearch.cli.screen import screen
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.evaluation.bank import read_bank
from specsearch.evaluation.encoder_report import TRAIN, VAL, Evaluation
from specsearch.evaluation.models import EncoderModel, Model
from specsearch.evaluation.splits import Split, collect_splits
from specsearch.report.figures import figure_tables
from specsearch.spectra.readers.parquet import read_parquet

_NETWORKS = {"feed-forward on bins": BinnedFeedForward, "DeepSets, Fourier features": FourierDeepSets}


def main() -> None:
    """Train, measure and write `encoder_rivals.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--split", default="val", help="whose molecules are asked for")
    parser.add_argument("--cache", type=Path, help="folder outside the repository to keep states in")
    parser.add_argument("--epochs", type=int, default=Schedule.n_epochs, help="at most")
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.model)
    records = read_parquet(asked.data / FILE)
    splits = collect_splits(records, list(dict.fromkeys((TRAIN, VAL, asked.split))), asked.limit)
    bank = read_bank(asked.data / "molecules.parquet")
    how = Schedule(n_epochs=asked.epochs, seed=asked.seed)
    models: dict[str, Model] = {"encoder": EncoderModel(network, card, asked.cache)}
    history: dict[str, list[float]] = {}
    for name, kind in _NETWORKS.items():
        models[name], history[name] = _trained(kind, splits, how)
        print(f"{name}: val cosine {max(history[name]):.3f} after {len(history[name])} epochs")
    figures: dict[str, Any] = {"schedule": asdict(how), "val_cosine_by_epoch": history, "models": {}}
    for name, model in models.items():
        evaluation = Evaluation(model, splits, asked.split, bank, asked.cache)
        report = evaluation.run(peak_rivals=False)
        figures["models"][name] = report.to_dict()
        screen().rule(name)
        for table in figure_tables(report.figures):
            screen().print(table)
    write_result("encoder_rivals", asked, figures, card.digest)


def _trained(
    kind: type[BinnedFeedForward] | type[FourierDeepSets], splits: dict[str, Split], how: Schedule
) -> tuple[Model, list[float]]:
    torch.manual_seed(how.seed)
    network = kind()
    history = train(network, splits[TRAIN].examples, splits[VAL].examples, how)
    return TrainedRival(network), history


if __name__ == "__main__":
    main()
