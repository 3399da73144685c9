"""Candidates that were rated, in a real browser: the band, the chances, and why the first is first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from browser_material import check_looks, needs_browser, open_browser, visit
from decision_material import fitted_layer
from playwright.sync_api import Browser, Page, expect
from web_material import BANK, LIBRARY, listening, small_app, small_server

from specsearch.chemistry.tolerance import parse_tolerance
from specsearch.search.candidates import CandidateSettings
from specsearch.search.confidence import BANDS, CANNOT_SAY, HIGH, LOW, MEDIUM
from specsearch.search.shortlists import Shortlist
from specsearch.spectra.spectrum import Spectrum
from specsearch.web.links import link_text, parse_link
from specsearch.web.records import SpectrumOut
from specsearch.web.served import Served
from specsearch.web.views import BAND_WORDS

pytestmark = needs_browser
LEUCINE = link_text(  # of which the bank has three isomers
    Spectrum.checked(
        [30.0338, 44.0495, 86.0964, 132.1019],
        [4, 10, 100, 12],
        precursor_mz=132.1019,
        charge=1,
        adduct="[M+H]+",
    )
)
ASPIRIN = link_text(  # with glucose 117 ppm away
    Spectrum.checked(
        [43.0178, 121.0284, 139.0390, 163.0390],
        [8, 100, 20, 60],
        precursor_mz=181.0495,
        charge=1,
        adduct="[M+H]+",
    )
)
WINDOW = "200ppm"
PAPERS = {HIGH: "--goodbg", MEDIUM: "--midbg", LOW: "--lowbg", CANNOT_SAY: "--paper"}
SAID = {"for the first": 1, "for the second": -1, "no difference": 0}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with small_server(tmp_path_factory.mktemp("web")) as made:
        rated = replace(made, decision=fitted_layer(made.embedder.card.digest))
        directly(rated)  # the first of all takes seconds
        yield rated


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as made:
        yield made


@contextmanager
def rated_as(band: str, served: Served, browser: Browser, link: str = LEUCINE) -> Iterator[Page]:
    """The page of candidates where every list is of one band."""
    assert served.decision is not None
    least = {name: 0.0 if BANDS.index(name) >= BANDS.index(band) else 1.1 for name in BANDS[:-1]}
    confidences = {name: replace(one, bands=least) for name, one in served.decision.confidences.items()}
    rated = replace(served, decision=replace(served.decision, confidences=confidences))
    with listening(small_app(rated)) as address, visit(browser, address) as page:
        page.goto(f"/identify?s={link}&mass={WINDOW}")
        yield page


def candidates_of(page: Page, link: str = LEUCINE) -> list[dict[str, Any]]:
    spectrum = SpectrumOut.of(parse_link(link)).model_dump()
    (found,) = page.request.post("/v1/identify", data={"spectra": [spectrum], "mass": WINDOW}).json()
    rows: list[dict[str, Any]] = found["candidates"]
    return rows


def directly(served: Served) -> Shortlist:
    settings = CandidateSettings(window=parse_tolerance(WINDOW), decision=served.decision)
    (found,) = served.identify(served.banks[BANK], [LIBRARY], settings, [parse_link(ASPIRIN)])
    return found


@pytest.mark.parametrize("band", BANDS)
def test_a_band_in_words_and_colours(served: Served, browser: Browser, band: str) -> None:
    with rated_as(band, served, browser) as page:
        expect(page.locator(".band")).to_have_text(f"Confidence: {band}")
        confidence = f"{candidates_of(page)[0]['confidence']:.2f}"
        expect(page.locator(".verdict")).to_contain_text(
            f"Confidence: {band} ({confidence}). {BAND_WORDS[band]}"
        )
        shown, meant = page.locator(".verdict").evaluate(
            """(verdict, name) => {
                const swatch = verdict.cloneNode();
                swatch.className = "";
                swatch.style.background = `var(${name})`;
                verdict.after(swatch);
                const colours = [verdict, swatch].map(one => getComputedStyle(one).backgroundColor);
                swatch.remove();
                return colours;
            }""",
            PAPERS[band],
        )
        assert shown == meant
        check_looks(page, "not an identification")


@pytest.mark.parametrize(("link", "n_tied"), [(LEUCINE, 2), (ASPIRIN, 1)])
def test_chances_and_ties_agree(served: Served, browser: Browser, link: str, n_tied: int) -> None:
    with rated_as(HIGH, served, browser, link) as page:
        rows = candidates_of(page, link)
        assert [row["name"] for row in rows] == page.locator(".item strong").all_inner_texts()
        assert sum(row["probability"] for row in rows) == pytest.approx(1, abs=1e-3)
        for row, text in zip(rows, page.locator(".item .score").all_inner_texts(), strict=True):
            assert text.startswith(f"{100 * row['probability']:.0f} %")
            assert ("in 90 % list" in text) == (row["in_90_percent_shortlist"] == "yes")
        n_near = sum(2 * row["probability"] > rows[0]["probability"] for row in rows)
        alone = "The first stands alone: no other is more than half as likely."
        assert n_near >= n_tied
        said = alone if n_near == 1 else f"{n_near} candidates can hardly be told apart at the top."
        expect(page.locator(".verdict")).to_contain_text(f"{said} {len(rows)} candidates considered.")


def test_why_the_first_is_before_the_second(served: Served, browser: Browser) -> None:
    """The shares add up to what one is ahead of the other by."""
    found = directly(served)
    first, second = (found.ranking[one.place] for one in found.candidates[:2])
    with rated_as(HIGH, served, browser, ASPIRIN) as page:
        reasons = page.locator("table", has_text="Why it is before the second").locator("tbody tr")
        shares = [float(text) for text in reasons.locator(".number").all_inner_texts()]
        assert sum(shares) == pytest.approx(first - second, abs=0.005 * len(shares))
        assert first > second
        assert sorted(map(abs, shares), reverse=True) == [abs(share) for share in shares]
        for share, words in zip(shares, reasons.locator("td:last-child").all_inner_texts(), strict=True):
            assert SAID[words] in ((0, 1) if share >= 0 else (0, -1))
            assert SAID[words] or abs(share) <= 0.01
        names = reasons.locator("th").all_inner_texts()
        assert "similar spectra of the libraries" in names
        assert not [name for name in names if re.search("_|score", name)]
