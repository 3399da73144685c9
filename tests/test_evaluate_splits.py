"""Splits, strata and what a model is asked, against what the material says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_runner import small_model
from evaluation_material import annotated_spectra, changed, splits
from samples import embedder, network

from specsearch.chemistry.fingerprints import morgan_bits, pack_bits
from specsearch.chemistry.structures import parse_structure
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.encoder.tokens import collate
from specsearch.errors import CheckpointError, InputFileError, Skipped
from specsearch.evaluation.models import EncoderModel
from specsearch.evaluation.splits import collect_splits
from specsearch.evaluation.strata import ALL, only_rows, strata_of


def test_every_record_is_judged_or_counted() -> None:
    spectra = [s for s in annotated_spectra() if s.metadata["split"] == "val"]
    odd = [
        changed(spectra[0], smiles=""),
        replace(spectra[1], adduct="[M+Na]+"),  # the precursor says otherwise
        changed(spectra[2], split="elsewhere"),
        Skipped("file", "row 9", "no peaks"),
    ]
    val = collect_splits([*odd, *spectra[3:]], ["val"])["val"]
    assert len(val) == len(spectra) - 3
    assert sum(val.left_out.values()) == 3
    assert val.left_out["no structure"] == 1
    assert val.left_out["not readable, split unknown: no peaks"] == 1


def test_masses_come_from_precursors_not_from_structures() -> None:
    for split in splits().values():
        for molecule, mass in zip(split.examples.molecule, split.neutral_mass, strict=True):
            assert mass == pytest.approx(parse_structure(split.smiles[molecule]).exact_mass, abs=1e-6)
    spectra = annotated_spectra()
    moved = [replace(s, precursor_mz=(s.precursor_mz or 0.0) * (1 + 7e-6)) for s in spectra]
    before, after = (collect_splits(group, ["val"])["val"].neutral_mass for group in (spectra, moved))
    assert ((after - before) / before * 1e6).min() > 6.9


def test_a_limit_takes_whole_molecules_and_small_samples_are_part_of_larger_ones() -> None:
    spectra = annotated_spectra()
    small, large = (collect_splits(spectra, ["test"], n)["test"] for n in (2, 4))
    assert (len(small.examples.inchikey14), len(large.examples.inchikey14)) == (2, 4)
    assert set(small.examples.inchikey14) < set(large.examples.inchikey14)
    assert len(large) == 8  # both spectra of each


def test_a_split_without_spectra_is_an_error() -> None:
    with pytest.raises(InputFileError, match="'tset'"):
        collect_splits(annotated_spectra(), ["train", "tset"])


def test_strata_part_the_queries() -> None:
    spectra = annotated_spectra()
    for number, spectrum in enumerate(spectra):
        if number % 4 == 0:
            spectra[number] = replace(spectrum, precursor_mz=(spectrum.precursor_mz or 0.0) * (1 + 5e-6))
    split = collect_splits(spectra, ["test"])["test"]
    strata = strata_of(split)
    for words in (("positive", "negative"), ("peaks",), ("precursor",)):
        members = [rows for name, rows in strata.items() if any(name.endswith(word) for word in words)]
        np.testing.assert_array_equal(np.sum(members, axis=0), np.ones(len(split)))
    assert strata["other instrument"].all()  # test has the triple quadrupole
    assert "time of flight" not in strata  # an empty stratum is none
    np.testing.assert_array_equal(strata["measured precursor"], np.arange(len(split)) % 4 == 0)
    part = only_rows(strata, np.flatnonzero(strata["measured precursor"]))
    assert "calculated precursor" not in part
    assert len(part[ALL]) == strata["measured precursor"].sum()


def test_one_pass_gives_what_the_network_says(tmp_path: Path) -> None:
    encoder, card = load_checkpoint(small_model(tmp_path / "small.safetensors"))
    inputs = splits()["test"].examples.inputs
    model = EncoderModel(encoder, card, tmp_path / "cache")
    found = model.read(inputs, "test")
    with torch.inference_mode():
        for i, item in enumerate(inputs):
            state = encoder(collate([item]))
            # The pass may run in bf16 where the processor multiplies it natively.
            np.testing.assert_allclose(found.embedding[i], encoder.embed(state)[0], atol=2e-2)
            assert found.logits is not None
            assert found.projection is not None
            np.testing.assert_allclose(found.logits[i], encoder.fingerprint(state)[0], atol=5e-2)
            np.testing.assert_allclose(found.projection[i], encoder.project_query(state)[0], atol=2e-2)
        bits = morgan_bits(["CCO", "c1ccccc1O"])
        expected = encoder.project_target(torch.from_numpy(bits).float()).numpy()
    np.testing.assert_allclose(model.targets(pack_bits(bits)), expected, atol=1e-6)


def test_states_are_found_again_by_model_and_peaks(tmp_path: Path) -> None:
    inputs = splits()["test"].examples.inputs
    told: list[str] = []

    def ask(seed: int, n_inputs: int) -> np.ndarray:
        encoder, card = load_checkpoint(small_model(tmp_path / f"{seed}.safetensors", seed))
        model = EncoderModel(encoder, card, tmp_path / "cache")
        return model.read(inputs[:n_inputs], "test", lambda what, done, total: told.append(what)).embedding

    first = ask(1, 4)
    n_told = len(told)
    np.testing.assert_array_equal(ask(1, 4), first)
    assert len(told) == n_told > 0  # nothing was computed again
    assert not np.allclose(ask(2, 4), first)
    assert len(ask(1, 3)) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_model_of_other_fingerprints_is_refused() -> None:
    with pytest.raises(CheckpointError, match="2048"):
        EncoderModel(network(), embedder().card)
