"""Everything that decides a training run, as frozen values; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from specsearch.encoder.config import FOURIER, EncoderConfig
from specsearch.errors import CheckpointError, TrainingError


@dataclass(frozen=True)
class Augmentation:
    """Strength of the disturbances that make one view of a spectrum.

    Parameters
    ----------
    peak_dropout : float
        Chance that a peak is left out; the base peak stays.
    intensity_jitter : float
        Standard deviation of the logarithm of intensities.
    mz_noise_ppm : float
        Standard deviation.
    precursor_dropout : float
        Chance that the precursor is withheld.
    charge_dropout : float
        Chance that the charge sign is withheld.
    max_peaks : int
        Strongest peaks kept in training, for speed.
    """

    peak_dropout: float = 0.2
    intensity_jitter: float = 0.3
    mz_noise_ppm: float = 3.0
    precursor_dropout: float = 0.15
    charge_dropout: float = 0.1
    max_peaks: int = 63


@dataclass(frozen=True)
class Weights:
    """Shares of the structure phase's losses, and the temperatures.

    Parameters
    ----------
    structure, fingerprint, projection, ssl : float
        Weight of each loss.
    logit_ranking, projection_ranking : float
        Weight of the ranking of the true molecule among its decoys, by the raw-logit dot and by the dot of
        the projections; they count only where there is a bank to draw decoys from.
    structure_temperature, label_temperature, ssl_temperature : float
        Softmax temperatures of the structure loss, of its soft labels, of the SSL loss.
    logit_temperature : float
        Divides the raw-logit dot. At 1 it is the log-likelihood of independent bits; Morgan bits are not
        independent (one atom's environments of radius 0 to 2 come together), so certainty is taken back.
    """

    structure: float = 1.0
    fingerprint: float = 10.0
    projection: float = 0.5
    ssl: float = 0.2
    logit_ranking: float = 0.5
    projection_ranking: float = 0.5
    structure_temperature: float = 0.08
    label_temperature: float = 0.06
    ssl_temperature: float = 0.1
    logit_temperature: float = 4.0


@dataclass(frozen=True)
class LoopRecipe:
    """What every phase of training has in common.

    Parameters
    ----------
    config : EncoderConfig
    n_steps, warmup_steps : int
        Linear warm-up, then linear decay to zero.
    learning_rate, weight_decay, clip_norm : float
    average : float
        Decay of the running average of the weights; the average is what is validated and kept.
    micro_batches : int
        Batches of one step; their gradients are averaged. Processes on several GPUs share them out, so
        the result does not depend on how many there are.
    bf16 : bool
        Compute the encoder in bfloat16 where the device multiplies it natively; weights stay float32.
    validate_every : int
        Steps between validations; the state for resuming is written then, too.
    seed : int

    Raises
    ------
    TrainingError
        If a number cannot be meant.
    """

    config: EncoderConfig = FOURIER
    n_steps: int = 1600
    warmup_steps: int = 100
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: float = 0.995
    micro_batches: int = 1
    bf16: bool = True
    validate_every: int = 200
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("n_steps", "warmup_steps", "learning_rate", "micro_batches", "validate_every"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"The recipe's {name} is {getattr(self, name)}; it must be above zero.")


@dataclass(frozen=True)
class Recipe(LoopRecipe):
    """The structure phase.

    Parameters
    ----------
    n_molecules : int
        Molecules of a batch, two spectra of each.
    n_decoys : int
        Molecules of the same mass drawn from the bank for each molecule of a batch, anew each time.
    decoy_ppm : float
        How near in mass a decoy is.
    augmentation : Augmentation
    weights : Weights
    """

    n_molecules: int = 64
    n_decoys: int = 32
    decoy_ppm: float = 20.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: Weights = field(default_factory=Weights)


# A precursor that both views share would give each other away: half of the views are without it.
_FOUNDATION_VIEWS = Augmentation(peak_dropout=0.3, precursor_dropout=0.5, charge_dropout=0.3)


@dataclass(frozen=True)
class FoundationRecipe(LoopRecipe):
    """The foundation phase.

    Parameters
    ----------
    n_spectra : int
        Spectra of a batch, two views of each.
    temperature : float
        Softmax temperature of the contrastive loss.
    masked_peaks : float
        Weight of the masked-peak loss.
    same_precursor_ppm : float
        Other spectra whose precursor is this near may be of the same compound and are not pushed away.
    held_out : float
        Share of the precursor masses whose spectra are never trained on.
    pool_rows : int
        Spectra in memory at a time.
    augmentation : Augmentation
    """

    n_spectra: int = 128
    temperature: float = 0.1
    masked_peaks: float = 0.2
    same_precursor_ppm: float = 20.0
    held_out: float = 0.02
    pool_rows: int = 262_144
    augmentation: Augmentation = _FOUNDATION_VIEWS


def require_same_shape(found: EncoderConfig, wanted: EncoderConfig) -> None:
    """Refuse to train a checkpoint further as a network of another shape.

    Raises
    ------
    CheckpointError
        Naming every dimension that differs.
    """
    have, want = asdict(found), asdict(wanted)
    different = [f"{name} is {have[name]}, not {want[name]}" for name in want if have[name] != want[name]]
    if different:
        raise CheckpointError(
            f"The checkpoint to start from has another architecture: {'; '.join(different)}.",
            "Choose the configuration of the checkpoint, or train from the beginning.",
        )
