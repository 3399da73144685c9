"""Names for the difference between two precursors: what one molecule may have that the other has not."""

from __future__ import annotations

from functools import cache

from specsearch.chemistry.masses import formula_mass

# Differences that chemists look for between related compounds: metabolic and environmental transformations,
# homologues, repeat units. Only formulas are written down; masses are computed.
# A minus sign parts what is gained from what is lost.
_CHANGES = {
    "+O": "O",
    "+O2": "O2",
    "+H2": "H2",
    "+H2O": "H2O",
    "+CH2": "CH2",
    "+C2H4": "C2H4",
    "+C2H2": "C2H2",
    "+CO": "CO",
    "+CO2": "CO2",
    "+CH2O": "CH2O",
    "+acetyl": "C2H2O",
    "+C3H6": "C3H6",
    "+C4H8": "C4H8",
    "+prenyl": "C5H8",
    "+NH": "NH",
    "+NH3": "NH3",
    "+N2": "N2",
    "+S": "S",
    "+sulfate": "SO3",
    "+phosphate": "HPO3",
    "+methanesulfonyl": "CH2SO2",
    "+glycine": "C2H3NO",
    "+taurine": "C2H5NO2S",
    "+cysteine": "C3H5NOS",
    "+glutathione": "C10H15N3O6S",
    "+pentose": "C5H8O4",
    "+deoxyhexose": "C6H10O4",
    "+hexose": "C6H10O5",
    "+glucuronide": "C6H8O6",
    "+malonyl": "C3H2O3",
    "+caffeoyl": "C9H6O3",
    "+galloyl": "C7H4O4",
    "+coumaroyl": "C9H6O2",
    "+feruloyl": "C10H8O3",
    "+C2H4O": "C2H4O",
    "+C3H6O": "C3H6O",
    "+CF2": "CF2",
    "+C2F4": "C2F4",
    "+HF": "HF",
    "+HCl": "HCl",
    "H to F": "F-H",
    "H to Cl": "Cl-H",
    "H to Br": "Br-H",
    "Cl to Br": "Br-Cl",
    "H to Na": "Na-H",
    "CH3 to COOH": "O2-H2",
    "NH2 to OH": "O-NH",
    "H to NO2": "NO2-H",
    "O to CH4": "CH4-O",
}


@cache
def _masses() -> dict[str, float]:
    def mass(change: str) -> float:
        gained, _, lost = change.partition("-")
        return formula_mass(gained) - (formula_mass(lost) if lost else 0.0)

    return {name: mass(change) for name, change in _CHANGES.items()}


def name_difference(difference_da: float, tolerance_da: float = 0.005) -> str:
    """Name of a mass difference, nearest within the tolerance; empty where it is none of the common ones.

    Parameters
    ----------
    difference_da : float
        Second precursor minus first, both singly charged; a negative one is named as a loss.
    tolerance_da : float
    """
    if abs(difference_da) <= tolerance_da:
        return "same mass"
    name, mass = min(_masses().items(), key=lambda entry: abs(abs(difference_da) - abs(entry[1])))
    if abs(abs(difference_da) - abs(mass)) > tolerance_da:
        return ""
    if (difference_da > 0) == (mass > 0):
        return name
    return f"-{name[1:]}" if name.startswith("+") else f"{name}, reversed"
