"""What a training run is made of: files to examples, tables, decoys and a card that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.plan import content_hash, prepare_source
from specsearch.chemistry.tolerance import Tolerance
from specsearch.cli.train_screen import TrainScreen
from specsearch.encoder.checkpoint import Card, load_checkpoint
from specsearch.encoder.network import Encoder
from specsearch.encoder.training.decoys import Peers, find_peers, read_bank
from specsearch.encoder.training.examples import Collector, Examples
from specsearch.encoder.training.pools import Table
from specsearch.encoder.training.recipe import Recipe
from specsearch.spectra.readers import find_files, read_spectra

_STAGING, _CACHE = "staging", "cache"
# Candidates that validation ranks are those within the usual accuracy of a precursor.
_VALIDATION_WINDOW = Tolerance(10.0, "ppm")


def load_start(path: Path | None) -> tuple[Encoder | None, dict[str, Any]]:
    """The network to begin with, and what the card says of it."""
    if path is None:
        return None, {}
    network, card = load_checkpoint(path)
    return network, {"from": {"name": card.name, "digest": card.digest}}


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of files by their names."""
    return {path.name: content_hash(path) for path in paths}


def make_card(name: str, limit: str, **training: Any) -> Card:
    """A card before training: the loop adds recipe, step and figures."""
    return Card(name=name, training=training, limits=[limit])


def collect(files: Sequence[Path], screen: TrainScreen) -> Collector:
    """Clean, annotated spectra of the splits "train" and "val"."""
    collector = Collector(("train", "val"), screen.skipped)
    for path in files:
        screen.say(f"Reading {path} ...")
        collector.add(read_spectra(path), str(path))
    return collector


def tables_of(files: Sequence[str], folder: Path, screen: TrainScreen) -> tuple[list[Table], dict[str, str]]:
    """Parquet tables with the spectra of any files, and the SHA-256 of each file."""
    found = find_files(files)
    for skipped in found.skipped:
        screen.skipped(skipped)
    tables, data = [], {}
    for path in found.files:
        screen.say(f"Reading {path} ...")
        source = prepare_source(path, folder / _STAGING)
        for skipped in source.skipped:
            screen.skipped(skipped)
        if source.n_rows:
            tables.append(Table(source.table, source.n_rows))
        data[path.name] = source.sha256
    return tables, data


def find_decoys(
    bank_path: Path | None,
    recipe: Recipe,
    split_of: Mapping[str, str],
    parts: Mapping[str, Examples],
    folder: Path,
    screen: TrainScreen,
) -> tuple[Peers | None, Peers | None]:
    """Decoys for training, and candidates for validation; molecules of other splits are no decoys."""
    if bank_path is None:
        return None, None
    screen.say(f"Looking for molecules of the same mass in {bank_path} ...")
    bank = read_bank(bank_path)
    others = {name for name, split in split_of.items() if split != "train"}
    window = Tolerance(recipe.decoy_ppm, "ppm")
    cache = folder / _CACHE
    decoys = find_peers(bank, parts["train"], window, cache, others, screen.skipped)
    peers = find_peers(bank, parts["val"], _VALIDATION_WINDOW, cache, (), screen.skipped)
    return decoys, peers
