"""SPLASH against public vectors and against those MassBank computed with the reference implementation."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from specsearch.spectra.splash import splash


def read_peaks(data_dir: Path) -> pa.Table:
    return pq.read_table(data_dir / "massbank.parquet", columns=["mz", "intensity", "splash"])


def count_differences(table: pa.Table) -> int:
    """SPLASHes unlike MassBank's; a float32 intensity stands for its shortest decimal, as in the record."""
    different = 0
    for row in table.to_pylist():
        intensity = np.array(np.array(row["intensity"], dtype=np.float32).astype(str), dtype=np.float64)
        different += splash(np.array(row["mz"]), intensity) != row["splash"]
    return different


def test_public_hash_block() -> None:
    mz = np.array([44.998, 80.0261, 93.0321, 108.0227])
    assert splash(mz, np.array([0.2, 0.1, 0.4, 0.3])).endswith("-5cd70311703e2423a1c5")


def test_order_and_scale_do_not_matter() -> None:
    mz, intensity = np.array([108.0227, 44.998, 93.0321, 80.0261]), np.array([3.0, 2.0, 4.0, 1.0])
    assert splash(mz, intensity).endswith("-5cd70311703e2423a1c5")
    assert splash(mz, intensity * 1e6) == splash(mz, intensity)


def test_equal_mz_are_hashed_by_falling_intensity() -> None:
    mz = np.array([100.0, 100.0])
    assert splash(mz, np.array([1.0, 2.0])) == splash(mz, np.array([2.0, 1.0]))


def test_histogram_blocks_by_hand() -> None:
    """Ten bins of 100: 50 and 1050 m/z share the first (150 %), 60 % at 150 m/z make 60/150 x 9 = 3.6."""
    _, _, similarity, _ = splash(np.array([50.0, 150.0, 1050.0]), np.array([100.0, 60.0, 50.0])).split("-")
    assert similarity == "9300000000"


def test_every_twentieth_massbank_record(data_dir: Path) -> None:
    table = read_peaks(data_dir)
    assert count_differences(table.take(list(range(0, table.num_rows, 20)))) == 0


@pytest.mark.slow
def test_every_massbank_record(data_dir: Path) -> None:
    table = read_peaks(data_dir)
    assert table.num_rows == 71_621
    assert count_differences(table) == 0
