"""What the tests of the command line share: running it, and a small model with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner, Result

from specsearch.cli import main
from specsearch.encoder.checkpoint import Card, save_checkpoint
from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.network import Encoder


def small_model(path: Path, seed: int = 1) -> Path:
    """A one-layer encoder: any model serves to see that answers travel."""
    torch.manual_seed(seed)
    config = EncoderConfig(n_layers=1, feed_forward=64, n_fourier=8)
    save_checkpoint(path, Encoder(config), Card(name="small", limits=["random weights"]))
    return path


class Commands:
    """The command line with a store and a model of its own."""

    def __init__(self, folder: Path, model: Path | None) -> None:
        self.store = folder / "store"
        env = {"SPECSEARCH_STORE": str(self.store), "SPECSEARCH_DATA": str(folder / "no-data")}
        self.env = env | ({"SPECSEARCH_MODEL": str(model)} if model else {})

    def run(self, *words: object, code: int = 0) -> Result:
        """Run a command in this process and require its exit code."""
        result = CliRunner().invoke(main, [str(word) for word in words], env=self.env)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    def search(self, *words: object) -> list[dict[str, Any]]:
        """Hits of a search as rows."""
        lines = self.run("search", *words, "--format", "jsonl").stdout.splitlines()
        return [json.loads(line) for line in lines]
