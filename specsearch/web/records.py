"""What the API takes and gives, typed; what it gives are the rows of `specsearch.report`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
    model_validator,
)

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.tolerance import Tolerance, parse_tolerance
from specsearch.errors import ParseError
from specsearch.report.candidate_rows import CANDIDATE_COLUMNS
from specsearch.report.networks import NODE_COLUMNS
from specsearch.report.rows import HIT_COLUMNS, Columns
from specsearch.search.candidates import CandidateSettings
from specsearch.search.constraints import Constraints, parse_elements, parse_formulas
from specsearch.search.decision import DecisionLayer
from specsearch.search.families import FamilySettings
from specsearch.search.fusion import FUSIONS
from specsearch.search.similar import SearchSettings
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.web.bounds import MOST_CHARGE, MOST_LETTERS, within_bounds

MOST_PEAKS = 20_000
MOST_SPECTRA = 256
_MOST_HITS = 200
_MOST_MEMBERS = 500
_MOST_FIELDS = 200
_LONGEST_VALUE = 5_000
_MOST_NAMES = 50
_WIDEST = {"Da": 1.0, "ppm": 3000.0}

# Caffeine, [M+H]+, as an example that every library of natural products can answer.
_CAFFEINE: dict[str, Any] = {
    "accession": "caffeine",
    "precursor_mz": 195.0877,
    "charge": 1,
    "adduct": "[M+H]+",
    "peaks": [[69.0447, 8.2], [83.0604, 12.4], [110.0713, 35.1], [123.0427, 5.3], [138.0662, 100.0]],
}


def _tolerance(value: object) -> object:
    """pydantic takes a ValueError for a fault of the client's."""
    if isinstance(value, Tolerance | None):
        return value
    try:
        return parse_tolerance(str(value))
    except ParseError as error:
        raise ValueError(str(error)) from None


Window = Annotated[
    Tolerance,
    BeforeValidator(_tolerance),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,4}(\.[0-9]{1,4})?(ppm|Da)$"}),
]


def _narrow(window: Tolerance) -> Tolerance:
    """Every molecule in a window is scored: a wide one would take the whole bank."""
    if window.value > _WIDEST[window.unit]:
        raise ValueError(f"A mass window of {window} is too wide. Write at most 1 Da or 3000 ppm.")
    return window


MassWindow = Annotated[
    Window,
    AfterValidator(_narrow),
    WithJsonSchema({"type": "string", "pattern": r"^([0-2]?[0-9]{1,3}(\.[0-9]{1,4})?ppm|0\.[0-9]{1,4}Da)$"}),
]
Text = Annotated[str, Field(max_length=MOST_LETTERS)]
Texts = Annotated[list[Text], Field(max_length=100)]
Metadata = Annotated[
    dict[Text, Annotated[str, Field(max_length=_LONGEST_VALUE)]], Field(max_length=_MOST_FIELDS)
]


class Given(BaseModel):
    """A request; a name that is not known is a mistake, not to be passed over."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _has_few_names(cls, given: object) -> object:
        """Each unknown name is a fault: to write down 400,000 of them would keep others waiting."""
        if isinstance(given, Mapping) and len(given) > _MOST_NAMES:
            raise ValueError("there are more names in this than are known")
        return given


class SpectrumIn(Given):
    """One MS/MS spectrum."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CAFFEINE]})
    peaks: Annotated[list[tuple[float, float]], FailFast()] = Field(
        min_length=1, max_length=MOST_PEAKS, description="m/z and intensity of each peak."
    )
    precursor_mz: float | None = Field(None, description="m/z of the selected ion.")
    charge: int | None = Field(
        None, ge=-MOST_CHARGE, le=MOST_CHARGE, description="Signed; its sign is the ion mode."
    )
    adduct: Text | None = Field(None, description="As [M+H]+.")
    accession: Text = Field("", description="Comes back with the answer.")
    metadata: Metadata = Field({}, description="Whatever else is known, as compound_name and smiles.")

    def checked(self) -> Spectrum:
        """The spectrum; raises `InvalidSpectrum`."""
        mz, intensity = zip(*self.peaks, strict=True)
        return within_bounds(Spectrum.checked(mz, intensity, **self.model_dump(exclude={"peaks"})))


class _Asked(Given):
    spectra: Annotated[list[SpectrumIn], FailFast()] = Field(min_length=1, max_length=MOST_SPECTRA)

    def checked(self) -> list[Spectrum]:
        """The spectra; raises `InvalidSpectrum`."""
        return [given.checked() for given in self.spectra]


class EmbedIn(_Asked):
    """Spectra to embed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"spectra": [_CAFFEINE]}]})


class SearchIn(_Asked):
    """Spectra to look for, and where."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"spectra": [_CAFFEINE], "top": 5}]})
    libraries: Texts = Field([], description="All libraries that are served where none is named.")
    top: int = Field(10, ge=1, le=_MOST_HITS)
    precursor: Window | None = Field(None, description="Precursor window, as 10ppm; open search without.")
    by: Literal["fused", "embedding", "peaks"] = "fused"
    any_ion_mode: bool = False
    adduct: Texts = []
    formula: Texts = []
    instrument_type: Texts = []
    inchikey14: Texts = []

    def settings(self) -> SearchSettings:
        """What to look for."""
        conditions = self.model_dump(include={"adduct", "formula", "instrument_type", "inchikey14"})
        return SearchSettings(
            top=self.top,
            precursor=self.precursor,
            same_ion_mode=not self.any_ion_mode,
            filter=Filter(**{name: tuple(values) for name, values in conditions.items() if values}),
            weights=FUSIONS[self.by],
            n_candidates=max(100, self.top),
        )


class IdentifyIn(_Asked):
    """Spectra to find candidates for, and among what."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"spectra": [_CAFFEINE], "top": 5}]})
    bank: Text | None = Field(None, description="The only bank that is served where none is named.")
    libraries: Texts | None = Field(None, description="Libraries that take part; all that are served.")
    top: int = Field(20, ge=1, le=_MOST_HITS)
    mass: MassWindow = Tolerance(10.0, "ppm")
    adduct: Text | None = Field(None, description="Instead of the spectra's own.")
    formula: Texts = []
    elements: Text | None = Field(None, description="Only molecules of these elements, as CHNO.")
    fragments: int = Field(50, ge=0, le=_MOST_HITS, description="Candidates whose fragments are compared.")

    def settings(self, decision: DecisionLayer | None) -> CandidateSettings:
        """What to look for; raises `ParseError`."""
        elements = None if self.elements is None else parse_elements(self.elements)
        return CandidateSettings(
            top=self.top,
            window=self.mass,
            adduct=None if self.adduct is None else str(parse_adduct(self.adduct)),
            constraints=Constraints(parse_formulas(tuple(self.formula)), elements),
            n_fragmented=self.fragments,
            decision=decision,
        )


class FamilyIn(Given):
    """How far a family reaches."""

    hops: int = Field(2, ge=0, le=5)
    least: float = Field(0.35, ge=0, le=1, description="Fused score below which an edge is not followed.")
    most: int = Field(100, ge=1, le=_MOST_MEMBERS, description="Most members.")

    def settings(self) -> FamilySettings:
        """How far to walk."""
        return FamilySettings(self.hops, self.least, self.most)


class FamilyAroundIn(FamilyIn):
    """A spectrum, and the library to find its family in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"spectrum": _CAFFEINE, "hops": 2}]})
    spectrum: SpectrumIn
    library: Text | None = Field(None, description="The only library that is served where none is named.")


def _row_model(name: str, columns: Columns) -> type[BaseModel]:
    kinds: dict[str, Any] = {column: (kind | None, None) for column, kind in columns.items()}
    return create_model(name, **kinds)


Hit = _row_model("Hit", HIT_COLUMNS)
Candidate = _row_model("Candidate", CANDIDATE_COLUMNS)
Member = _row_model("Member", NODE_COLUMNS)


class LibraryOut(BaseModel):
    """A library that is served."""

    library: str
    spectra: int | None = Field(description="Null while it cannot be asked.")
    has_graph: bool
    encoder: str


class BankOut(BaseModel):
    """A bank of candidate molecules that is served."""

    bank: str
    molecules: int
    digest: str


class EmbeddingOut(BaseModel):
    """Where a spectrum lies among others: the dot product of two embeddings is their similarity."""

    query: str
    embedding: list[float] | None = Field(description="Of unit norm; null without fragments.")


class AnswerOut(BaseModel):
    """The hits of one spectrum, best first."""

    query: str
    reason: str = Field("", description="Why nothing was looked for.")
    hits: list[Hit]  # type: ignore[valid-type]


class ShortlistOut(BaseModel):
    """The candidates of one spectrum, best first: a shortlist, not an identification."""

    query: str
    n_candidates: int = Field(description="Considered; those below are the first of them.")
    reason: str = Field("", description="Why nothing was looked for.")
    advice: str = Field("", description="What would find something.")
    candidates: list[Candidate]  # type: ignore[valid-type]


class FamilyOut(BaseModel):
    """A family: members, and who resembles whom."""

    members: list[Member]  # type: ignore[valid-type]
    edges: list[dict[str, Any]]


class SpectrumOut(BaseModel):
    """One spectrum as it is stored or was read, and as requests take it.

    Intensities are relative to the base peak in a library; metadata that no request takes is left out.
    """

    peaks: list[tuple[float, float]] = Field(description="m/z and intensity of each peak.")
    precursor_mz: float | None
    charge: int | None
    adduct: str | None
    accession: str
    metadata: dict[str, str] = {}

    @classmethod
    def of(cls, spectrum: Spectrum) -> SpectrumOut:
        """The record of a spectrum."""
        return cls(
            peaks=list(zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)),
            precursor_mz=spectrum.precursor_mz,
            charge=spectrum.charge,
            adduct=spectrum.adduct,
            accession=spectrum.accession,
            metadata=_takeable(spectrum.metadata),
        )


def _takeable(metadata: Mapping[str, str]) -> dict[str, str]:
    """Left out, not cut: half a SMILES is another molecule."""
    kept = [
        (name, value)
        for name, value in metadata.items()
        if len(name) <= MOST_LETTERS and len(value) <= _LONGEST_VALUE
    ]
    return dict(kept[:_MOST_FIELDS])


class SkippedOut(BaseModel):
    """A record of a file that could not be used."""

    source: str
    position: str
    accession: str
    reason: str
    detail: str


class FileOut(BaseModel):
    """What a file held."""

    spectra: list[SpectrumOut]
    skipped: list[SkippedOut]
    is_complete: bool = Field(description="False where the file has more than is read at once.")


class WrittenOut(BaseModel):
    """What became of a file that was indexed; the same when it is sent again."""

    library: str
    n_read: int
    n_indexed: int = Field(description="Of this file, now or before.")
    n_in_library: int
    skipped: list[SkippedOut]
