"""Where the tests find real data, and what they do without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Numba sets the number of OpenMP threads of the whole process, and with it the order of torch's sums."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real spectra; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPECSEARCH_DATA", default))
    if not (folder / "massbank.parquet").exists():
        pytest.skip("real data not found: set SPECSEARCH_DATA to the folder with massbank.parquet")
    return folder
