"""The simulated sample: every ion is a part of its molecule, and the sample is always the same."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from specsearch.chemistry.masses import ATOM_MASSES, ELECTRON_MASS, parse_formula
from specsearch.evaluation.simulated import SIMULATED, Sample, simulated_sample
from specsearch.spectra.splash import splash

DIGEST = (
    "import hashlib; from specsearch.evaluation.simulated import simulated_sample as s; sample = s(); "
    "print(hashlib.sha256(b''.join(x.mz.tobytes() + x.intensity.tobytes() "
    "for x in sample.library + sample.queries)).hexdigest())"
)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return simulated_sample()


def test_every_ion_is_a_subformula_of_its_molecule(sample: Sample) -> None:
    """By brute force over all subformulas with up to three hydrogens more."""
    for spectrum in sample.library[::9]:
        counts = dict(parse_formula(spectrum.metadata["formula"]).counts)
        counts["H"] += 3
        heavy = [symbol for symbol in counts if symbol != "H"]
        ranges = [range(counts[symbol] + 1) for symbol in heavy]
        masses = {
            round(
                sum(n * ATOM_MASSES[s] for n, s in zip(chosen, heavy, strict=True)) + n_h * ATOM_MASSES["H"],
                4,
            )
            for chosen in itertools.product(*ranges)
            for n_h in range(counts["H"] + 1)
        }
        near = {round(m + d, 4) for m in masses for d in (-1e-4, 0.0, 1e-4)}
        assert all(round(float(mz) + ELECTRON_MASS, 4) in near for mz in spectrum.mz), spectrum.accession


def test_known_fragments_are_there(sample: Sample) -> None:
    """Losses a textbook names: ketene from paracetamol, water from salicylic acid, HNEt2 from lidocaine."""
    expected = {"paracetamol": 110.0600, "salicylic-acid": 121.0284, "lidocaine": 162.0913}
    for name, mz in expected.items():
        spectrum = next(s for s in sample.library if s.accession == f"{SIMULATED}-{name}-high")
        assert min(abs(spectrum.mz - mz)) < 5e-4


def test_everything_is_labelled_and_named_once(sample: Sample) -> None:
    everything = [*sample.library, *sample.queries]
    assert all(SIMULATED in s.accession and SIMULATED in s.metadata["compound_name"] for s in everything)
    assert len({s.accession for s in everything}) == len(everything)
    assert len({splash(s.mz, s.intensity) for s in everything}) == len(everything)
    library = {s.metadata["inchikey"] for s in sample.library}
    assert [q.metadata["inchikey"] in library for q in sample.queries] == [True, True, True, False, False]


def test_it_is_the_same_in_every_process() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
