"""Every state of every page: what it says, for whom it can be read, how wide and how heavy it is."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser_material import check_looks, look, needs_browser, open_browser, paste, visit
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect
from samples import mgf
from web_material import CAFFEINE, KEY, LIBRARY, keep_beside, listening, records, small_app, small_server

from specsearch.web.app import Limits
from specsearch.web.guard import MOST_BYTES
from specsearch.web.links import link_text
from specsearch.web.served import Served
from specsearch.web.uploads import read_sent

pytestmark = needs_browser
MOST_PAGE_BYTES = 2_000_000  # of all but plotly
CAFFEINE_ID = f"{LIBRARY}:caffeine"
WITHOUT_PEAKS = "BEGIN IONS\nTITLE=none\nPEPMASS=100\nEND IONS\n"
FAR = link_text(replace(CAFFEINE, precursor_mz=900.0))
NEAR = link_text(replace(CAFFEINE, precursor_mz=195.0877 * (1 + 30e-6)))
TORN = link_text(replace(CAFFEINE, adduct="[M-H]-", charge=-1, notes=("adduct contradicts ion mode",)))
State = tuple[Callable[[Page], object], str]


def at(path: str) -> Callable[[Page], object]:
    return lambda page: page.goto(path)


def pasted(peaks: str, precursor_mz: str = "") -> Callable[[Page], object]:
    def walk(page: Page) -> None:
        page.goto("/")
        paste(page, peaks, precursor_mz)

    return walk


def sent(text: str) -> Callable[[Page], object]:
    def walk(page: Page) -> None:
        page.goto("/")
        page.locator("#file").set_input_files({"name": "my.mgf", "mimeType": "", "buffer": text.encode()})

    return walk


def named(spectrum_id: str) -> Callable[[Page], object]:
    def walk(page: Page) -> None:
        page.goto("/")
        page.get_by_label("Its id in a library").fill(spectrum_id)
        page.keyboard.press("Enter")

    return walk


GOOD: dict[str, State] = {
    "start": (at("/"), "What is this spectrum?"),
    "spectra of a file": (sent(mgf(records()[:3]) + WITHOUT_PEAKS), "3 spectra, 1 record left out."),
    "only faults in a file": (sent(WITHOUT_PEAKS), "No spectrum could be read"),
    "hits": (named(CAFFEINE_ID), "Why it ranks here"),
    "nothing found": (at(f"/search?s={FAR}&precursor=1ppm"), "Nothing looks like it"),
    "candidates": (at(f"/identify?id={CAFFEINE_ID}"), "Not rated."),
    "no candidate": (at(f"/identify?s={FAR}"), "another adduct (in the settings)"),
    "a candidate near": (at(f"/identify?s={NEAR}"), "ppm would find it."),
    "a torn adduct": (at(f"/identify?s={TORN}"), "the adduct in the settings settles it."),
    "an adduct that cannot be": (at(f"/identify?id={CAFFEINE_ID}&adduct=[M-H]-"), "[M-H]- in positive mode"),
    "family": (at(f"/family?id={LIBRARY}:S1&least=0"), "Against its neighbours"),
    "map": (at(f"/map/{LIBRARY}"), "61 of 61 spectra"),
    "map with a number": (at(f"/map/{LIBRARY}?colour=precursor_mz&find=caff"), "with “caff” in its name"),
    "nothing found on a map": (at(f"/map/{LIBRARY}?find=nobody"), "0 spectra with “nobody” in its name"),
    "receipt": (at(f"/receipt/{LIBRARY}"), "Every spectrum that goes"),
}
REFUSED: dict[str, State] = {
    "an unknown id": (named(f"{LIBRARY}:nobody"), f"There is no spectrum '{LIBRARY}:nobody'."),
    "an unknown library": (named("nope:caffeine"), f"Served: {LIBRARY}."),
    "no spectra in a file": (sent("these are not spectra"), "my.mgf"),
    "an empty file": (sent(""), "my.mgf"),
    "peaks that are none": (pasted("69.0447 8.2\nhello"), "line 2 is not an m/z and an intensity"),
    "a negative peak": (pasted("-5 1"), "m/z not positive"),
    "a peak too many": (pasted("69 1 2"), "Mend what was entered, and send it again."),
    "a precursor that is none": (pasted("69 1", "heavy"), "'heavy' is no m/z."),
    "a link cut short": (at(f"/search?s={FAR[:40]}"), "Was it cut short?"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with small_server(tmp_path_factory.mktemp("web")) as made:
        keep_beside(made)
        read_sent(mgf(records()[:1]).encode(), "first", 100)  # what reads takes seconds to begin
        yield made


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[str]:
    with listening(small_app(served)) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as made:
        yield made


@pytest.fixture(scope="module")
def visitor(browser: Browser, address: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=address)
    yield context
    context.close()


@pytest.mark.parametrize("name", GOOD)
def test_pages_of_answers(visitor: BrowserContext, name: str) -> None:
    walk, text = GOOD[name]
    with look(visitor) as page:
        walk(page)
        check_looks(page, text)
        assert " --" not in page.locator("main").inner_text()  # options are the command line's


@pytest.mark.parametrize("name", REFUSED)
def test_pages_of_refusals_say_what_to_do(visitor: BrowserContext, name: str) -> None:
    walk, text = REFUSED[name]
    with look(visitor, may_refuse=True) as page:
        walk(page)
        expect(page.get_by_role("alert")).to_contain_text(text)
        expect(page.get_by_role("alert")).not_to_contain_text("openapi")
        page.get_by_role("link", name="Begin again").click()
        page.wait_for_url("**/")


@pytest.mark.parametrize(("what", "text"), [("map", "No map yet"), ("receipt", "No receipt yet")])
def test_pages_of_what_was_not_made(
    browser: Browser, served: Served, tmp_path: Path, what: str, text: str
) -> None:
    bare = replace(served, beside={LIBRARY: tmp_path})
    with listening(small_app(bare)) as address, visit(browser, address) as page:
        page.goto(f"/{what}/{LIBRARY}")
        check_looks(page, text)


def test_the_page_of_a_refusal(visitor: BrowserContext) -> None:
    with look(visitor, may_refuse=True) as page:
        page.goto("/nowhere")
        check_looks(page, "Not Found")
        expect(page.get_by_role("alert")).not_to_contain_text("openapi")


def test_a_file_that_is_too_large_is_not_sent(visitor: BrowserContext, tmp_path: Path) -> None:
    with (tmp_path / "large.mgf").open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with look(visitor) as page:
        page.goto("/")
        page.locator("#file").set_input_files(tmp_path / "large.mgf")
        check_looks(page, "This file is too large: at most 32 MiB at once.")
        page.locator("#file").set_input_files(
            {"name": "one.mgf", "mimeType": "", "buffer": mgf([CAFFEINE]).encode()}
        )
        page.wait_for_url("**/search?s=*")


def test_a_server_that_is_sent_too_much_tells_a_browser_so(address: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    connection.putrequest("POST", "/read")
    connection.putheader("accept", "text/html")
    connection.putheader("content-length", str(MOST_BYTES + 1))
    connection.endheaders()
    answer = connection.getresponse()
    page = answer.read().decode()
    connection.close()
    assert answer.status == 413
    assert "This is too large." in page
    assert "Begin again" in page


def test_a_server_without_anything(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    with small_server(folder, is_empty=True) as nothing, listening(small_app(nothing)) as address:
        with visit(browser, address) as page:
            page.goto("/")
            check_looks(page, "No library yet")
        with visit(browser, address, may_refuse=True) as page:
            page.goto(f"/search?s={FAR}")
            check_looks(page, "No library is served.")


def test_the_key(browser: Browser, served: Served) -> None:
    with (
        listening(small_app(served, (KEY,))) as address,
        visit(browser, address, may_refuse=True) as page,
    ):
        page.goto(f"/search?id={CAFFEINE_ID}&top=3#hit-2")
        check_looks(page, "This server needs its key")
        assert LIBRARY not in page.locator("header").inner_text()
        page.get_by_label("Key").fill("not the key")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("That is not the key.")
        check_looks(page, "This server needs its key")
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/search?id=*&top=3*")
        expect(page.locator(".item")).to_have_count(3)
        assert LIBRARY in page.locator("header").inner_text()


def test_who_asks_too_fast_is_told_so_on_a_page(browser: Browser, served: Served) -> None:
    slow = small_app(served, limits=Limits(rate="1/hour"))
    with listening(slow) as address, visit(browser, address, may_refuse=True) as page:
        page.goto("/")
        page.reload()
        check_looks(page, "Ask at most 1/hour.")


@pytest.mark.parametrize(
    "path",
    ["/", f"/search?id={CAFFEINE_ID}", f"/identify?id={CAFFEINE_ID}", f"/family?id={LIBRARY}:S1&least=0"],
)
def test_pages_are_light(browser: Browser, address: str, path: str) -> None:
    answers: list[Response] = []
    with visit(browser, address) as page:
        page.on("response", lambda answer: answers.append(answer))
        page.goto(path)
        own = [one for one in answers if one.url.startswith(address) and "plotly.min.js" not in one.url]
        n_bytes = sum(len(one.body()) for one in own)  # before any compression
    assert len(own) >= 3
    assert 10_000 < n_bytes < MOST_PAGE_BYTES
