"""What is written is read back as it was, number for number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specsearch.errors import InputFileError, InvalidSpectrum
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.readers.fields import cleaned, standard_name
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

ENDINGS = ("mgf", "mgf.gz", "msp", "msp.gz", "parquet")
RESERVED = {"spectrum_id", "precursor_mz", "charge", "adduct", "num_peaks", "specsearch_notes", "ionmode"}


def content(spectrum: object) -> tuple:
    assert isinstance(spectrum, Spectrum), spectrum
    return (
        spectrum.mz.tolist(),
        spectrum.intensity.tolist(),
        spectrum.accession,
        spectrum.precursor_mz,
        spectrum.charge,
        spectrum.adduct,
        dict(spectrum.metadata),
        spectrum.notes,
    )


positive = st.floats(min_value=1e-300, max_value=1e300, allow_nan=False)
values = st.text(min_size=1, max_size=30).map(cleaned).filter(lambda text: text and cleaned(text) == text)
keys = st.text(min_size=1, max_size=12).map(standard_name)
usable_keys = keys.filter(
    lambda key: standard_name(key) == key and key not in RESERVED | {"comment", "ms_level"}
)


@st.composite
def spectra(draw: st.DrawFn) -> Spectrum:
    mz = sorted(draw(st.lists(positive, min_size=1, max_size=6)))
    adduct, charge = draw(st.sampled_from([(None, None), (None, -2), ("[M+H]+", 1), ("what?", 3)]))
    return Spectrum(
        np.array(mz),
        np.array(draw(st.lists(positive, min_size=len(mz), max_size=len(mz)))),
        accession=draw(values),
        precursor_mz=draw(st.none() | positive),
        charge=charge,
        adduct=adduct,
        metadata=draw(st.dictionaries(usable_keys, values, max_size=4)),
        notes=("adduct not understood: what?",) if adduct == "what?" else (),
    )


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(spectra(), min_size=1, max_size=3))
def test_round_trip(tmp_path: Path, ending: str, written: list[Spectrum]) -> None:
    path = tmp_path / f"library.{ending}"
    assert write_spectra(path, written) == len(written)
    assert list(map(content, read_spectra(path))) == list(map(content, written))


@pytest.mark.parametrize("ending", ENDINGS)
def test_real_files_come_back_whole(data_dir: Path, tmp_path: Path, ending: str) -> None:
    for name in ("mgf/matchms_testdata.mgf", "msp/msbackendmsp_minimona.msp", "mzxml/matchms_testdata.mzXML"):
        spectra = [
            record for record in read_spectra(data_dir / "formats" / name) if isinstance(record, Spectrum)
        ]
        path = tmp_path / f"copy.{ending}"
        write_spectra(path, spectra)
        assert list(map(content, read_spectra(path))) == list(map(content, spectra))


def test_comments_with_equations_stay_comments(tmp_path: Path) -> None:
    comment = "Parent=250.5  and  more"
    spectrum = Spectrum(np.array([100.5]), np.array([1.0]), accession="a", metadata={"comment": comment})
    for ending in ENDINGS:
        write_spectra(tmp_path / f"x.{ending}", [spectrum])
        assert list(map(content, read_spectra(tmp_path / f"x.{ending}"))) == [content(spectrum)]


def test_other_libraries_read_what_is_written(tmp_path: Path) -> None:
    from matchms.importing import load_from_mgf, load_from_msp

    spectrum = Spectrum(
        np.array([100.1, 200.2]),
        np.array([0.1, 1.0]),
        accession="a",
        precursor_mz=250.3,
        charge=-1,
        adduct="[M-H]-",
        metadata={"smiles": "C=O", "compound_name": "formaldehyde"},
    )
    loaders: dict[str, Callable[[str], Iterable]] = {"x.mgf": load_from_mgf, "x.msp": load_from_msp}
    for name, load in loaders.items():
        write_spectra(tmp_path / name, [spectrum])
        (found,) = load(str(tmp_path / name))
        assert found.peaks.mz.tolist() == [100.1, 200.2]
        assert found.get("precursor_mz") == 250.3
        assert (found.get("adduct"), found.get("smiles")) == ("[M-H]-", "C=O")
        assert found.get("compound_name") == "formaldehyde"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("metadata", "accession"),
    [
        ({"comment": "two\nlines"}, "a"),
        ({"comment": " blank"}, "a"),
        ({"comment": ""}, "a"),
        ({"comment": "N/A"}, "a"),
        ({"Upper": "x"}, "a"),
        ({"two\nlines": "x"}, "a"),
        ({"a=b": "x"}, "a"),
        ({"precursor_mz": "100"}, "a"),
        ({"ionmode": "negative"}, "a"),
        ({}, "two\nlines"),
    ],
)
def test_what_could_not_be_read_back_is_refused_and_leaves_no_file(
    tmp_path: Path, ending: str, metadata: dict[str, str], accession: str
) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"what was there before")
    good = Spectrum(np.array([100.5]), np.array([1.0]), accession="good")
    bad = Spectrum(np.array([100.5]), np.array([1.0]), accession=accession, charge=1, metadata=metadata)
    with pytest.raises(InvalidSpectrum):
        write_spectra(path, [good, bad])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"what was there before"


def test_row_groups_are_written_as_spectra_come(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    def stream() -> Iterator[Spectrum]:
        for number in range(5000):
            yield Spectrum(np.array([100.5]), np.array([1.0 + number]), accession=str(number))

    path = tmp_path / "many.parquet"
    assert write_spectra(path, stream()) == 5000
    assert pq.ParquetFile(path).num_row_groups == 2
    assert [record.accession for record in read_spectra(path)] == [str(number) for number in range(5000)]


def test_unknown_endings_and_unwritable_places_are_refused(tmp_path: Path) -> None:
    for name in ("x.txt", "x.parquet.gz"):
        with pytest.raises(InputFileError, match="ending"):
            write_spectra(tmp_path / name, [])
    with pytest.raises(InputFileError, match="cannot be written"):
        write_spectra(tmp_path / "absent" / "x.mgf", [])
