"""MS2DeepScore, by its own package and trained on the same train split, put to the same tasks.

Huber et al., J. Cheminform. 13, 84 (2021). Its package pins versions that ours does not, so it runs in an
environment of its own: ``pip install . ms2deepscore onnxruntime matchms`` there, then
``python -m benchmarks.ms2deepscore_rival --work FOLDER``. Its settings are the package's defaults, with
ion mode and precursor as additional inputs, as its README advises; val stops the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ms2deepscore import __version__
from ms2deepscore.models import SiameseSpectralModel, load_model
from ms2deepscore.models.SiameseSpectralModel import train
from ms2deepscore.SettingsMS2Deepscore import SettingsMS2Deepscore
from ms2deepscore.train_new_model import TrainingBatchGenerator, create_spectrum_pair_generator
from ms2deepscore.validation_loss_calculation.ValidationLossCalculator import ValidationLossCalculator
from numpy.typing import NDArray

from benchmarks.circumstances import write_result
from benchmarks.massbank import FILE
from benchmarks.script import arguments
from specsearch.cli.screen import screen
from specsearch.encoder.tokens import TokenInput
from specsearch.evaluation.bank import read_bank
from specsearch.evaluation.encoder_report import TRAIN, VAL, Evaluation
from specsearch.evaluation.outputs import Outputs
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.splits import Split, collect_splits
from specsearch.report.figures import figure_tables
from specsearch.spectra.readers.parquet import read_parquet

_INPUTS = [
    (
        "CategoricalToBinary",
        {
            "metadata_field": "ionmode",
            "entries_becoming_one": "positive",
            "entries_becoming_zero": "negative",
        },
    ),
    ("StandardScaler", {"metadata_field": "precursor_mz", "mean": 0, "standard_deviation": 1000}),
]
_BEST = "ms2deepscore_model.pt"


class MS2DeepScoreModel:
    """A trained MS2DeepScore, as a model under evaluation.

    Parameters
    ----------
    network : SiameseSpectralModel
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    def read(self, inputs: Sequence[TokenInput], what: str, progress: Progress = silent) -> Outputs:
        """Embeddings of unit length: its score is their cosine."""
        embedding = self._network.compute_embedding_array(
            [_spectrum(item) for item in inputs], progress_bar=False
        )
        return Outputs(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))

    def targets(self, packed: NDArray[np.uint8]) -> None:
        """It knows no molecules."""


def main() -> None:
    """Train where the work folder has no model yet, measure, and write `ms2deepscore.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--split", default="val", help="whose molecules are asked for")
    parser.add_argument("--work", type=Path, required=True, help="folder for the model and its logs")
    parser.add_argument("--epochs", type=int, default=250, help="at most; the package's default is 250")
    parser.add_argument("--hidden", type=int, default=10_000, help="width; the package's default is 10000")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    settings = SettingsMS2Deepscore(
        additional_metadata=_INPUTS,
        ionisation_mode="both",
        epochs=asked.epochs,
        base_dims=(asked.hidden,),
        random_seed=asked.seed,
    )
    splits = collect_splits(
        read_parquet(asked.data / FILE), list(dict.fromkeys((TRAIN, VAL, asked.split))), asked.limit
    )
    if not (asked.work / _BEST).exists():
        _train(splits, settings, asked.work)
    model = MS2DeepScoreModel(load_model(asked.work / _BEST))
    bank = read_bank(asked.data / "molecules.parquet")
    report = Evaluation(model, splits, asked.split, bank).run(peak_rivals=False)
    for table in figure_tables(report.figures):
        screen().print(table)
    write_result("ms2deepscore", asked, {"ms2deepscore": __version__, **report.to_dict()})


def _train(splits: dict[str, Split], settings: Any, folder: Path) -> None:
    """The package's own training; the epoch with the best validation loss is what it keeps."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = create_spectrum_pair_generator(_spectra(splits[TRAIN]), settings)
    train(
        SiameseSpectralModel(settings=settings),
        TrainingBatchGenerator(pairs, settings),
        num_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        validation_loss_calculator=ValidationLossCalculator(_spectra(splits[VAL]), settings),
        patience=settings.patience,
        checkpoint_filename=str(folder / _BEST),
        loss_function=settings.loss_function,
    )


def _spectra(split: Split) -> list[Any]:
    """Its spectra as matchms has them, with the molecules that pairs are made of."""
    examples = split.examples
    return [
        _spectrum(
            item, inchikey=f"{examples.inchikey14[molecule]}-UHFFFAOYSA-N", smiles=split.smiles[molecule]
        )
        for item, molecule in zip(examples.inputs, examples.molecule, strict=True)
    ]


def _spectrum(item: TokenInput, **known: str) -> Any:
    from matchms import Spectrum

    told = {
        "precursor_mz": item.peaks.precursor_mz,
        "ionmode": "positive" if item.charge_sign > 0 else "negative",
        **known,
    }
    return Spectrum(item.peaks.mz, item.peaks.intensity, told)


if __name__ == "__main__":
    main()
