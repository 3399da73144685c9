"""To matchms and back, and against what matchms itself reads from a file."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import matchms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matchms.importing import load_from_mgf
from matchms.similarity import CosineGreedy
from samples import spectra

from specsearch import SpecsearchError, Spectrum, from_matchms, to_matchms, write_spectra
from specsearch.errors import InvalidSpectrum
from specsearch.spectra.readers.fields import cleaned, standard_name

NAMES = ["compound_name", "smiles", "inchikey", "exact_mass", "retention_time", "collision_energy", "comment"]


def content(spectrum: Spectrum) -> tuple[Any, ...]:
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


def with_mode(spectrum: Spectrum) -> tuple[Any, ...]:
    """Its content, and the ion mode that matchms is told."""
    mode = {"ionmode": spectrum.ion_mode} if spectrum.ion_mode else {}
    *others, metadata, notes = content(spectrum)
    return (*others, mode | metadata, notes)


positive = st.floats(min_value=1e-300, max_value=1e300)
texts = st.text(min_size=1, max_size=30).map(cleaned).filter(lambda text: text and cleaned(text) == text)
names = st.sampled_from(NAMES) | st.from_regex("x_[a-z]{1,8}", fullmatch=True)
ions = st.sampled_from([(None, None), (None, -2), ("[M+H]+", 1), ("[2M+Na]+", 1), ("what?", 3)])


@st.composite
def any_spectrum(draw: st.DrawFn) -> Spectrum:
    mz = sorted(draw(st.lists(positive, min_size=1, max_size=6)))
    adduct, charge = draw(ions)
    return Spectrum(
        np.array(mz),
        np.array(draw(st.lists(positive, min_size=len(mz), max_size=len(mz)))),
        accession=draw(texts),
        precursor_mz=draw(st.none() | positive),
        charge=charge,
        adduct=adduct,
        metadata=draw(st.dictionaries(names, texts, max_size=4)),
        notes=("adduct not understood: what?",) if adduct == "what?" else (),
    )


@settings(max_examples=200, deadline=None)
@given(any_spectrum())
def test_there_and_back(spectrum: Spectrum) -> None:
    assert content(from_matchms(to_matchms(spectrum))) == with_mode(spectrum)


def test_every_standard_name_comes_back() -> None:
    from specsearch.spectra.readers.fields import _SPELLINGS

    known = set(_SPELLINGS) - {"spectrum_id", "precursor_mz", "charge", "adduct", "ionmode", "num_peaks"}
    metadata = {name: "7" for name in sorted(known)}
    spectrum = Spectrum(np.array([100.0]), np.array([1.0]), accession="a", metadata=metadata)
    assert dict(from_matchms(to_matchms(spectrum)).metadata) == metadata
    assert all(standard_name(name) == name for name in metadata)


def test_matchms_finds_what_it_looks_for() -> None:
    spectrum = Spectrum.checked(
        [100.5, 200.25],
        [3.0, 7.0],
        accession="A1",
        precursor_mz=301.125,
        charge=-1,
        adduct="[M-H]-",
        metadata={"compound_name": "x"},
    )
    made = to_matchms(spectrum)
    assert (made.get("precursor_mz"), made.get("charge"), made.get("ionmode")) == (301.125, -1, "negative")
    assert (made.get("spectrum_id"), made.get("adduct"), made.get("compound_name")) == ("A1", "[M-H]-", "x")
    assert made.peaks.to_numpy.tolist() == [[100.5, 3.0], [200.25, 7.0]]
    made.peaks.mz[0] = 1.0  # its own arrays, which may be changed
    assert spectrum.mz[0] == 100.5
    assert "charge" not in to_matchms(Spectrum.checked([1.0], [1.0])).metadata


def test_its_own_similarity_sees_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("spectrum_similarity_functions", "CosineGreedy"):  # uncompiled, which is quicker here
        module = import_module(f"matchms.similarity.{part}")
        for name, function in list(vars(module).items()):
            if hasattr(function, "py_func"):
                monkeypatch.setattr(module, name, function.py_func)
    cosine = CosineGreedy(tolerance=1e-9)
    for spectrum in spectra(20):
        there = to_matchms(spectrum)
        again = to_matchms(from_matchms(there))
        found = cosine.pair(there, again)
        assert float(found["score"]) == pytest.approx(1.0)
        assert int(found["matches"]) == len(spectrum)
        assert there == again


def test_a_file_read_by_matchms_is_the_file_read_by_us(tmp_path: Path) -> None:
    records = spectra(20)
    write_spectra(tmp_path / "x.mgf", records)
    for harmonize in (True, False):
        loaded = load_from_mgf(str(tmp_path / "x.mgf"), metadata_harmonization=harmonize)
        assert [content(from_matchms(read)) for read in loaded] == list(map(content, records))


def test_contradictions_are_noted_and_the_adduct_is_believed() -> None:
    given_away = matchms.Spectrum(
        np.array([100.0]),
        np.array([1.0]),
        {"charge": 1, "adduct": "[M-H]-", "ionmode": "negative", "precursor_mz": 0.0},
    )
    read = from_matchms(given_away)
    assert (read.charge, read.adduct, read.precursor_mz) == (-1, "[M-H]-", None)
    assert from_matchms(to_matchms(read)).charge == -1


def test_what_is_neither_text_nor_number_is_left_behind() -> None:
    metadata = {"peak_comments": {100.0: "x"}, "fingerprint": np.ones(3), "scans": np.int64(7), "title": None}
    read = from_matchms(matchms.Spectrum(np.array([100.0]), np.array([1.0]), metadata))
    assert dict(read.metadata) == {"scans": "7"}
    assert read.accession == "7"


@pytest.mark.parametrize(
    ("mz", "intensity", "metadata", "reason"),
    [
        ([], [], {}, "no peaks"),
        ([100.0], [0.0], {}, "all intensities zero"),
        ([100.0, 101.0], [1.0, -1.0], {}, "intensity negative"),
        ([100.0], [1.0], {"precursor_mz": -5.0}, "precursor m/z not positive"),
        ([100.0], [1.0], {"precursor_mz": "heavy"}, "precursor m/z not a number"),
    ],
)
def test_unusable_records_are_refused(
    mz: list[float], intensity: list[float], metadata: dict[str, Any], reason: str
) -> None:
    made = matchms.Spectrum(np.array(mz), np.array(intensity), metadata, metadata_harmonization=False)
    with pytest.raises(InvalidSpectrum) as caught:
        from_matchms(made)
    assert caught.value.reason == reason


def test_without_matchms_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matchms", None)
    with pytest.raises(SpecsearchError, match=r"pip install 'specsearch\[notebook\]'"):
        to_matchms(Spectrum.checked([100.0], [1.0]))
