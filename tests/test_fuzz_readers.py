"""Every reader on damaged files: spectra, complaints or a refusal in words; no traceback, hang or flood."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzz_seeds import write_seeds
from fuzz_targets import READERS
from fuzzing import fuzz

N_MUTANTS, N_MUTANTS_SLOW = 300, 10_000


@pytest.fixture
def real_data() -> Path | None:
    """Real files make more seeds where they are at hand; without them there are those made in sight."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPECSEARCH_DATA", default))
    return folder if (folder / "massbank.parquet").exists() else None


def _fuzz(reader: str, tmp_path: Path, real: Path | None, numbers: range) -> dict[str, int]:
    if reader == "hdf5":
        pytest.importorskip("h5py")
    write_seeds(reader, tmp_path / "seeds", real)
    return fuzz(reader, tmp_path / "seeds", numbers)


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused(reader: str, tmp_path: Path, real_data: Path | None) -> None:
    counts = _fuzz(reader, tmp_path, real_data, range(N_MUTANTS))
    assert counts["spectrum"] > 0
    assert counts.get("skipped", 0) + counts.get("refused", 0) > 0


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_ten_thousand_damaged_files(reader: str, tmp_path: Path, real_data: Path | None) -> None:
    counts = _fuzz(reader, tmp_path, real_data, range(N_MUTANTS_SLOW))
    assert counts["spectrum"] > 0
    assert counts.get("skipped", 0) + counts.get("refused", 0) > 0
