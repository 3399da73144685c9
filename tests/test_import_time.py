"""Starting is quick because nothing heavy is imported; the seconds themselves are measured in benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import specsearch

HEAVY = ("torch", "qdrant_client", "qdrant_edge", "rdkit", "pyarrow", "numba", "lxml", "numpy", "rich")
LIST_MODULES = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def modules_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a statement; what it prints first is left aside."""
    finished = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{LIST_MODULES}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(finished.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import specsearch",
        "from specsearch.cli import main; main(['--help'], standalone_mode=False)",
        "from specsearch.cli import main; main(['search', '--help'], standalone_mode=False)",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    assert not modules_after(statement).intersection(HEAVY)


def test_public_names_are_all_there_when_asked_for() -> None:
    for name in specsearch.__all__:
        assert getattr(specsearch, name).__name__ == name
    assert specsearch.__version__.count(".") == 2
    assert set(specsearch.__all__) <= set(dir(specsearch))
    with pytest.raises(AttributeError, match="nothing"):
        specsearch.nothing  # noqa: B018 - the access is the test
