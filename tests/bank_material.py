"""Molecules made in sight, in every format a bank is made from, and a bank of them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rdkit import Chem

from ingest.bank import BankPlace, add_to_bank
from ingest.bank_summary import BankSummary
from specsearch.encoder.checkpoint import Card, digest
from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.network import Encoder
from specsearch.store.embedded import EmbeddedStore

MOLECULES = {
    "caffeine": "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "choline": "C[N+](C)(C)CCO",
    "glucose": "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "quercetin": "O=c1c(O)c(-c2ccc(O)c(O)c2)oc2cc(O)cc(O)c12",
    "taurine": "NCCS(=O)(=O)O",
    "glycine": "NCC(=O)O",
    "phenylalanine": "N[C@@H](Cc1ccccc1)C(=O)O",
    "chloramphenicol": "O=C(NC(CO)C(O)c1ccc([N+](=O)[O-])cc1)C(Cl)Cl",
    "leucine": "CC(C)C[C@H](N)C(=O)O",
    "isoleucine": "CC[C@H](C)[C@H](N)C(=O)O",
    "norleucine": "CCCCC(N)C(=O)O",
}

SMALL = EncoderConfig(
    n_fourier=4,
    hidden=32,
    n_layers=1,
    n_heads=2,
    feed_forward=64,
    dropout=0.0,
    fingerprint_hidden=16,
    projection_size=16,
    target_hidden=16,
    reranker_hidden=8,
)


def small_encoder(seed: int = 0) -> tuple[Encoder, Card]:
    """A network with random weights and real fingerprints, and its card."""
    torch.manual_seed(seed)
    network = Encoder(SMALL).eval()
    return network, Card("small", SMALL, digest=digest(SMALL, network.state_dict()))


def place(folder: Path) -> BankPlace:
    return BankPlace(folder, EmbeddedStore(folder), "candidates")


def build(folder: Path, *files: Path, seed: int = 0, **how: object) -> BankSummary:
    """Add files to a bank with a small encoder, in this process unless told otherwise."""
    network, card = small_encoder(seed)
    return add_to_bank(files, place(folder), network, card, **{"n_processes": 1, **how})  # type: ignore[arg-type]


def write_smi(path: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """SMILES and name a line; gzipped if the name says so."""
    text = "".join(f"{smiles} {name}\n" for name, smiles in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_sdf(path: Path, rows: Iterable[tuple[str, str]]) -> Path:
    blocks = [
        Chem.MolToMolBlock(Chem.MolFromSmiles(smiles)) + f"> <NAME>\n{name}\n\n$$$$\n"
        for name, smiles in rows
    ]
    path.write_text("".join(blocks))
    return path


def write_parquet_table(path: Path, **columns: list[str]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path
