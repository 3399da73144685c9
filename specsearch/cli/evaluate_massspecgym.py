"""``specsearch evaluate massspecgym``: a model on the public retrieval benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.evaluation_file import require_folder_of, write_evaluation
from specsearch.cli.settings import ModelAt, model_options

if TYPE_CHECKING:
    from specsearch.encoder.checkpoint import Card
    from specsearch.evaluation.massspecgym import Track
    from specsearch.evaluation.massspecgym_report import GymReport

_NO_FIT = "none"


@click.command()
@click.argument("spectra", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("candidates", type=click.Path(dir_okay=False, path_type=Path))
@model_options
@click.option(
    "--version", type=click.Choice(["1", "1.5"]), help="Of the data.  [default: as the file names say]"
)
@click.option(
    "--track",
    "rule",
    type=click.Choice(["mass", "formula"]),
    help="What candidates share with the truth.  [default: as the file names say]",
)
@click.option(
    "--fold", "fold_name", default="test", show_default=True, help='Spectra asked about; "all" takes any.'
)
@click.option(
    "--fit",
    "fit_name",
    default="val",
    show_default=True,
    help='Fold on which the weights of fused scores are fitted; "none" fuses nothing.',
)
@click.option("--limit-molecules", type=click.IntRange(1), metavar="N", help="Only N molecules of each fold.")
@click.option(
    "--official/--no-official",
    default=None,
    help="Also count with MassSpecGym's own evaluator.  [default: where it is installed]",
)
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
def massspecgym(
    spectra: Path,
    candidates: Path,
    model_path: Path | None,
    key_map_path: Path | None,
    version: str | None,
    rule: str | None,
    fold_name: str,
    fit_name: str,
    limit_molecules: int | None,
    official: bool | None,
    cache_path: Path | None,
    out_path: Path | None,
) -> None:
    """Rank MassSpecGym's CANDIDATES (JSON) for its SPECTRA (TSV or MGF).

    Hit rates are given over molecules, on lists with one entry for each, with honest ties; and as the
    public evaluator counts them: over spectra, on the lists as they are. Beside every score stand the
    controls: random, mass error only, spectrum masked.
    """
    from specsearch.cli.screen import say
    from specsearch.evaluation.massspecgym import Track
    from specsearch.evaluation.massspecgym_official import find_evaluator

    asked = dict(click.get_current_context().params)
    require_folder_of(out_path)
    track = Track.of(candidates, version, rule)
    if official is None:
        official = find_evaluator() is not None
        if not official:
            say("MassSpecGym's own evaluator is not installed and is left out; ours counts the same way.")
    report, card = _evaluate(
        ModelAt(model_path, key_map_path),
        (spectra, candidates),
        track,
        (fold_name, fit_name),
        limit_molecules,
        official,
        cache_path,
    )
    _show(report)
    if out_path is not None:
        write_evaluation(
            out_path, "MassSpecGym retrieval", report.to_dict(), card, asked, (spectra, candidates)
        )
        say(f"{len(report.figures):,} figures are in {out_path}.")


def _evaluate(
    model: ModelAt,
    paths: tuple[Path, Path],
    track: Track,
    folds: tuple[str, str],
    limit_molecules: int | None,
    official: bool,
    cache: Path | None,
) -> tuple[GymReport, Card]:
    """Read, encode and measure, with a bar on the screen."""
    from specsearch.cli.screen import progress_bar
    from specsearch.evaluation.massspecgym import read_candidates, read_fold
    from specsearch.evaluation.massspecgym_report import evaluate_on_gym
    from specsearch.evaluation.models import EncoderModel
    from specsearch.spectra.readers import read_spectra

    network, card = model.read()
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)

        def tell(what: str, n_done: int, n_all: int) -> None:
            bar.update(task, description=what, completed=n_done, total=n_all)

        lists = read_candidates(paths[1])
        asked, fitted = (
            None if name == _NO_FIT else read_fold(read_spectra(paths[0]), name, lists, limit_molecules)
            for name in folds
        )
        if asked is None:
            raise click.UsageError(f"--fold {_NO_FIT} asks about nothing.")
        measured = EncoderModel(network, card, cache)
        report = evaluate_on_gym(
            measured, asked, lists, track, fitted, official=official, cache=cache, progress=tell
        )
        return report, card


def _show(report: GymReport) -> None:
    """Tables on stdout: ours, then as the public evaluator counts."""
    from specsearch.cli.screen import screen
    from specsearch.report.figures import figure_tables
    from specsearch.report.tables import make_table

    console = screen()
    for table in figure_tables(report.figures):
        console.print(table)
    official = [figure for figure in report.figures if figure.measure.endswith(", per spectrum")]
    measures = list(dict.fromkeys(figure.measure for figure in official))
    cells = {(figure.score, figure.measure): str(figure.value) for figure in official}
    rows = [(name, *(cells[name, m] for m in measures)) for name in dict.fromkeys(f.score for f in official)]
    title = f"{report.track}, as the public evaluator counts ({report.evaluator or 'counted by us'})"
    console.print(make_table(title, ("score", *measures), rows))
