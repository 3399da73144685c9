"""Small spectra and small encoders, made in sight from a seed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from specsearch.encoder.checkpoint import Card, digest
from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import token_input
from specsearch.encoder.training.examples import Examples
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.store import Store

torch.set_num_threads(1)  # matrices this small only make threads wait for each other

# New processes with the slow imports done. Nothing of the engine or of torch is in use in the server
# they are forked from.
PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = [
    "ingest.index",
    "specsearch.encoder.training.train",
    "specsearch.spectra.readers.mgf",
    "specsearch.store.edge",
    "pytest",
    "sklearn.decomposition",
]
PROCESSES.set_forkserver_preload(PRELOADED)

TINY = EncoderConfig(
    n_fourier=4,
    hidden=32,
    n_layers=1,
    n_heads=2,
    feed_forward=64,
    dropout=0.0,
    ssl_size=8,
    fingerprint_hidden=16,
    fingerprint_bits=64,
    projection_size=8,
    target_hidden=16,
    reranker_hidden=8,
)
ADDUCTS = {"[M+H]+": 1, "[M+Na]+": 1, "[M-H]-": -1}


def spectrum(rng: np.random.Generator, n_peaks: int, accession: str = "S", **known: object) -> Spectrum:
    """A spectrum of random peaks; half of them on a grid that all samples share, so that some match."""
    precursor = float(rng.uniform(200, 800))
    grid = 50 + 7.0137 * rng.integers(0, 100, n_peaks)
    mz = np.where(rng.random(n_peaks) < 0.5, grid, rng.uniform(50, precursor, n_peaks))
    adduct = str(rng.choice(list(ADDUCTS)))
    values = {"precursor_mz": precursor, "adduct": adduct, "charge": ADDUCTS[adduct], **known}
    return Spectrum.checked(mz, rng.uniform(0.02, 1.0, n_peaks), accession=accession, **values)


def spectra(n: int, seed: int = 0, longest: int = 60) -> list[Spectrum]:
    """Spectra of 1 to `longest` peaks; every seventh lacks a precursor, every ninth a charge."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        known: dict[str, object] = {"metadata": {"formula": f"C{i % 5}H4", "instrument_type": f"T{i % 3}"}}
        known |= {"precursor_mz": None} if i % 7 == 3 else {}
        known |= {"charge": None, "adduct": None} if i % 9 == 5 else {}
        made.append(spectrum(rng, int(rng.integers(1, longest + 1)), f"S{i}", **known))
    return made


def network(seed: int = 0, config: EncoderConfig = TINY) -> Encoder:
    """A network with random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return Encoder(config).eval()


def embedder(seed: int = 0, dtype: torch.dtype = torch.float32) -> Embedder:
    """A tiny encoder, ready to embed; its digest is that of its weights."""
    made = network(seed)
    return Embedder(made, Card("tiny", TINY, digest=digest(TINY, made.state_dict())), dtype=dtype)


def examples(n_molecules: int, per_molecule: int = 3, seed: int = 0, first: int = 0) -> Examples:
    """Molecules as random fingerprints; the spectra of each show its on-bits as peaks, with noise.

    So there is something to learn: the fingerprint can be read off the peaks.
    """
    rng = np.random.default_rng(seed)
    bits = (rng.random((n_molecules, TINY.fingerprint_bits)) < 0.25).astype(np.uint8)
    bits[:, 0] = 1
    inputs = []
    for on in bits:
        for _ in range(per_molecule):
            mz = 50.0 + 5.0 * np.flatnonzero(on) + rng.normal(0, 1e-4, on.sum())
            made = Spectrum.checked(mz, rng.uniform(0.2, 1.0, len(mz)), precursor_mz=400.0, charge=1)
            inputs.append(token_input(made))
    names = [f"MOLECULE{first + i:06d}" for i in range(n_molecules)]
    molecule = np.repeat(np.arange(n_molecules), per_molecule)
    mass = 100.0 + np.arange(n_molecules)
    return Examples(inputs, molecule, np.ones(len(inputs), dtype=bool), names, bits, mass)


def weights_equal(a: Iterable[torch.Tensor], b: Iterable[torch.Tensor]) -> bool:
    """Whether two networks hold the very same numbers."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def mgf(records: Sequence[Spectrum]) -> str:
    """Spectra as MGF text, written here by hand."""
    blocks = []
    for s in records:
        lines = ["BEGIN IONS", f"SPECTRUM_ID={s.accession}"]
        lines += [f"PEPMASS={s.precursor_mz!r}"] if s.precursor_mz else []
        lines += [f"CHARGE={abs(s.charge)}{'+' if s.charge > 0 else '-'}"] if s.charge else []
        lines += [f"ADDUCT={s.adduct}"] if s.adduct else []
        lines += [f"{key.upper()}={value}" for key, value in s.metadata.items()]
        peaks = zip(s.mz.tolist(), s.intensity.tolist(), strict=True)
        lines += [f"{mz!r} {height!r}" for mz, height in peaks]
        blocks.append("\n".join([*lines, "END IONS"]))
    return "\n\n".join(blocks) + "\n"


BROKEN_MGF = """
BEGIN IONS
SPECTRUM_ID=empty
PEPMASS=200.5
END IONS

BEGIN IONS
SPECTRUM_ID=negative
PEPMASS=200.5
100.0 -5.0
END IONS

BEGIN IONS
SPECTRUM_ID=silent
PEPMASS=200.5
100.0 0.0
END IONS
"""


def library_state(store: Store, library: str) -> dict[str, tuple[object, ...]]:
    """Everything a library holds, by point id: payload and all three vectors, bit by bit."""
    with store.open(library) as collection:
        return {
            record.point_id: (
                record.payload,
                None if record.embedding is None else record.embedding.tobytes(),
                *((v.indices.tobytes(), v.values.tobytes()) for v in (record.peaks, record.losses)),
            )
            for record in collection.scroll(with_vectors=True)
        }
