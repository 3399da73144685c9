"""``specsearch model``: what a model file or a ranker says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from specsearch.cli.settings import ModelAt


@click.group()
def model() -> None:
    """Look at model files."""


@model.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--key-map",
    "key_map_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON file that translates the tensor names of a foreign model file into ours.",
)
def show(file: Path | None, key_map_path: Path | None) -> None:
    """Show the card of a model FILE (by default the shipped one), after checking that it is whole.

    For a foreign file every tensor whose name, shape or type differs is listed.
    """
    from specsearch.cli.screen import screen
    from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT
    from specsearch.report.tables import make_table

    path = file or DEFAULT_CHECKPOINT
    network, card = ModelAt(path, key_map_path).read()
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    rows: list[tuple[str, object]] = [
        ("name", card.name),
        ("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB)"),
        ("digest", card.digest),
        ("parameters", f"{n_parameters:,}"),
        *_lines("configuration", card.config.to_dict()),
        *_lines("training", card.training),
        *_lines("figures", card.figures),
        *(("limits" if number == 0 else "", limit) for number, limit in enumerate(card.limits)),
    ]
    screen().print(make_table("", ("", "model"), rows))


@model.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def ranker(file: Path | None) -> None:
    """Show the card of a ranker FILE (by default the shipped one): what it was fitted on, how true it is."""
    from specsearch.cli.screen import screen
    from specsearch.report.tables import make_table
    from specsearch.search.decision import DEFAULT_RANKER, read_decision

    path = file or DEFAULT_RANKER
    layer = read_decision(path)
    limits = layer.card.get("limits", ())
    rows: list[tuple[str, object]] = [
        ("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB)"),
        ("digest", layer.digest),
        ("for the model", layer.encoder),
        *_lines("card", {name: value for name, value in layer.card.items() if name != "limits"}),
        *(("limits" if number == 0 else "", limit) for number, limit in enumerate(limits)),
    ]
    screen().print(make_table("", ("", "ranker"), rows))


def _lines(title: str, values: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """One line for each entry, nested ones by dotted names; the title before the first."""
    for number, (name, value) in enumerate(_flattened(values)):
        yield title if number == 0 else "", f"{name} = {value}"


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else value
