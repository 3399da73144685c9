"""MassSpecGym's files, tokens and lists against loops, and our count against its own evaluator's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_runner import Commands, small_model
from massspecgym_material import NAMES, Gym, write_gym

from specsearch.chemistry.structures import parse_structure
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.encoder.tokens import token_input
from specsearch.errors import InputFileError, SpecsearchError
from specsearch.evaluation.massspecgym import EVERYTHING, Fold, Track, read_candidates, read_fold
from specsearch.evaluation.massspecgym_lists import Lists, candidate_lists
from specsearch.evaluation.massspecgym_official import given_hits, list_places, official_hit_rates
from specsearch.evaluation.massspecgym_report import evaluate_on_gym
from specsearch.evaluation.massspecgym_tokens import token_inputs
from specsearch.evaluation.models import EncoderModel
from specsearch.evaluation.ranking import places
from specsearch.spectra.readers import read_spectra

TRACKS = [("1", "mass"), ("1", "formula"), ("1.5", "mass"), ("1.5", "formula")]
needs_massspecgym = pytest.mark.skipif(
    importlib.util.find_spec("massspecgym") is None, reason="massspecgym is not installed (see README)"
)


@pytest.fixture(scope="module")
def gyms(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Gym]:
    folder = tmp_path_factory.mktemp("gym")
    return {track: write_gym(folder, *track) for track in TRACKS}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EncoderModel:
    return EncoderModel(*load_checkpoint(small_model(tmp_path_factory.mktemp("model") / "small.safetensors")))


def fold_of(gym: Gym, name: str = "test") -> tuple[Fold, dict[str, list[str]]]:
    candidates = read_candidates(gym.candidates)
    return read_fold(read_spectra(gym.spectra), name, candidates), candidates


def lists_of(gym: Gym) -> Lists:
    return candidate_lists(*fold_of(gym))[1]


@pytest.mark.parametrize("track", TRACKS)
def test_lists_are_what_a_loop_over_the_json_finds(
    gyms: dict[tuple[str, str], Gym], track: tuple[str, str]
) -> None:
    gym = gyms[track]
    fold, candidates = fold_of(gym)
    fold, lists = candidate_lists(fold, candidates)
    given, unique = lists.given, lists.deduplicated()
    for i, smiles in enumerate(fold.smiles):
        readable = [parse_structure(text) for text in candidates[smiles] if text != "C1CC"]
        keys = [structure.inchikey14 for structure in readable]
        rows = given.rows(i)
        true = parse_structure(smiles).inchikey14
        assert fold.inchikey14[fold.molecule[i]] == true
        assert lists.is_true[rows].tolist() == [key == true for key in keys]
        assert given.truth[i] == rows.start + keys.index(true)
        once = list(dict.fromkeys(keys))
        assert unique.size[i] == len(once)
        assert unique.truth[i] - unique.start[i] == once.index(true)
        masses = np.array([structure.exact_mass for structure in readable])
        expected = (fold.neutral_mass[i] - masses) / masses * 1e6
        assert given.mass_error_ppm[rows] == pytest.approx(expected)
    described = lists.describe()
    assert described["unreadable_molecules"] == (track[0] == "1")
    assert described["repeated_entries"] == (len(fold) if track[0] == "1" else 0)
    assert (described["truth_stands_first"] == 1.0) == (track[0] == "1.5")
    assert (described["has_formula_of_truth"] == 1.0) == (track[1] == "formula")


def test_the_way_a_molecule_is_written_changes_no_score(
    gyms: dict[tuple[str, str], Gym], model: EncoderModel
) -> None:
    """Version 1 writes the truth in another way and elsewhere in its list; its ranks are the same."""
    reports = []
    for version in ("1", "1.5"):
        fold, candidates = fold_of(gyms[version, "formula"])
        track = Track(version, "formula")
        reports.append(evaluate_on_gym(model, fold, candidates, track, official=False))
    one, other = (
        {(f.score, f.measure, f.stratum): f.value.mean for f in r.figures if "official" not in f.measure}
        for r in reports
    )
    assert one == pytest.approx(other)
    assert len(one) > 20


def test_official_places_are_those_of_a_stable_sort(gyms: dict[tuple[str, str], Gym]) -> None:
    lists = lists_of(gyms["1", "mass"])
    score = np.random.default_rng(1).integers(0, 4, len(lists.is_true)).astype(float)
    place = list_places(score, lists.given)
    for i in range(len(lists.given)):
        rows = lists.given.rows(i)
        order = sorted(range(rows.stop - rows.start), key=lambda j: (-score[rows][j], j))
        assert [order.index(j) for j in range(len(order))] == place[rows].tolist()
        for k in (1, 5, 20):
            assert given_hits(score, lists, k)[i] == any(lists.is_true[rows][order[:k]])


def test_official_count_is_the_rankings_own_where_nothing_repeats(gyms: dict[tuple[str, str], Gym]) -> None:
    lists = lists_of(gyms["1.5", "mass"])
    score = np.random.default_rng(2).integers(0, 4, len(lists.is_true)).astype(float)
    placed = places(lists.deduplicated(), score)
    for k in (1, 5, 20):
        assert given_hits(score, lists, k).tolist() == (placed.official_hit(k) == 1).tolist()


@needs_massspecgym
@pytest.mark.parametrize("track", TRACKS)
def test_both_evaluators_agree_to_the_last_digit(
    gyms: dict[tuple[str, str], Gym], model: EncoderModel, track: tuple[str, str]
) -> None:
    fold, candidates = fold_of(gyms[track])
    val, _ = fold_of(gyms[track], "val")
    report = evaluate_on_gym(model, fold, candidates, Track(*track), val, official=True)
    ours = {(f.score, f.measure): f.value for f in report.figures if f.measure.endswith(", per spectrum")}
    assert set(report.official) == {score for score, _ in ours}
    assert {"random", "mass error only", "spectrum masked", "projection"} < set(report.official)
    for score, rates in report.official.items():
        for k in (1, 5, 20):
            value = ours[score, f"official hit@{k}, per spectrum"]
            hits = round(value.mean * value.n_values)
            # Theirs divides in float32; this is the same division.
            assert rates[f"hit_rate@{k}"] == float(np.float32(hits) / np.float32(value.n_values))
    assert len({rates["hit_rate@1"] for rates in report.official.values()}) > 1
    assert (report.evaluator or "").startswith("massspecgym ")


@needs_massspecgym
@pytest.mark.parametrize("track", [("1.5", "mass"), ("1.5", "formula")])
def test_their_own_data_road_leads_to_the_same_rates(
    gyms: dict[tuple[str, str], Gym], model: EncoderModel, track: tuple[str, str]
) -> None:
    """Their data set, tokens, labels, loader and test loop, with the encoder reading their tensors."""
    import pytorch_lightning as lightning
    from massspecgym.data import MassSpecDataModule, RetrievalDataset
    from massspecgym.data.transforms import SpecTokenizer
    from massspecgym.models.base import Stage
    from massspecgym.models.retrieval.base import RetrievalMassSpecGymModel

    from specsearch.chemistry.fingerprints import morgan_bits

    class Reading(RetrievalMassSpecGymModel):
        def step(self, batch: dict, stage: Stage = Stage.NONE) -> dict:
            outputs = model.read(token_inputs(batch["spec"]), "batch")
            bits = morgan_bits(batch["candidates_smiles"]).astype(np.float32)
            logits = np.repeat(outputs.logits, batch["batch_ptr"].numpy(), axis=0)
            return {"loss": torch.zeros(()), "scores": torch.from_numpy((bits * logits).sum(axis=1))}

    gym = gyms[track]
    data = RetrievalDataset(
        pth=gym.spectra, candidates_pth=gym.candidates, spec_transform=SpecTokenizer(), dtype=torch.float64
    )
    module = MassSpecDataModule(dataset=data, batch_size=7)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    theirs = Reading(no_mces_metrics_at_stages=(Stage.VAL, Stage.TEST))
    [measured] = trainer.test(theirs, module, verbose=False)
    fold, candidates = fold_of(gym)
    report = evaluate_on_gym(model, fold, candidates, Track(*track), official=True)
    for k in (1, 5, 20):
        assert measured[f"test_hit_rate@{k}"] == report.official["logits f·z"][f"hit_rate@{k}"]


@needs_massspecgym
def test_tokens_are_what_their_transform_makes(gyms: dict[tuple[str, str], Gym], model: EncoderModel) -> None:
    import matchms
    from massspecgym.data.transforms import SpecTokenizer

    spectra = [s for s in read_spectra(gyms["1", "mass"].spectra) if s.metadata["fold"] == "test"]  # type: ignore[union-attr]
    tokenizer = SpecTokenizer()
    spec = torch.stack(
        [tokenizer(matchms.Spectrum(s.mz, s.intensity, {"precursor_mz": s.precursor_mz})) for s in spectra]
    )
    assert spec.shape == (len(spectra), 61, 2)
    for ours, theirs in zip(map(token_input, spectra), token_inputs(spec), strict=True):
        np.testing.assert_array_equal(ours.peaks.mz, theirs.peaks.mz)
        np.testing.assert_allclose(ours.peaks.intensity, theirs.peaks.intensity, rtol=1e-12)
        assert (ours.peaks.precursor_mz, ours.charge_sign) == (theirs.peaks.precursor_mz, theirs.charge_sign)


def test_tokens_by_hand() -> None:
    spec = np.zeros((2, 5, 2))
    spec[0, :3] = [[301.5, 1.1], [50.0, 0.004], [150.0, 1.0]]
    spec[1, 0] = [200.0, 1.1]
    first, second = token_inputs(torch.from_numpy(spec).float(), charge_sign=-1)
    assert (first.peaks.mz.tolist(), first.peaks.intensity.tolist()) == (
        [150.0],
        [1.0],
    )  # 0.4 % is below the recipe
    assert (first.peaks.precursor_mz, first.charge_sign) == (301.5, -1)
    assert (len(second.peaks.mz), second.peaks.precursor_mz) == (0, 200.0)
    [bare] = token_inputs(spec[:1, 1:], has_precursor_token=False)
    assert bare.peaks.precursor_mz is None
    with pytest.raises(ValueError, match="shape"):
        token_inputs(spec[0])


def test_the_track_is_said_by_the_name_or_by_the_caller() -> None:
    named = Path("MassSpecGym1.5_retrieval_candidates_formula.json")
    assert Track.of(named) == Track("1.5", "formula")
    assert str(Track.of(Path("MassSpecGym_retrieval_candidates_mass.json"))) == "MassSpecGym 1, mass track"
    assert Track.of(Path("five.json"), "1", "mass") == Track("1", "mass")
    for path, version, rule in [(named, None, "mass"), (named, "1", None), (Path("five.json"), "1", None)]:
        with pytest.raises(InputFileError, match="does not say the track"):
            Track.of(path, version, rule)


def test_what_cannot_be_asked_is_counted_or_refused(
    gyms: dict[tuple[str, str], Gym], model: EncoderModel
) -> None:
    gym = gyms["1.5", "mass"]
    whole, candidates = fold_of(gym)
    without, wrong = whole.smiles[0], whole.smiles[2]
    poorer = {key: rows for key, rows in candidates.items() if key != without}
    poorer[wrong] = [text for text in poorer[wrong] if text != wrong]
    fold = read_fold(read_spectra(gym.spectra), "test", poorer)
    fold, lists = candidate_lists(fold, poorer)
    assert fold.left_out == {"no candidate list": 2, "the list lacks the true molecule": 2}
    assert len(fold) == len(lists.given) == len(whole) - 4
    with pytest.raises(InputFileError, match="same version"):
        read_fold(read_spectra(gym.spectra), "test", {})
    with pytest.raises(InputFileError, match="'tset'"):
        read_fold(read_spectra(gym.spectra), "tset", candidates)
    with pytest.raises(InputFileError, match="not lists of the formula track"):
        evaluate_on_gym(model, whole, candidates, Track("1.5", "formula"), official=False)


def test_what_is_no_candidate_file_is_refused(tmp_path: Path) -> None:
    for number, text in enumerate(["[]", '{"C": "C"}', '{"C": [1]}', "{"]):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        with pytest.raises(InputFileError, match=path.name):
            read_candidates(path)


def test_an_absent_evaluator_is_said(
    monkeypatch: pytest.MonkeyPatch, gyms: dict[tuple[str, str], Gym]
) -> None:
    monkeypatch.setattr("specsearch.evaluation.massspecgym_official.find_spec", lambda name: None)
    lists = lists_of(gyms["1", "mass"])
    with pytest.raises(SpecsearchError, match="not installed"):
        official_hit_rates({"zero": np.zeros(len(lists.is_true))}, lists)


def test_the_command_reports_track_controls_and_both_counts(
    gyms: dict[tuple[str, str], Gym], tmp_path: Path
) -> None:
    commands = Commands(tmp_path, small_model(tmp_path / "small.safetensors"))
    gym = gyms["1", "mass"]
    out = tmp_path / "report.json"
    words = (
        "evaluate",
        "massspecgym",
        gym.spectra,
        gym.candidates,
        "--no-official",
        "--cache",
        tmp_path / "cache",
    )
    shown = commands.run(*words, "--out", out)
    report = json.loads(out.read_text(encoding="utf-8"))
    assert (report["track"], report["fold"]) == ({"version": "1", "rule": "mass"}, "test")
    assert {figure["section"] for figure in report["figures"]} == {"MassSpecGym 1, mass track"}
    assert report["sizes"]["molecules"] == sum(place % 4 > 1 for place in range(len(NAMES)))
    assert report["fitted"]["fold"] == "val"
    assert (report["official"], report["official_evaluator"]) == ({}, None)
    for control in ("random", "mass error only", "spectrum masked"):
        assert control in shown.stdout
        assert control in {figure["score"] for figure in report["figures"]}
    assert "counted by us" in shown.stdout
    again = tmp_path / "again.json"
    commands.run(*words, "--out", again)
    assert json.loads(again.read_text(encoding="utf-8"))["figures"] == report["figures"]
    assert "does not say the track" in commands.run(*words[:3], gym.spectra, *words[4:], code=1).stderr


def test_real_spectra_with_their_candidates(data_dir: Path, model: EncoderModel) -> None:
    """Five of MassSpecGym's own; chance by the closed form."""
    candidates = read_candidates(data_dir / "formats" / "json" / "massspecgym_example_5_candidates.json")
    path = data_dir / "formats" / "mgf" / "massspecgym_example_5_spectra.mgf"
    fold = read_fold(read_spectra(path), EVERYTHING, candidates)
    report = evaluate_on_gym(model, fold, candidates, Track("1", "mass"), official=False)
    keys = [{parse_structure(text).inchikey14 for text in candidates[smiles]} for smiles in fold.smiles]
    found = {(f.score, f.measure): f.value for f in report.figures if f.stratum == "all"}
    assert (report.sizes["spectra"], report.sizes["left_out"]) == (5, {})
    assert found["random", "hit@1"].mean == pytest.approx(np.mean([1 / len(own) for own in keys]))
    assert found["mass error only", "hit@1"].mean > found["random", "hit@1"].mean
