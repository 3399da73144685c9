"""The map of a library in a real browser: what is drawn, listed, found and downloaded is the same."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from browser_material import needs_browser, open_browser, visit
from playwright.sync_api import Page, expect
from web_material import HOSTILE, LIBRARY, keep_beside, listening, small_app, small_server

from specsearch.web import map_view

pytestmark = needs_browser
SVG = "{http://www.w3.org/2000/svg}"
MAP = f"/map/{LIBRARY}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder beside its library."""
    with small_server(tmp_path_factory.mktemp("web")) as served, listening(small_app(served)) as address:
        keep_beside(served)
        yield address, served.beside[LIBRARY]


@pytest.fixture
def page(kept: tuple[str, Path]) -> Iterator[Page]:
    with open_browser() as browser, visit(browser, kept[0]) as made:
        yield made


def drawn(page: Page) -> list[tuple[str, str]]:
    """Group and id of every point."""
    traces = page.locator("#map.js-plotly-plot").evaluate(
        "map => map.data.map(one => [one.name, one.customdata])"
    )
    return [(name, spectrum_id) for name, ids in traces for spectrum_id in ids]


def test_what_is_drawn_is_what_was_kept_and_what_is_downloaded(page: Page, kept: tuple[str, Path]) -> None:
    places = pq.read_table(kept[1] / "map.parquet").to_pylist()
    page.goto(f"{MAP}?colour=ion_mode")
    expected = {(place["ion_mode"] or "unknown", place["spectrum_id"]) for place in places}
    assert set(drawn(page)) == expected
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    assert waiting.value.suggested_filename == "map.csv"
    with Path(waiting.value.path()).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["ion_mode"] or "unknown", row["spectrum_id"]) for row in rows} == expected
    by_id = {place["spectrum_id"]: place for place in places}
    for row in rows:
        place = by_id[row["spectrum_id"]]
        assert (float(row["x"]), float(row["y"])) == pytest.approx((place["x"], place["y"]))
        assert float(row["precursor_mz"] or "nan") == pytest.approx(
            place["precursor_mz"] or np.nan, nan_ok=True
        )
        assert row["compound_name"] == place["compound_name"]


def test_numbers_have_a_scale_in_words(page: Page, kept: tuple[str, Path]) -> None:
    values = [one["precursor_mz"] for one in pq.read_table(kept[1] / "map.parquet").to_pylist()]
    known = [value for value in values if value is not None]
    page.goto(f"{MAP}?colour=precursor_mz")
    expect(page.locator("#map .annotation-text")).to_have_text(
        f"{min(known):.2f} (dark) to {max(known):.2f} (bright); grey: unknown"
    )


def test_a_map_is_saved_as_svg(page: Page) -> None:
    page.goto(MAP)
    page.locator("#map .main-svg").first.hover()
    with page.expect_download() as waiting:
        page.locator("#map [data-title*='ownload']").click()
    assert waiting.value.suggested_filename == "map.svg"
    paths = list(ElementTree.parse(waiting.value.path()).iter(f"{SVG}path"))
    assert len([path for path in paths if "point" in (path.get("class") or "")]) == len(drawn(page))


def test_a_point_is_looked_up_by_keys_alone(page: Page) -> None:
    page.goto(MAP)
    page.get_by_label("Find in the list").focus()
    page.keyboard.type("CAFFEINE")
    page.keyboard.press("Enter")
    page.wait_for_url("**find=CAFFEINE*")
    listed = page.locator("details tbody tr")
    ids = {name for _, name in drawn(page)}
    found = set(listed.locator("td:nth-child(2)").all_inner_texts())
    names = listed.locator("td:first-child").all_inner_texts()
    assert f"{LIBRARY}:caffeine" in found < ids
    assert {name.casefold() for name in names} == {"caffeine"}
    page.get_by_label("Find in the list").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('details td a')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?id=*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Caffeine")


def test_a_point_is_looked_up_by_a_click(page: Page) -> None:
    page.goto(MAP)
    box = page.locator("#map .point").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#map .hovertext")).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/search?id=*")


def test_a_list_is_bounded_and_hostile_names_are_text(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_view, "_MOST_LISTED", 5)
    page.goto(MAP)
    page.get_by_text("As a list").click()
    expect(page.locator("details tbody tr")).to_have_count(5)
    expect(page.locator("details")).to_contain_text("61 spectra; the first 5 are below.")
    page.goto(f"{MAP}?find=script")
    expect(page.locator("details tbody td").first).to_have_text(HOSTILE)
