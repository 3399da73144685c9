"""From a bank's rows to points: the target projections, and the collection that holds them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import unpack_bits
from specsearch.encoder.network import Encoder
from specsearch.store.bank import Molecule
from specsearch.store.bank_files import BankCard
from specsearch.store.points import Point, SparseVector
from specsearch.store.schema import FLOAT_DECIMALS, TARGET_PROJECTION, Contract, Key

COLLECTION: Final = "candidates"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "specsearch:candidate")
_NO_SPARSE_VECTORS = "none"
_BLOCK = 2048


def contract_of_bank(card: BankCard, projection_size: int) -> Contract:
    """The contract of the collection beside a bank."""
    return Contract(
        encoder_digest=card.encoder_digest,
        embedding_kind=TARGET_PROJECTION,
        embedding_size=projection_size,
        cleaning_recipe=f"{card.recipe}, fingerprints {_digest(card.fingerprint)}",
        sparse_recipe=_NO_SPARSE_VECTORS,
        specsearch_version=version("specsearch"),
    )


def target_projections(network: Encoder, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Target projections of packed fingerprints.

    Parameters
    ----------
    network : Encoder
        In evaluation mode, on the CPU, in float32.
    packed : numpy.ndarray of shape (n_molecules, n_bytes), uint8

    Returns
    -------
    numpy.ndarray of shape (n_molecules, projection_size), float32
        Unit rows.
    """
    n_bits, size = network.config.fingerprint_bits, network.config.projection_size
    out = np.empty((len(packed), size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(packed), _BLOCK):
            bits = torch.from_numpy(unpack_bits(packed[start : start + _BLOCK], n_bits)).float()
            out[start : start + _BLOCK] = network.project_target(bits).numpy()
    return out


def candidate_id(inchikey14: str) -> str:
    """The UUID (version 5) of a molecule's point: it stays when rows move as a bank grows."""
    return str(uuid.uuid5(_NAMESPACE, inchikey14))


def candidate_points(molecules: Sequence[Molecule], projections: NDArray[np.float32]) -> list[Point]:
    """The points of some molecules, in their order."""
    return [
        Point(
            candidate_id(molecule.inchikey14),
            projection,
            SparseVector(),
            SparseVector(),
            {
                Key.INCHIKEY14: molecule.inchikey14,
                Key.FORMULA: molecule.formula,
                Key.EXACT_MASS: round(molecule.exact_mass, FLOAT_DECIMALS),
            },
        )
        for molecule, projection in zip(molecules, projections, strict=True)
    ]


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:16]
