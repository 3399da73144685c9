"""``specsearch evaluate``: how good a model is, on molecules it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.evaluate_candidates import candidates
from specsearch.cli.evaluate_massspecgym import massspecgym
from specsearch.cli.evaluation_file import require_folder_of, write_evaluation
from specsearch.cli.settings import ModelAt, find_file

if TYPE_CHECKING:
    from specsearch.encoder.checkpoint import Card
    from specsearch.evaluation.encoder_report import Report

_TRAIN, _VAL = "train", "val"


@click.group()
def evaluate() -> None:
    """Measure models."""


@evaluate.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.option(
    "--key-map",
    "key_map_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON file that translates the tensor names of a foreign checkpoint into ours.",
)
@click.option(
    "--data",
    "data_path",
    metavar="PARQUET",
    type=click.Path(path_type=Path),
    help="Annotated spectra with a column split.  [default: massbank.parquet in SPECSEARCH_DATA]",
)
@click.option(
    "--bank",
    "bank_path",
    metavar="PARQUET",
    type=click.Path(path_type=Path),
    help="Candidate molecules: smiles, inchikey, formula, exact_mass.  "
    "[default: molecules.parquet in SPECSEARCH_DATA]",
)
@click.option(
    "--split", "split_name", default="test", show_default=True, help="Whose molecules are asked for."
)
@click.option(
    "--limit-molecules",
    type=click.IntRange(1),
    metavar="N",
    help="Only N molecules of each split.",
)
@click.option("--rivals/--no-rivals", default=True, help="Also entropy search and modified cosine.")
@click.option(
    "--cache",
    "cache_path",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the encoder's states and the candidates' fingerprints here between runs.",
)
@click.option(
    "--out",
    "out_path",
    metavar="JSON",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every figure, with its interval and the circumstances, to a file.",
)
def encoder(
    checkpoint: Path | None,
    key_map_path: Path | None,
    data_path: Path | None,
    bank_path: Path | None,
    split_name: str,
    limit_molecules: int | None,
    rivals: bool,
    cache_path: Path | None,
    out_path: Path | None,
) -> None:
    """Evaluate the encoder of a CHECKPOINT (by default the shipped one), beside rivals and controls.

    Predicted fingerprints; ranking of the bank's molecules within 10 ppm; analogue search in the split
    train; the same molecule from another laboratory; similarity of spectra against that of structures.
    Weights and thresholds are fitted on the split val and nowhere else.
    """
    from specsearch.cli.screen import say, screen
    from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT
    from specsearch.report.figures import figure_tables

    asked = dict(click.get_current_context().params)
    require_folder_of(out_path)
    paths = (
        find_file(data_path, "massbank.parquet", "--data"),
        find_file(bank_path, "molecules.parquet", "--bank"),
    )
    model = ModelAt(checkpoint or DEFAULT_CHECKPOINT, key_map_path)
    report, card = _evaluate(model, paths, split_name, limit_molecules, rivals, cache_path)
    console = screen()
    for table in figure_tables(report.figures):
        console.print(table)
    if out_path is not None:
        write_evaluation(out_path, "encoder evaluation", report.to_dict(), card, asked, paths)
        say(f"{len(report.figures):,} figures are in {out_path}.")


def _evaluate(
    model: ModelAt,
    paths: tuple[Path, Path],
    split_name: str,
    limit_molecules: int | None,
    rivals: bool,
    cache: Path | None,
) -> tuple[Report, Card]:
    """Read, encode and measure, with a bar on the screen."""
    from specsearch.cli.screen import progress_bar
    from specsearch.evaluation.bank import read_bank
    from specsearch.evaluation.encoder_report import Evaluation
    from specsearch.evaluation.models import EncoderModel
    from specsearch.evaluation.splits import collect_splits
    from specsearch.spectra.readers import read_spectra

    network, card = model.read()
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)

        def tell(what: str, n_done: int, n_all: int) -> None:
            bar.update(task, description=what, completed=n_done, total=n_all)

        names = list(dict.fromkeys((_TRAIN, _VAL, split_name)))
        splits = collect_splits(read_spectra(paths[0]), names, limit_molecules)
        bank = read_bank(paths[1])
        measured = EncoderModel(network, card, cache)
        evaluation = Evaluation(measured, splits, split_name, bank, cache, tell)
        return evaluation.run(peak_rivals=rivals), card


evaluate.add_command(candidates)
evaluate.add_command(massspecgym)
