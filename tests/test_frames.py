"""Tables for pandas hold the numbers of the rows that every other format has."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import pytest
from notebook_material import answer, phenol, shortlist
from pandas.api import types
from samples import spectra

from specsearch import SpecsearchError, to_pandas
from specsearch.report.candidate_rows import CANDIDATE_COLUMNS, Provenance, candidate_rows
from specsearch.report.frames import candidates_frame, hits_frame, spectra_frame
from specsearch.report.rows import HIT_COLUMNS, hit_rows

IS_OF = {str: types.is_string_dtype, int: types.is_integer_dtype, float: types.is_float_dtype}
MADE_WITH = Provenance("bank", "digest-b", "digest-e", "rule")


def require_same(frame: pd.DataFrame, rows: Iterable[Mapping], columns: Mapping[str, type]) -> None:
    rows = list(rows)
    assert list(frame.columns) == list(columns)
    assert len(frame) == len(rows)
    for name, kind in columns.items():
        assert IS_OF[kind](frame[name].dtype), name
        for value, row in zip(frame[name], rows, strict=True):
            assert pd.isna(value) if row[name] is None else value == row[name], name


def test_hits() -> None:
    answers = [
        answer(phenol(), [phenol("a"), phenol("b", precursor_mz=None, charge=None)]),
        answer(phenol("other"), []),
        answer(phenol("third", precursor_mz=None), [phenol("c")]),
    ]
    frame = to_pandas(iter(answers))
    require_same(frame, [row for one in answers for row in hit_rows(one)], HIT_COLUMNS)
    assert frame["query"].tolist() == ["phenol", "phenol", "third"]
    assert frame["charge"].sum() == 2  # an unknown one does not count, and makes no float of the others
    require_same(to_pandas(answers[0]), hit_rows(answers[0]), HIT_COLUMNS)


@pytest.mark.parametrize("made_with", [None, MADE_WITH])
def test_candidates(made_with: Provenance | None) -> None:
    lists = [shortlist(phenol(), 3), shortlist(phenol("other"), 2)]
    frame = to_pandas(lists, made_with)
    require_same(frame, [row for one in lists for row in candidate_rows(one, made_with)], CANDIDATE_COLUMNS)
    assert frame["bank"].isna().all() == (made_with is None)
    assert frame.groupby("query")["probability"].sum().tolist() == pytest.approx([1.0, 1.0])


def test_spectra() -> None:
    records = spectra(12)
    frame = to_pandas(records)
    assert frame["accession"].tolist() == [record.accession for record in records]
    assert frame["n_peaks"].sum() == sum(map(len, records))
    assert frame["charge"].isna().tolist() == [record.charge is None for record in records]
    assert frame["precursor_mz"].isna().tolist() == [record.precursor_mz is None for record in records]
    assert frame["formula"].tolist() == [record.metadata["formula"] for record in records]
    exploded = frame[["accession", "mz", "intensity"]].explode(["mz", "intensity"])
    assert exploded["mz"].tolist() == np.concatenate([record.mz for record in records]).tolist()
    assert len(to_pandas(records[0])) == 1


def test_metadata_under_a_name_of_ours_does_not_hide_it() -> None:
    frame = to_pandas(phenol(metadata={"n_peaks": "many", "mz": "x", "accession": "y"}))
    assert (frame["n_peaks"][0], frame["accession"][0], len(frame["mz"][0])) == (4, "phenol", 4)


def test_nothing_is_a_table_too() -> None:
    assert to_pandas([]).empty
    assert list(hits_frame([]).columns) == list(HIT_COLUMNS)
    assert list(candidates_frame([]).columns) == list(CANDIDATE_COLUMNS)
    assert len(spectra_frame([])) == 0


def test_what_cannot_be_one_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="Answer, Spectrum"):
        to_pandas([phenol(), answer(phenol(), [])])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="int"):
        to_pandas([1])  # type: ignore[list-item]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SpecsearchError, match=r"pip install 'specsearch\[notebook\]'"):
        to_pandas([phenol()])
