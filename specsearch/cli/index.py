"""``specsearch index``: files into a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from specsearch.cli.index_trial import show_trial
from specsearch.cli.server_options import require_server, server_options, tell_how_made
from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option
from specsearch.errors import InputFileError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from ingest.engines import MakeEngine
    from ingest.index import Progress
    from ingest.summary import Summary
    from specsearch.encoder.embedder import Embedder
    from specsearch.store.server_settings import ServerSettings


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--library", required=True, metavar="NAME", help="Library to fill; made where there is none.")
@click.option(
    "--duplicates",
    type=click.Choice(["keep", "collapse"]),
    default="keep",
    show_default=True,
    help="What to do with spectra whose peaks (SPLASH) are already in the library.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every skipped record and file to a table: .csv, .tsv, .jsonl or .parquet.",
)
@click.option(
    "--metrics",
    "metrics_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep a file of figures on this run for Prometheus' textfile collector (*.prom).",
)
@click.option(
    "--engine",
    type=click.Choice(["here", "ray"]),
    default="here",
    show_default=True,
    help="Where the encoder works: on this machine, or on a Ray cluster (an actor a GPU, or a machine).",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help='The Ray cluster, as "auto" or "ray://HEAD:10001".  [default: RAY_ADDRESS, else one started here]',
)
@click.option(
    "--dry-run",
    "is_trial",
    is_flag=True,
    help="Only read: say what would be indexed, what is there already, and what skipped.",
)
@store_option
@server_options
@model_options
def index(
    files: tuple[str, ...],
    library: str,
    duplicates: Literal["keep", "collapse"],
    report_path: Path | None,
    metrics_path: Path | None,
    engine: Literal["here", "ray"],
    ray_address: str | None,
    is_trial: bool,
    store: StoreAt,
    settings: ServerSettings | None,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Index spectra into a library.

    FILES are files, folders or patterns: mzML, mzXML, MGF, MSP, MassBank records, GNPS and matchms
    JSON, MassSpecGym TSV, Parquet, GeMS/DreaMS HDF5; text formats also gzipped.

    Run twice, it changes nothing; interrupted, the same command goes on where it was.
    """
    from specsearch.report.formats import format_of

    if report_path is not None:
        format_of(report_path)  # a wrong ending should not wait for the end of an hour's work
    if ray_address is not None and engine != "ray":
        raise click.UsageError("--ray-address needs --engine ray.")
    require_server(store, settings)
    if is_trial:
        show_trial(files, library, store, duplicates)
        return
    embedder = ModelAt(model_path, key_map_path).load()
    make_engine = _engine(engine, ray_address)
    summary = index_into(
        library, files, store, embedder, duplicates, make_engine, settings, metrics_path=metrics_path
    )
    show_summary(summary)
    if report_path is not None:
        _write_report(report_path, summary)
    if not summary.n_read:
        raise InputFileError(
            "No MS/MS spectrum was read.", "A file of MS1 scans alone holds none; name others."
        )


def index_into(
    library: str,
    files: tuple[str, ...],
    store: StoreAt,
    embedder: Embedder,
    duplicates: Literal["keep", "collapse"] = "keep",
    make_engine: MakeEngine | None = None,
    settings: ServerSettings | None = None,
    metrics_path: Path | None = None,
) -> Summary:
    """Index with a bar on the screen; on this machine unless told otherwise."""
    from ingest.engines import here
    from ingest.index import index_files
    from specsearch.cli.screen import progress_bar

    with store.open(settings) as opened, progress_bar() as bar:
        tell_how_made(opened, library, settings)
        return index_files(
            files,
            opened,
            library,
            embedder,
            store.work_folder(library),
            duplicates=duplicates,
            aside=store.set_aside_folder(library),
            progress=_watching(bar, library, metrics_path),
            make_engine=make_engine or here,
        )


def _watching(bar: Bar, library: str, metrics_path: Path | None) -> Progress:
    from specsearch.cli.progress import IngestBar, IngestLines
    from specsearch.cli.screen import says_json

    shown = IngestLines() if says_json() else IngestBar(bar)
    if metrics_path is None:
        return shown
    from specsearch.cli.ingest_metrics import IngestMetrics

    return IngestMetrics(metrics_path, library, shown)


def _engine(name: str, ray_address: str | None) -> MakeEngine | None:
    if name != "ray":
        return None
    from ingest.ray_engine import on_ray
    from specsearch.cli.screen import say

    return on_ray(ray_address, say)


def show_summary(summary: Summary) -> None:
    """Print what was read, indexed, skipped and noticed."""
    from specsearch.cli.screen import screen
    from specsearch.report.tables import make_table

    counts = [
        ("read", summary.n_read),
        ("indexed", summary.n_indexed),
        ("skipped", len(summary.skipped)),
        ("files passed over", len(summary.passed_over)),
        ("repeat another's peaks (SPLASH)", summary.n_duplicates),
        (f"in library {summary.library!r} now", summary.n_in_library),
    ]
    console = screen()
    rows = [(name, f"{count:,}") for name, count in counts]
    console.print(make_table("", ("spectra", "count"), rows, right="count"))
    if skipped := summary.skipped_by_reason():
        rows = [(reason, f"{count:,}", str(example)) for reason, count, example in skipped]  # type: ignore[misc]
        console.print(make_table("Skipped", ("reason", "count", "for example"), rows, right="count"))
    if notes := summary.notes_by_kind():
        rows = [(note, f"{count:,}", name) for note, count, name in notes]  # type: ignore[misc]
        console.print(
            make_table("Noticed, and indexed", ("what", "count", "for example"), rows, right="count")
        )


def _write_report(path: Path, summary: Summary) -> None:
    from specsearch.cli.screen import say
    from specsearch.report.formats import format_of, write_rows
    from specsearch.report.rows import SKIPPED_COLUMNS, skipped_row

    rows = (skipped_row(skipped) for skipped in summary.complaints)
    n_rows = write_rows(path, rows, SKIPPED_COLUMNS, format_of(path))
    say(f"{n_rows:,} complaints are in {path}.")
