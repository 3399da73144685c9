"""``specsearch evaluate candidates``: how well candidates are ranked, and how true the confidence is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specsearch.cli.evaluation_file import require_folder_of, write_evaluation
from specsearch.cli.settings import ModelAt, find_file, model_options

if TYPE_CHECKING:
    from specsearch.encoder.checkpoint import Card
    from specsearch.encoder.network import Encoder
    from specsearch.evaluation.candidates import Pools
    from specsearch.evaluation.decision_lists import JudgedList
    from specsearch.evaluation.decision_report import Curves
    from specsearch.evaluation.progress import Progress
    from specsearch.evaluation.splits import Split


@click.command()
@click.option(
    "--ranker",
    "ranker_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What ranks and rates.  [default: the shipped one]",
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
@click.option("--split", "split_name", default="test", show_default=True, help="Whose molecules to ask for.")
@click.option(
    "--limit-molecules", type=click.IntRange(1), metavar="N", help="Only N molecules of each split."
)
@click.option(
    "--cache",
    "cache_path",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep states, fingerprints and scored lists here between runs.",
)
@click.option(
    "--out",
    "out_path",
    metavar="JSON",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every figure to a file, and the curves beside it as SVG.",
)
@model_options
def candidates(
    ranker_path: Path | None,
    data_path: Path | None,
    bank_path: Path | None,
    split_name: str,
    limit_molecules: int | None,
    cache_path: Path | None,
    out_path: Path | None,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Rank the bank's molecules within 10 ppm for spectra of known molecules, and judge the confidence.

    The split train serves as the library. Beside every hit rate stand three controls (random, mass error
    only, spectrum masked); the confidence is judged with the true molecule in the bank and taken out of it.
    """
    from specsearch.cli.screen import progress_bar, say, screen
    from specsearch.evaluation.bank import read_bank
    from specsearch.evaluation.candidates import WINDOW, candidate_pools
    from specsearch.evaluation.decision_report import (
        WHOLE,
        candidate_scores,
        confidence_report,
        curves,
        ranking_report,
        rate,
    )
    from specsearch.evaluation.splits import collect_splits
    from specsearch.evaluation.strata import strata_of
    from specsearch.report.figures import figure_tables
    from specsearch.search.decision import DEFAULT_RANKER, read_decision
    from specsearch.spectra.readers import read_spectra

    asked = dict(click.get_current_context().params)
    require_folder_of(out_path)
    data = find_file(data_path, "massbank.parquet", "--data")
    bank_path = find_file(bank_path, "molecules.parquet", "--bank")
    network, card = ModelAt(model_path, key_map_path).read()
    layer = read_decision(ranker_path or DEFAULT_RANKER, card.digest)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)

        def tell(what: str, n_done: int, n_all: int) -> None:
            bar.update(task, description=what, completed=n_done, total=n_all)

        splits = collect_splits(read_spectra(data), ("train", split_name), limit_molecules)
        split, train = splits[split_name], splits["train"]
        pools = candidate_pools(split, read_bank(bank_path), WINDOW, cache_path, tell)
        lists, masked = _lists(network, card, split, train, pools, cache_path, tell)
        strata = strata_of(split)
        tell("measuring", 0, 2)
        scores = candidate_scores(layer, lists, masked)
        figures = list(ranking_report(lists, scores, pools, strata))
        tell("measuring", 1, 2)
        rated = rate(layer, lists)
        figures += confidence_report(rated, layer.confidences[WHOLE], strata)
        found = curves(rated)
    console = screen()
    for table in figure_tables(figures):
        console.print(table)
    if out_path is not None:
        report = {
            "split": split_name,
            "ranker": layer.digest,
            "sizes": {split_name: split.describe(), "pools": {"window": str(WINDOW), **pools.describe()}},
            "figures": [figure.to_dict() for figure in figures],
        }
        write_evaluation(out_path, "candidate evaluation", report, card, asked, (data, bank_path))
        _draw(out_path.with_suffix(".svg"), found)
        say(f"{len(figures):,} figures are in {out_path}, curves in {out_path.with_suffix('.svg')}.")


def _lists(
    network: Encoder,
    card: Card,
    split: Split,
    train: Split,
    pools: Pools,
    cache: Path | None,
    progress: Progress,
) -> tuple[list[JudgedList], list[JudgedList]]:
    """Judged lists of the spectra, and of their precursors alone."""
    from specsearch.evaluation.decision_lists import judged_lists, masked_split
    from specsearch.evaluation.kept_lists import kept_lists

    options: dict[str, Any] = {"cache": cache, "progress": progress}
    n_workers = os.cpu_count() or 1
    depends_on = (card.digest, *split.examples.accession, *train.examples.accession, pools.size.tolist())
    own = kept_lists(
        cache,
        depends_on,
        lambda: judged_lists(network, card, split, pools, train.examples, n_workers=n_workers, **options),
    )
    blind = judged_lists(network, card, masked_split(split), pools, None, with_fragments=False, **options)
    return own, blind


def _draw(path: Path, found: Curves) -> None:
    from specsearch.report.diagrams import (
        absent_diagram,
        reliability_diagram,
        risk_coverage_diagram,
        write_diagrams,
    )

    write_diagrams(
        path,
        [
            reliability_diagram("rank 1", found.reliability),
            risk_coverage_diagram({"confidence": found.risk}),
            absent_diagram(found.absent),
        ],
    )
