"""A GENERATED set in MassSpecGym's format: simulated spectra of well-known molecules, no measurement."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from specsearch.chemistry.structures import parse_structure
from specsearch.evaluation.simulated import simulate
from specsearch.evaluation.well_known import MOLECULES

COLUMNS = ["identifier", "mzs", "intensities", "smiles", "inchikey", "formula", "precursor_formula"]
COLUMNS += ["parent_mass", "precursor_mz", "adduct", "instrument_type", "collision_energy", "fold"]
COLUMNS += ["simulation_challenge"]
NAMES = list(MOLECULES)[:30]
ENERGIES = {"20.0": 0.5, "60.0": 2.0}


@dataclass(frozen=True)
class Gym:
    """Files of one version and track."""

    spectra: Path
    candidates: Path


def write_gym(folder: Path, version: str, rule: str) -> Gym:
    """The 14 columns and the candidate file of a version and a track, under their public names.

    Version 1 writes the truth as PubChem does (Kekulé form) and repeats it; version 1.5 writes everything
    in one way, without stereochemistry, the truth first.
    """
    prefix = "MassSpecGym" + ("1.5" if version == "1.5" else "")
    true = {name: kekule(MOLECULES[name]) if version == "1" else flat(MOLECULES[name]) for name in NAMES}
    lines = ["\t".join(COLUMNS)]
    lists = {}
    for place, name in enumerate(NAMES):
        fold = ("train", "val", "test", "test")[place % 4]
        for energy in ENERGIES:
            lines.append("\t".join(row(name, true[name], energy, fold, len(lines))))
        lists[true[name]] = listed(name, true[name], version, rule)
    gym = Gym(folder / f"{prefix}.tsv", folder / f"{prefix}_retrieval_candidates_{rule}.json")
    gym.spectra.write_text("\n".join(lines) + "\n", encoding="utf-8")
    gym.candidates.write_text(json.dumps(lists), encoding="utf-8")
    return gym


def kekule(smiles: str) -> str:
    molecule = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    return Chem.MolToSmiles(molecule, kekuleSmiles=True)


def flat(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def row(name: str, smiles: str, energy: str, fold: str, number: int) -> list[str]:
    structure = parse_structure(smiles)
    spectrum = simulate(name, energy, ENERGIES[energy])
    return [
        f"MassSpecGymID{number:07d}",
        ",".join(map(repr, spectrum.mz.tolist())),
        ",".join(repr(value / 1000.0) for value in spectrum.intensity.tolist()),
        smiles,
        structure.inchikey14,
        structure.formula,
        CalcMolFormula(Chem.AddHs(Chem.MolFromSmiles(smiles))),
        f"{structure.exact_mass:.6f}",
        f"{spectrum.precursor_mz:.4f}",
        "[M+H]+",
        "Orbitrap" if number % 2 else "QTOF",
        energy,
        fold,
        "False",
    ]


def listed(name: str, truth: str, version: str, rule: str) -> list[str]:
    """The truth, its positional isomers, and in the mass track other molecules."""
    decoys = isomers(MOLECULES[name])
    if rule == "mass":
        decoys += [flat(MOLECULES[other]) for other in NAMES if other != name][: 12 - len(name) % 5]
    if version == "1":
        middle = len(decoys) // 2
        return [*decoys[:middle], truth, *decoys[middle:], flat(truth), "C1CC"]  # repeated; not a SMILES
    return [truth, *decoys]


def isomers(smiles: str) -> list[str]:
    """Molecules of the same formula, a methyl group standing elsewhere; at most six."""
    molecule = Chem.MolFromSmiles(smiles)
    own = parse_structure(smiles).inchikey14
    found: dict[str, str] = {}
    for bond in molecule.GetBonds():
        for end, other in (
            (bond.GetBeginAtom(), bond.GetEndAtom()),
            (bond.GetEndAtom(), bond.GetBeginAtom()),
        ):
            if end.GetSymbol() != "C" or end.GetDegree() != 1 or bond.GetBondTypeAsDouble() != 1.0:
                continue
            for target in molecule.GetAtoms():
                if target.GetSymbol() != "C" or not target.GetTotalNumHs() or target.GetIdx() == end.GetIdx():
                    continue
                moved = moved_bond(molecule, end.GetIdx(), other.GetIdx(), target.GetIdx())
                if moved and (key := parse_structure(moved).inchikey14) != own:
                    found.setdefault(key, moved)
    return list(found.values())[:6]


def moved_bond(molecule: Chem.Mol, end: int, other: int, target: int) -> str:
    """SMILES with an atom hung on another one; empty where that is no molecule."""
    editable = Chem.RWMol(molecule)
    editable.RemoveBond(end, other)
    editable.AddBond(end, target, Chem.BondType.SINGLE)
    for index in (other, target):
        editable.GetAtomWithIdx(index).SetNoImplicit(False)
        editable.GetAtomWithIdx(index).SetNumExplicitHs(0)
    with rdBase.BlockLogs():
        if Chem.SanitizeMol(editable, catchErrors=True):
            return ""
    text = Chem.MolToSmiles(editable)
    return "" if "." in text else text
