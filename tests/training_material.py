"""Annotated spectra and tiny runs, for the tests of training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem
from rdkit.Chem.Descriptors import ExactMolWt
from samples import TINY, examples

from specsearch.chemistry.adducts import parse_adduct
from specsearch.encoder.training.recipe import Recipe
from specsearch.spectra.spectrum import Spectrum

TRAIN, VAL = examples(24), examples(8, seed=1, first=100)
FAST = Recipe(
    replace(TINY, dropout=0.1),
    n_steps=12,
    warmup_steps=2,
    n_molecules=8,
    learning_rate=3e-3,
    validate_every=4,
)
ETHANOL, CAFFEINE = "CCO", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"
# Three pairs of isomers, and two molecules on their own.
MOLECULES = ("CCCO", "CC(C)O", "CCCCO", "CC(C)CO", "c1ccccc1O", "Oc1ccncc1C", "CCCCCCCC", "c1ccc2ccccc2c1")


def annotated(
    smiles: str, adduct: str = "[M+H]+", error_ppm: float = 0.0, split: str = "train", **changed: object
) -> Spectrum:
    """A spectrum with all that the structure phase asks of it."""
    molecule = Chem.MolFromSmiles(smiles)
    mass = ExactMolWt(molecule)
    metadata = {
        "smiles": smiles,
        "inchikey": Chem.MolToInchiKey(molecule),
        "exact_mass": f"{mass:.5f}",
        "split": split,
    }
    parsed = parse_adduct(adduct)
    precursor = parsed.precursor_mz(mass) * (1 + error_ppm * 1e-6)
    known = {"precursor_mz": precursor, "adduct": adduct, "charge": parsed.charge, "metadata": metadata}
    return Spectrum.checked([50.0, 60.0, 70.0], [1.0, 0.5, 0.2], **(known | changed))  # type: ignore[arg-type]


def unannotated(n: int, seed: int = 0) -> list[Spectrum]:
    """Spectra of 3 to 20 peaks without any annotation."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        mz = np.sort(rng.uniform(50, 500, rng.integers(3, 21)))
        intensity = rng.uniform(0.1, 1.0, len(mz))
        made.append(
            Spectrum.checked(mz, intensity, accession=f"U{number}", precursor_mz=float(rng.uniform(200, 600)))
        )
    return made


def write_bank(path: Path, smiles: Sequence[str], extra: Sequence[tuple[str, str, float]] = ()) -> Path:
    """A bank of these molecules, and of rows as given: SMILES, InChIKey, mass."""
    molecules = [Chem.MolFromSmiles(text) for text in smiles]
    rows = [
        (text, Chem.MolToInchiKey(m), ExactMolWt(m)) for text, m in zip(smiles, molecules, strict=True)
    ] + list(extra)
    names = ("smiles", "inchikey", "exact_mass")
    pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), path)
    return path


def metrics(folder: Path) -> list[dict[str, float]]:
    """A run's metrics, but for the time it took."""
    text = (folder / "metrics.jsonl").read_text()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text.splitlines()]
