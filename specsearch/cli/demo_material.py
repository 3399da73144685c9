"""What the demonstration indexes and asks: always the same spectra from the same source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from specsearch.errors import InputFileError

_N_LIBRARY, _N_QUERIES = 10_000, 5
_MIN_PEAKS, _MAX_PRECURSOR_MZ = 10, 600.0


@dataclass(frozen=True)
class Material:
    """A library and queries, as files.

    Parameters
    ----------
    library : str
        Its name.
    library_file, query_file : Path
    remark : str
        What to know when reading the answers.
    """

    library: str
    library_file: Path
    query_file: Path
    remark: str


def real_material(massbank: Path, folder: Path) -> Material:
    """Every fourth or so MassBank spectrum of the train split, and queries of the test split.

    Nothing is picked by hand: both are rows at even distances, queries among those with at least ten
    peaks, a structure, and a precursor up to m/z 600, so that their table fits the screen.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(massbank)
    if "split" not in table.column_names:
        raise InputFileError(
            f"{massbank} has no column 'split'.", "It is not the table this demo is made for."
        )
    train = table.filter(pc.equal(table["split"], "train"))
    test = table.filter(
        pc.and_(
            pc.and_(pc.equal(table["split"], "test"), pc.is_valid(table["smiles"])),
            pc.and_(
                pc.greater_equal(pc.list_value_length(table["mz"]), _MIN_PEAKS),
                pc.less(table["precursor_mz"], _MAX_PRECURSOR_MZ),
            ),
        )
    )
    library_file, query_file = folder / "massbank-train.parquet", folder / "massbank-test.parquet"
    pq.write_table(train.take(_evenly(train.num_rows, _N_LIBRARY)), library_file, row_group_size=2048)
    pq.write_table(test.take(_evenly(test.num_rows, _N_QUERIES)), query_file)
    return Material(
        "demo",
        library_file,
        query_file,
        "The queries' molecules are not in this library (train and test share none): the hits are their "
        "nearest analogues, to be judged by the structures.",
    )


def simulated_material(folder: Path) -> Material:
    """Simulated spectra of well-known molecules."""
    from specsearch.evaluation.simulated import simulated_sample
    from specsearch.spectra.writers import write_spectra

    sample = simulated_sample()
    library_file, query_file = folder / "simulated-library.parquet", folder / "simulated-queries.parquet"
    write_spectra(library_file, sample.library)
    write_spectra(query_file, sample.queries)
    return Material(
        "demo-simulated",
        library_file,
        query_file,
        "All spectra here are SIMULATED; they show how it works, not how well. The molecules of the last "
        "two queries are not in the library: their hits are analogues.",
    )


def _evenly(n_rows: int, n_wanted: int) -> list[int]:
    """Rows at even distances, at most `n_wanted`."""
    n_taken = min(n_rows, n_wanted)
    return [row * n_rows // n_taken for row in range(n_taken)]
