"""Fingerprints against RDKit's own bit vectors and its BulkTanimoto."""

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem, rdFingerprintGenerator

from specsearch.chemistry.fingerprints import (
    MorganSettings,
    morgan_bits,
    pack_bits,
    tanimoto,
    unpack_bits,
)
from specsearch.errors import ParseError

SMILES = [
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1cnc2c1c(=O)[nH]c(=O)n2C",
    "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "OC[C@@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[N+](C)(C)CCO",
    "C",
    "O=C(O)c1ccccc1O",
]


@pytest.mark.parametrize(("radius", "n_bits"), [(2, 2048), (3, 1024), (1, 100)])
def test_bits_are_rdkits(radius: int, n_bits: int) -> None:
    bits = morgan_bits(SMILES, MorganSettings(radius=radius, n_bits=n_bits))
    assert bits.shape == (len(SMILES), n_bits)
    assert bits.dtype == np.uint8
    for row, smiles in zip(bits, SMILES, strict=True):
        generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=n_bits)
        vector = generator.GetFingerprint(Chem.MolFromSmiles(smiles))
        assert np.flatnonzero(row).tolist() == list(vector.GetOnBits())


def test_default_is_the_classic_ecfp4() -> None:
    for row, smiles in zip(morgan_bits(SMILES), SMILES, strict=True):
        classic = AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(smiles), 2, nBits=2048)
        assert np.flatnonzero(row).tolist() == list(classic.GetOnBits())


def test_settings_that_matter_change_bits_and_digest() -> None:
    settings = [MorganSettings(), MorganSettings(use_chirality=True), MorganSettings(use_features=True)]
    bits = [morgan_bits(SMILES, each).tobytes() for each in settings]
    assert len(set(bits)) == len({each.digest() for each in settings}) == 3
    assert MorganSettings().digest() == MorganSettings(radius=2, n_bits=2048).digest()
    plain = morgan_bits(SMILES)
    assert np.array_equal(plain[3], plain[4]), "stereoisomers share bits unless chirality is asked for"


@pytest.mark.parametrize("n_bits", [2048, 100])
def test_tanimoto_against_rdkit(n_bits: int) -> None:
    packed = pack_bits(morgan_bits(SMILES, MorganSettings(n_bits=n_bits)))
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=n_bits)
    vectors = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in SMILES]
    for query, vector in zip(packed, vectors, strict=True):
        assert tanimoto(query, packed) == pytest.approx(
            DataStructs.BulkTanimotoSimilarity(vector, vectors), abs=1e-12
        )


def test_tanimoto_of_nothing_is_zero() -> None:
    nothing = np.zeros((2, 256), dtype=np.uint8)
    assert tanimoto(nothing[0], nothing).tolist() == [0.0, 0.0]


def test_tanimoto_of_a_slice_of_the_bank() -> None:
    packed = pack_bits(np.random.default_rng(0).integers(0, 2, (20, 2048), dtype=np.uint8))
    assert tanimoto(packed[3], packed[::2]).tolist() == tanimoto(packed[3], packed)[::2].tolist()


@pytest.mark.parametrize("n_bits", [2048, 64, 13])
def test_packed_and_unpacked_again(n_bits: int) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (5, n_bits), dtype=np.uint8)
    packed = pack_bits(bits)
    assert packed.shape == (5, -(-n_bits // 8))
    assert np.array_equal(unpack_bits(packed, n_bits), bits)


def test_no_molecules_and_bad_ones() -> None:
    assert morgan_bits([]).shape == (0, 2048)
    with pytest.raises(ParseError, match="C1CC"):
        morgan_bits(["C", "C1CC"])
