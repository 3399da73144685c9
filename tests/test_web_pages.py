"""The pages in a real browser: the walks that a person takes, and what each shows in the end."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import networkx as nx
import pytest
from browser_material import look, needs_browser, open_browser, paste, visit
from graph_material import turned_family
from playwright.sync_api import Browser, BrowserContext, Page, expect
from samples import mgf
from web_material import CAFFEINE, HOSTILE, LIBRARY, listening, records, small_app, small_server

from specsearch.report.family_page import write_family_page
from specsearch.web.links import link_text
from specsearch.web.records import SpectrumOut
from specsearch.web.uploads import read_sent

pytestmark = needs_browser
SVG = "{http://www.w3.org/2000/svg}"
PEAKS = "\n".join(f"{mz} {i}" for mz, i in zip(CAFFEINE.mz, CAFFEINE.intensity, strict=True))
CAFFEINE_ID = f"{LIBRARY}:caffeine"
NAMED_SO = "<img src=x onerror=alert(1)>.mgf"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    read_sent(mgf([CAFFEINE]).encode(), "first", 100)  # what reads takes seconds to begin
    with small_server(tmp_path_factory.mktemp("web")) as served, listening(small_app(served)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as made:
        yield made


@pytest.fixture(scope="module")
def visitor(browser: Browser, address: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=address)
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    with look(visitor) as made:
        yield made


def asked(page: Page, path: str, **body: Any) -> Any:
    """What the API answers to the same browser."""
    found = page.request.post(path, data=body) if body else page.request.get(path)
    assert found.ok
    return found.json()


def hits_of(page: Page, **conditions: Any) -> list[dict[str, Any]]:
    """What the API finds for caffeine's spectrum as it is stored."""
    spectrum = asked(page, f"/v1/spectra/{CAFFEINE_ID}")
    (answer,) = asked(page, "/v1/search", spectra=[spectrum], top=20, **conditions)
    hits: list[dict[str, Any]] = answer["hits"]
    return hits


def chosen(page: Page) -> int:
    """The place of the chosen item in its list."""
    places = page.locator("[data-item]").evaluate_all(
        "items => items.flatMap((item, i) => item.ariaCurrent === 'true' ? [i] : [])"
    )
    (place,) = places
    return int(place)


def drawn(page: Page) -> Any:
    """Peaks and labels of the plot."""
    return page.locator("#plot.js-plotly-plot").evaluate(
        "plot => [plot.data.map(trace => trace.x), plot.layout.annotations.map(one => one.text)]"
    )


def downloaded(page: Page, name: str) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=name, exact=True).click()
    return Path(waiting.value.path())


def tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key does not come to {selector}")


def drop(page: Page, name: str, text: str) -> None:
    """Drop a file on the page, as a file manager does."""
    data = page.evaluate_handle(
        "([name, text]) => { const data = new DataTransfer();"
        " data.items.add(new File([text], name)); return data; }",
        [name, text],
    )
    for event in ("dragover", "drop"):
        page.dispatch_event("main", event, {"dataTransfer": data})


def test_a_dropped_file_and_one_of_its_spectra(page: Page) -> None:
    page.goto("/")
    drop(page, "three.mgf", mgf([*records()[:2], CAFFEINE]))
    expect(page.get_by_role("heading", level=1)).to_have_text("three.mgf")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.locator("tbody tr").last.get_by_role("link", name="looks like").click()
    expect(page.locator(".item").first).to_contain_text("Caffeine")
    assert page.locator(".score").first.inner_text() == "1.000"


def test_a_chosen_file_of_one_spectrum_is_looked_for_at_once(page: Page) -> None:
    page.goto("/")
    with page.expect_file_chooser() as waiting:
        page.get_by_text("Drop a file here").click()
    waiting.value.set_files({"name": "one.mgf", "mimeType": "", "buffer": mgf([CAFFEINE]).encode()})
    page.wait_for_url("**/search?s=*")
    expect(page.locator(".item").first).to_contain_text("Caffeine")


def test_hits_are_those_of_the_api(page: Page) -> None:
    page.goto(f"/search?id={CAFFEINE_ID}")
    hits = hits_of(page)
    names = page.locator(".item strong").all_inner_texts()
    assert names == [hit["compound_name"] for hit in hits]
    assert page.locator(".score").all_inner_texts() == [f"{hit['score']:.3f}" for hit in hits]
    evidence = page.locator("[data-detail]").nth(2).locator(".evidence .number").all_text_contents()
    columns = ("embedding_score", "peaks_score", "losses_score", "entropy_similarity", "modified_cosine")
    assert evidence == [f"{hits[2][column]:.3f}" for column in columns]
    first: dict[str, int] = {}
    for hit, shown in zip(hits, page.locator(".item").all_inner_texts(), strict=True):
        rank = first.setdefault(hit["inchikey14"] or hit["spectrum_id"], hit["rank"])
        assert (f"same molecule as {rank}" in shown) == (rank < hit["rank"])
    assert 1 < len(first) < len(hits)
    expect(page.locator(".lead")).to_have_text(f"{len(hits)} spectra of {len(first)} molecules")


@pytest.mark.parametrize("precursor_mz", [195.0877, 600.0])
def test_hits_say_on_which_side_of_the_query_they_lie(page: Page, precursor_mz: float) -> None:
    query = replace(CAFFEINE, precursor_mz=precursor_mz)
    page.goto(f"/search?s={link_text(query)}")
    (answer,) = asked(page, "/v1/search", spectra=[SpectrumOut.of(query).model_dump()], top=20)
    shown = page.locator(".item .facts span:nth-child(2)").all_inner_texts()
    assert shown == page.locator("[data-detail] dt:text-is('precursor') + dd").all_text_contents()
    for hit, text in zip(answer["hits"], shown, strict=True):
        below = precursor_mz - hit["precursor_mz"]
        if abs(below) < 1e-4:
            assert text == "at the query's m/z"
            continue
        size, unit, side = re.fullmatch(r"([\d.]+) (ppm|Da) (above|below) the query", text).groups()  # type: ignore[union-attr]
        assert side == ("below" if below > 0 else "above")
        scale = 1e6 / hit["precursor_mz"] if unit == "ppm" else 1
        assert abs(below) * scale == pytest.approx(float(size), abs=0.06)


def test_hits_of_a_query_without_a_precursor_say_so(page: Page) -> None:
    page.goto(f"/search?s={link_text(replace(CAFFEINE, precursor_mz=None))}")
    expect(page.locator(".item").first).to_contain_text("precursor unknown")


def test_settings_reach_the_search(page: Page) -> None:
    page.goto(f"/search?id={CAFFEINE_ID}")
    page.get_by_text("Settings").click()
    page.get_by_role("spinbutton", name="Hits").fill("3")
    page.get_by_label("Ranked by").select_option("embedding")
    page.get_by_role("button", name="Search again").click()
    expect(page.locator(".item")).to_have_count(3)
    found = [hit["compound_name"] for hit in hits_of(page, by="embedding")[:3]]
    assert page.locator(".item strong").all_inner_texts() == found


def test_mirror_plots_by_click_by_key_and_by_address(page: Page, browser: Browser, address: str) -> None:
    page.goto(f"/search?id={CAFFEINE_ID}")
    first = drawn(page)
    assert first[1][:5].count("138.0662") == 1
    page.locator("#hit-2").click()
    second = drawn(page)
    assert second[0][:3] != first[0][:3] or second[0][3:] != first[0][3:]
    page.keyboard.press("ArrowDown")
    assert (chosen(page), urlsplit(page.url).fragment) == (2, "hit-3")
    third = drawn(page)
    assert third[1] != second[1]
    expect(page.locator("[data-detail]:visible h2")).to_have_text(page.locator("#hit-3 strong").inner_text())
    with visit(browser, address) as other:
        other.goto(page.url)
        assert (chosen(other), drawn(other)) == (2, third)
    page.keyboard.press("ArrowUp")
    assert (chosen(page), drawn(page)) == (1, second)


def test_candidates_with_their_evidence(page: Page) -> None:
    page.goto(f"/search?id={CAFFEINE_ID}")
    page.get_by_role("link", name="What it could be").click()
    spectrum = asked(page, f"/v1/spectra/{CAFFEINE_ID}")
    (found,) = asked(page, "/v1/identify", spectra=[spectrum])
    names = page.locator(".item strong").all_inner_texts()
    assert names == [one["name"] for one in found["candidates"]]
    expect(page.locator(".verdict")).to_contain_text("Not rated")
    expect(page.locator(".verdict")).to_contain_text("not an identification")
    expect(page.locator(".verdict")).to_contain_text(f"{found['n_candidates']} candidate")
    labels = drawn(page)[1]
    explained = [label for label in labels if "<br>" in label]
    assert any("138.0662" in label and "C6H8N3O" in label for label in explained)
    expect(page.locator("[data-detail]:visible")).to_contain_text("fragments explain")


def test_walking_a_family(page: Page) -> None:
    page.goto(f"/search?id={LIBRARY}:S1")
    page.locator("[data-detail]:visible").get_by_role("link", name="Its family").click()
    page.get_by_text("Settings").click()
    page.get_by_label("Least score").fill("0")
    page.get_by_role("button", name="Walk again").click()
    page.wait_for_url("**least=0*")
    rows, dots = page.locator("#members tbody tr"), page.locator("#network circle[role=button]")
    assert rows.count() == dots.count() > 2
    dots.last.click()
    expect(page.locator("#detail h2").first).to_have_text(str(dots.last.get_attribute("aria-label")))
    rows.first.click()
    page.keyboard.press("ArrowDown")
    second = rows.nth(1).locator("td").nth(1).inner_text()
    expect(rows.nth(1)).to_be_focused()
    expect(page.locator("#detail dl").first).to_contain_text(second)
    page.locator("#detail button").first.click()
    expect(page.locator("#detail svg")).to_have_attribute("aria-label", "mirror plot")
    rows.nth(1).click()
    page.locator("#detail").get_by_role("link", name="Its family").click()
    page.wait_for_url(f"**/family?id={second.replace(':', '%3A')}")
    expect(page.locator(".lead")).to_contain_text(second)


def test_a_change_has_the_sign_of_the_end_it_is_seen_from(page: Page, tmp_path: Path) -> None:
    write_family_page(tmp_path / "f.html", "f", *turned_family(), {})
    page.goto((tmp_path / "f.html").as_uri())
    shown = {}
    for row in page.locator("#members tbody tr").all():
        row.click()
        texts = page.locator("#detail button").all_inner_texts()
        shown[row.locator("td").first.inner_text()] = [text.split() for text in texts]
    assert shown == {
        "heavy": [["light", "-CH2", "0.5"], ["unknown", "0.5"]],
        "light": [["heavy", "+CH2", "0.5"]],
        "unknown": [["heavy", "0.5"]],
    }
    page.locator("#detail button").click()
    expect(page.locator("#detail")).to_contain_text("from heavy to unknown: difference unknown")
    page.locator("#members tbody tr").nth(1).click()
    page.locator("#detail button").click()
    expect(page.locator("#detail")).to_contain_text("from heavy to light: -CH2")


def test_no_caption_of_a_family_covers_another(page: Page) -> None:
    page.goto(f"/family?id={LIBRARY}:S1&least=0&hops=3")
    boxes = page.locator("#network .caption .label").evaluate_all(
        "labels => labels.map(label => label.getBBox()).map(({x, y, width, height}) => [x, y, width, height])"
    )
    assert len(boxes) > 3
    for i, (x, y, width, height) in enumerate(boxes):
        for left, top, wide, high in boxes[:i]:
            assert x >= left + wide or left >= x + width or y >= top + high or top >= y + height


def test_downloads_hold_what_the_pages_show(page: Page) -> None:
    page.goto(f"/search?id={CAFFEINE_ID}")
    shown = page.locator(".item strong").all_inner_texts()
    with downloaded(page, "CSV").open(newline="", encoding="utf-8") as stream:
        assert [row["compound_name"] for row in csv.DictReader(stream)] == shown
    lines = downloaded(page, "JSON Lines").read_text("utf-8").splitlines()
    assert [json.loads(line)["compound_name"] for line in lines] == shown
    page.goto(f"/identify?id={CAFFEINE_ID}")
    shown = page.locator(".item strong").all_inner_texts()
    table = downloaded(page, "mzTab-M").read_text("utf-8").splitlines()
    evidence = [line.split("\t") for line in table if line.startswith("SME\t")]
    assert [next(name for name in shown if name in line) for line in evidence] == shown
    page.goto(f"/family?id={LIBRARY}:S1&least=0")
    shown = page.locator("#members tbody td:nth-child(2)").all_inner_texts()
    assert set(nx.read_graphml(downloaded(page, "GraphML"))) == set(shown)


def test_a_mirror_plot_is_saved_as_svg(page: Page) -> None:
    page.goto(f"/search?id={CAFFEINE_ID}")
    page.locator("#plot .main-svg").first.hover()
    with page.expect_download() as waiting:
        page.locator("#plot [data-title*='ownload']").click()
    assert waiting.value.suggested_filename == "mirror.svg"
    texts = [text.text for text in ElementTree.parse(waiting.value.path()).iter(f"{SVG}text")]
    assert "138.0662" in texts


def test_a_network_is_saved_as_svg_with_its_colours(page: Page) -> None:
    page.goto(f"/family?id={LIBRARY}:S1&least=0")
    shown = page.locator("#network circle").evaluate_all(
        "dots => dots.map(dot => getComputedStyle(dot).fill)"
    )
    saved = ElementTree.parse(downloaded(page, "SVG")).getroot()
    assert [dot.get("fill") for dot in saved.iter(f"{SVG}circle")] == shown
    assert len(set(shown)) > 1
    assert not [part for part in saved.iter() if part.get("class")]
    labels = page.locator("#network text").all_text_contents()
    assert [text.text for text in saved.iter(f"{SVG}text")] == labels


def test_a_link_gives_everybody_the_same_answer(page: Page, browser: Browser, address: str) -> None:
    page.goto("/")
    paste(page, PEAKS, "195.0877")
    page.wait_for_url("**/search?s=*")
    with visit(browser, address) as other:
        other.goto(page.url)
        for part in (".item strong", ".score", ".query .facts"):
            assert other.locator(part).all_inner_texts() == page.locator(part).all_inner_texts()


def test_copying_a_link(browser: Browser, address: str) -> None:
    with visit(browser, address, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(f"/search?id={CAFFEINE_ID}")
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_role("button", name="Link copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_pasted_peaks_are_looked_for_as_they_are(page: Page) -> None:
    page.goto("/")
    paste(page, PEAKS, "195.0877")
    expect(page.locator(".query")).to_contain_text("m/z 195.0877")
    expect(page.locator(".query")).to_contain_text("5 peaks")
    expect(page.locator(".query")).to_contain_text("unknown ion mode")
    expect(page.locator(".item").first).to_contain_text("Caffeine")
    assert len(parse_qs(urlsplit(page.url).query)["s"][0]) < 300


@pytest.mark.parametrize("what", ["search", "identify", "family"])
def test_hostile_names_are_only_text(page: Page, what: str) -> None:
    page.goto(f"/{what}?id={LIBRARY}:S3")
    place = page.locator("#detail h2").first if what == "family" else page.get_by_role("heading", level=1)
    expect(place).to_have_text(HOSTILE)
    for one in page.locator("#members tbody tr, .item").all()[:4]:
        one.click()


def test_while_an_answer_is_looked_for_the_page_says_so(page: Page) -> None:
    never = "what => document.addEventListener(what, event => event.preventDefault())"  # it does not come
    busy = page.get_by_text("Looking it up …")
    page.goto("/")
    expect(busy).to_be_hidden()
    page.evaluate(never, "submit")
    page.get_by_label("Its id in a library").fill(CAFFEINE_ID)
    page.keyboard.press("Enter")
    expect(busy).to_be_visible()
    page.goto(f"/search?id={CAFFEINE_ID}")
    downloaded(page, "CSV")
    page.locator("#hit-2").click()
    expect(busy).to_be_hidden()  # nothing else comes
    page.evaluate(never, "click")
    page.get_by_role("link", name="What it could be").click()
    expect(busy).to_be_visible()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow'))")  # as on the way back
    expect(busy).to_be_hidden()


def test_hostile_files_are_only_text(page: Page) -> None:
    page.goto("/")
    drop(page, NAMED_SO, mgf(records()[:4]))
    expect(page.get_by_role("heading", level=1)).to_have_text(NAMED_SO)
    expect(page.locator("tbody tr").nth(3)).to_contain_text(HOSTILE)


def test_from_start_to_a_hit_by_keys_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    tab_to(page, "#peaks")
    page.keyboard.insert_text(PEAKS)
    tab_to(page, "form:has(#peaks) button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?s=*")
    tab_to(page, ".item")
    page.keyboard.press("ArrowDown")
    assert chosen(page) == 1
    tab_to(page, ".next a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?id=*")


def test_a_narrow_page_opens_a_plot_below_its_hit(browser: Browser, address: str) -> None:
    with visit(browser, address, viewport={"width": 390, "height": 844}) as page:
        page.goto(f"/search?id={CAFFEINE_ID}")
        page.locator("#hit-3").click()
        expect(page.locator("li:has(#hit-3) #plot.js-plotly-plot")).to_be_visible()
        assert page.locator("li:has(#hit-1) #plot").count() == 0


def test_without_scripts_peaks_are_looked_for_and_hits_can_be_read(browser: Browser, address: str) -> None:
    with visit(browser, address, java_script_enabled=False) as page:
        page.goto("/")
        paste(page, PEAKS, "195.0877")
        expect(page.locator(".item").first).to_contain_text("Caffeine")
        expect(page.locator("[data-detail]").nth(3)).to_contain_text("Why it ranks here")
        expect(page.locator("[data-detail]").nth(3)).to_be_visible()
        expect(page.locator("#plot")).to_be_hidden()
        page.goto("/")
        page.locator("#file").set_input_files(
            {"name": "two.mgf", "mimeType": "", "buffer": mgf(records()[:2]).encode()}
        )
        page.get_by_role("button", name="Read it").click()
        expect(page.locator("tbody tr")).to_have_count(2)
