"""What a real IPython shell shows, read again as a browser reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from lxml import html
from notebook_material import HOSTILE, answer, phenol, shortlist
from traitlets.config import Config

import specsearch
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION, Shortlist
from specsearch.search.similar import NO_PRECURSOR, Answer


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """A shell that remembers nothing, with the extension loaded by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        made.run_line_magic("load_ext", "specsearch")
        yield made
        InteractiveShell.clear_instance()


def shown(shell: InteractiveShell, value: object) -> tuple[html.HtmlElement, str]:
    """The page that a notebook shows, and the text that a terminal shows."""
    data, _ = shell.display_formatter.format(value)
    page = html.fromstring(data["text/html"])
    assert not page.xpath("//script | //@onerror | //@onload | //@href")
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.xpath("//img/@src"))
    for address in page.xpath("//img/@src"):
        drawing = b64decode(address.partition(",")[2]).decode()
        assert drawing.startswith("<svg")
        assert "<script" not in drawing
    return page, data["text/plain"]


def cells(page: html.HtmlElement) -> list[list[str]]:
    return [[cell.text_content() for cell in row.xpath("td")] for row in page.xpath("//tbody/tr")]


def test_a_spectrum(shell: InteractiveShell) -> None:
    spectrum = phenol(HOSTILE, notes=("<u>",))
    page, text = shown(shell, spectrum)
    assert page.xpath("string(p/b)") == HOSTILE
    assert [p.text_content() for p in page.xpath("p")[1:]] == [
        "precursor m/z 95.0491 · [M+H]+ · charge +1 · 4 peaks",
        "<u>",
    ]
    labels = page.xpath("//svg/text/text()")
    assert {"67.0542", "C5H7+", "77.0386", "C6H5+"} <= set(labels)  # less CO, less water
    assert page.xpath("//img/@title") == ["Oc1ccccc1"]
    assert text == f"Spectrum({HOSTILE} · precursor 95.0491 [M+H]+ · 4 peaks · Oc1ccccc1)"


def test_a_spectrum_of_which_little_is_known(shell: InteractiveShell) -> None:
    spectrum = phenol("", precursor_mz=None, charge=None, adduct=None, metadata={"smiles": "C1CC"})
    page, _ = shown(shell, spectrum)
    assert [p.text_content() for p in page.xpath("p")] == ["Spectrum", "precursor unknown · 4 peaks"]
    assert page.xpath("count(//svg)") == 1
    assert not page.xpath("//img")


def test_an_answer(shell: InteractiveShell) -> None:
    found = answer(phenol(), [phenol(f"H{i}", precursor_mz=95.0491 if i else None) for i in range(12)])
    page, text = shown(shell, found)
    rows = cells(page)
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, 11)]
    assert rows[0][2:6] == [f"{HOSTILE} [M+H]+", "1.000", "1", "unknown"]
    assert rows[1][2:6] == ["name 2 [M+H]+", "0.500", "2", "+2.5 ppm"]
    assert rows[2][1] == "not a structure <b>"
    assert page.xpath("//tbody//img/@alt")[:3] == [
        "Oc1ccccc1",
        "CCO",
        "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    ]
    assert page.xpath("string(p[last()])") == "and 2 more"
    assert {"phenol", "lib:H0"} <= set(page.xpath("//svg/text/text()"))
    assert text == "Answer(phenol: 12 hits, best lib:H0 with 1.000)"


def test_an_answer_without_hits_says_why(shell: InteractiveShell) -> None:
    page, text = shown(shell, Answer(phenol(), [], NO_PRECURSOR))
    assert NO_PRECURSOR in page.text_content()
    assert not page.xpath("//table")
    assert text == f"Answer(phenol: {NO_PRECURSOR})"
    assert "No hits." in shown(shell, Answer(phenol(), []))[0].text_content()


def test_a_shortlist(shell: InteractiveShell) -> None:
    page, text = shown(shell, shortlist(phenol()))
    said = page.text_content()
    assert "Confidence: high (0.91); 2 hold the right one in 9 of 10 such lists" in said
    assert f"12 candidates considered. {NOT_AN_IDENTIFICATION}" in said
    assert "<i>noticed</i>" in said
    rows = cells(page)
    assert len(rows) == page.xpath("count(//tbody//img)") == 10
    assert rows[0][2:4] == [HOSTILE, "CH4O"]
    assert rows[1][2:4] == ["LFQSCWFLJHTTHZ", "C2H6O"]  # ethanol
    assert "80%" in rows[0]
    assert "and 2 more" in said
    assert text == f"Shortlist(phenol: 12 candidates, first {HOSTILE}, confidence high)"


def test_a_shortlist_without_candidates_says_why(shell: InteractiveShell) -> None:
    page, text = shown(shell, Shortlist(phenol(), reason="no precursor", detail="m/z <0>"))
    assert "m/z <0>" in page.text_content()
    assert text == "Shortlist(phenol: no precursor)"
    assert "No candidates." in shown(shell, Shortlist(phenol()))[0].text_content()


def test_lists_of_them_are_lines(shell: InteractiveShell) -> None:
    data, _ = shell.display_formatter.format([Answer(phenol(), []), phenol()])
    assert data["text/plain"].splitlines()[0] == "[Answer(phenol: 0 hits),"
    assert "text/html" not in data


def run(code: str) -> Any:
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def test_importing_in_a_shell_is_enough_and_costs_nothing(tmp_path: Path) -> None:
    code = f"""
import json, os, sys
os.environ["IPYTHONDIR"] = {str(tmp_path)!r}
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import specsearch
before = sorted({{"torch", "rdkit", "numpy", "rich"}} & set(sys.modules))
record = specsearch.Spectrum.checked([100.0], [1.0], accession="A")
data, _ = shell.display_formatter.format(record)
print(json.dumps([before, data["text/html"][:23], data["text/plain"]]))
"""
    before, page, text = run(code)
    assert before == []
    assert page == '<div class="specsearch">'[:23]
    assert text == "Spectrum(A · precursor unknown · 1 peaks)"


def test_ipython_without_a_shell_is_no_shell() -> None:
    assert run("import IPython, specsearch, sys; print(int('specsearch.report' in sys.modules))") == 0
    assert callable(specsearch.load_ipython_extension)
