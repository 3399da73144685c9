"""Precursors against molecules: made faults, and every record of MassBank."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.agreement import Agreement, explain_precursor
from specsearch.chemistry.masses import formula_mass
from specsearch.chemistry.tolerance import Tolerance

CAFFEINE = formula_mass("C8H10N4O2")
TWENTY_PPM = Tolerance(20, "ppm")

WITH_EXACT_MASS_AS_GIVEN = {
    Agreement.AGREES: 68_690,
    Agreement.UNIT_RESOLUTION: 1_996,
    Agreement.DISAGREES: 365,
    Agreement.NO_ADDUCT: 307,
    Agreement.ISOTOPES: 202,
    Agreement.NO_PRECURSOR: 52,
    Agreement.OTHER_ADDUCT: 9,
}
WITH_EXACT_MASS_FROM_FORMULA = {
    Agreement.AGREES: 70_250,
    Agreement.UNIT_RESOLUTION: 512,
    Agreement.DISAGREES: 308,
    Agreement.NO_ADDUCT: 307,
    Agreement.ISOTOPES: 183,
    Agreement.NO_PRECURSOR: 52,
    Agreement.OTHER_ADDUCT: 9,
}


@pytest.mark.parametrize(
    ("precursor_mz", "adduct", "exact_mass", "expected"),
    [
        (195.0877, "[M+H]+", CAFFEINE, Agreement.AGREES),
        (195.0877, "M+H", CAFFEINE, Agreement.AGREES),
        (195.1, "[M+H]+", CAFFEINE, Agreement.UNIT_RESOLUTION),
        (195.0877 + 3 * 1.006277, "[M+H]+", CAFFEINE, Agreement.ISOTOPES),
        (195.0877 + 1.003355, "[M+H]+", CAFFEINE, Agreement.ISOTOPES),
        (98.0475 + 1.003355 / 2, "[M+2H]2+", CAFFEINE, Agreement.ISOTOPES),
        (217.0696, "[M+H]+", CAFFEINE, Agreement.OTHER_ADDUCT),
        (239.0786, "[M-H]-", CAFFEINE, Agreement.OTHER_ADDUCT),
        (217.0696, "[M-H]-", CAFFEINE, Agreement.DISAGREES),
        (300.0, "[M+H]+", CAFFEINE, Agreement.DISAGREES),
        (None, "[M+H]+", CAFFEINE, Agreement.NO_PRECURSOR),
        (0.0, "[M+H]+", CAFFEINE, Agreement.NO_PRECURSOR),
        (float("nan"), "[M+H]+", CAFFEINE, Agreement.NO_PRECURSOR),
        (195.0877, None, CAFFEINE, Agreement.NO_ADDUCT),
        (195.0877, "", CAFFEINE, Agreement.NO_ADDUCT),
        (195.0877, "[M+?]+", CAFFEINE, Agreement.ADDUCT_NOT_UNDERSTOOD),
        (195.0877, "[M+H]+", None, Agreement.NO_EXACT_MASS),
        (195.0877, "[M+H]+", 0.0, Agreement.NO_EXACT_MASS),
    ],
)
def test_made_faults(
    precursor_mz: float | None, adduct: str | None, exact_mass: float | None, expected: Agreement
) -> None:
    assert explain_precursor(precursor_mz, adduct, exact_mass, TWENTY_PPM) is expected


def test_every_massbank_record(data_dir: Path) -> None:
    """The data are fixed, so the counts are exact; `exact_mass` as given is an average mass in 1,560 rows."""
    table = pq.read_table(
        data_dir / "massbank.parquet", columns=["precursor_mz", "adduct", "exact_mass", "formula"]
    )
    rows = table.to_pylist()
    as_given = Counter(
        explain_precursor(row["precursor_mz"], row["adduct"], row["exact_mass"], TWENTY_PPM) for row in rows
    )
    from_formula = Counter(
        explain_precursor(row["precursor_mz"], row["adduct"], formula_mass(row["formula"]), TWENTY_PPM)
        for row in rows
    )
    assert sum(as_given.values()) == sum(from_formula.values()) == 71_621
    assert as_given == WITH_EXACT_MASS_AS_GIVEN
    assert from_formula == WITH_EXACT_MASS_FROM_FORMULA


def test_share_that_agrees_by_another_road(data_dir: Path) -> None:
    """Plain arithmetic with the handful of adducts that make up 99 % of MassBank."""
    table = pq.read_table(data_dir / "massbank.parquet", columns=["precursor_mz", "adduct", "exact_mass"])
    frame = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    shifts = {"[M+H]+": 1.00727646, "[M-H]-": -1.00727646, "[M]+": -0.00054858, "[M+Na]+": 22.98922070}
    for adduct, shift in shifts.items():
        mine = frame["adduct"] == adduct
        expected = frame["exact_mass"][mine] + shift
        ppm = (frame["precursor_mz"][mine] - expected) / expected * 1e6
        parsed = parse_adduct(adduct).precursor_mz(frame["exact_mass"][mine])
        inside = TWENTY_PPM.contains(frame["precursor_mz"][mine], parsed)
        assert np.sum(inside) == np.sum(np.abs(ppm) <= 20)


def test_adducts_that_contradict_their_ion_mode(data_dir: Path) -> None:
    table = pq.read_table(data_dir / "massbank.parquet", columns=["adduct", "ion_mode"])
    rows = [row for row in table.to_pylist() if row["adduct"]]
    contradictions = [row for row in rows if parse_adduct(row["adduct"]).contradicts(row["ion_mode"])]
    assert contradictions == [{"adduct": "[M+H]+", "ion_mode": "negative"}]
    by_sign = [
        row for row in rows if (row["adduct"].rstrip("*.")[-1] == "+") != (row["ion_mode"] == "positive")
    ]
    assert by_sign == contradictions
