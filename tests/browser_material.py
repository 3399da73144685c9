"""A real browser over the pages, and whatever it complains of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
REFUSAL = "Failed to load resource: the server responded with a status of "


@contextmanager
def open_browser() -> Iterator[Browser]:
    """One browser for many visitors."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def look(visitor: BrowserContext, *, may_refuse: bool = False) -> Iterator[Page]:
    """A page that takes no fault: no error, no breach of the policy, no dialog, not a word in the console."""
    page = visitor.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text))
    page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield page
    page.close()
    left = [one for one in faults if not (may_refuse and one.startswith(REFUSAL))]
    assert not left, left


@contextmanager
def visit(browser: Browser, address: str, *, may_refuse: bool = False, **how: Any) -> Iterator[Page]:
    """The page of a visitor who was never here."""
    context = browser.new_context(base_url=address, **how)
    with look(context, may_refuse=may_refuse) as page:
        yield page
    context.close()


def check_looks(page: Page, text: str) -> None:
    """The page says it, no part of it is closed to somebody, and it fits a telephone."""
    expect(page.locator("main")).to_contain_text(text)
    page.wait_for_load_state("load")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    page.set_viewport_size({"width": 390, "height": 844})
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths == [390, 390]


def paste(page: Page, peaks: str, precursor_mz: str = "") -> None:
    """Fill in the form of peaks and send it."""
    form = page.locator("form", has=page.get_by_role("heading", name="Paste peaks"))
    form.get_by_label("m/z and intensity").fill(peaks)
    form.get_by_label("Precursor m/z").fill(precursor_mz)
    form.get_by_role("button").click()
