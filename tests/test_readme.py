"""The README is true: its commands exist, its examples run, its second command is what CI runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_runner import Commands
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from specsearch.cli import main
from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT
from specsearch.evaluation.simulated import simulated_sample
from specsearch.spectra.writers import write_spectra

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^specsearch .+$", README, re.MULTILINE)


def block(marker: str) -> str:
    """The fenced block after a marker."""
    found = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, marker
    return found[1]


def steps(marker: str) -> list[str]:
    """The steps of a one-line command."""
    return re.split(r"\s*&&\s*", block(marker).strip())


def test_ci_runs_the_second_command(tmp_path: Path) -> None:
    """With programs of the same names that only say how they were called."""
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    (checkout / "README.md").write_text(README, encoding="utf-8")
    (checkout / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    names = ["bin/python3", ".venv/bin/pip", ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/lint-imports"]
    for name in (*names, ".venv/bin/pytest"):
        program = checkout / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text('#!/bin/bash\necho "${0##*/}" "$@"\n')
        program.chmod(0o755)
    called = subprocess.run(
        ["bash", ".ci/run"],
        cwd=checkout,
        env={"PATH": f"{checkout / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    lines = [shlex.split(line) for line in steps("command: test")]
    assert called == [" ".join([words[0].rpartition("/")[2], *words[1:]]) for words in lines]
    assert called[-1].startswith("pytest")


def test_ci_stops_at_the_first_failure(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    readme = "<!-- command: test -->\n```bash\nfalse\necho went on\n```\n"
    for text in (readme, "nothing marked"):
        (tmp_path / "README.md").write_text(text)
        finished = subprocess.run(
            ["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert finished.returncode != 0
        assert "went on" not in finished.stdout


def test_the_first_command_installs_and_runs_the_demo() -> None:
    *_, install, demo = steps("command: demo")
    assert install.startswith(".venv/bin/pip install")
    assert demo == ".venv/bin/specsearch demo"


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_is_understood(line: str) -> None:
    """Parsed by the commands themselves, without being run."""
    words = shlex.split(line, comments=True)[1:]
    context = click.Context(main)
    command: click.Command | None = main
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None
    command.make_context("specsearch", words)


def test_every_option_named_is_an_option_of_some_command() -> None:
    known = set(re.findall(r"--[a-z0-9-]+", all_help()))
    named = set(
        re.findall(r"(?<=[` ])--[a-z0-9-]+", "".join(re.split(r"```bash.*?```", README, flags=re.DOTALL)))
    )
    assert {"--precursor", "--store", "--format"} <= named
    assert named - {"--detach", "--wait", "--profile"} <= known


def all_help() -> str:
    context = click.Context(main)
    texts = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        children = command.commands.values() if isinstance(command, click.Group) else [command]
        texts += [child.get_help(click.Context(child)) for child in children]
    return "\n".join(texts)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Commands, str]:
    """The demo without data, with the shipped model; it is told apart from real data, and runs twice."""
    assert DEFAULT_CHECKPOINT.exists(), "the shipped model is missing"
    commands = Commands(tmp_path_factory.mktemp("demo"), None)
    first = commands.run("demo")
    assert "SIMULATED" in first.stderr
    assert commands.run("demo").stdout == first.stdout
    return commands, first.stdout


def test_the_answer_shown_is_the_answer_given(demo: tuple[Commands, str]) -> None:
    """Hit by hit; scores may differ in a last digit between processors."""
    shown = answer_lines(block("output: demo"))
    name = next(line for line in block("output: demo").splitlines() if line.startswith("Query "))
    given = demo[1][demo[1].index(name.split(" · ")[0]) :]
    assert len(shown) == 5
    for ours, theirs in zip(shown, answer_lines(given), strict=False):
        assert ours[:2] == theirs[:2]
        assert float(ours[-5]) == pytest.approx(float(theirs[-5]), abs=0.01)
        assert ours[-4:] == theirs[-4:]


def answer_lines(text: str) -> list[list[str]]:
    return [
        re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if re.match(r"\s*\d+\s{2,}", line)
    ]


def test_demo_finds_what_is_there_and_says_what_to_do_next(demo: tuple[Commands, str]) -> None:
    commands, output = demo
    for name in ("caffeine", "diazepam", "metoprolol"):
        answer = output[output.index(f"Query SIMULATED-{name}-query") :]
        assert answer_lines(answer)[0][1].startswith(name)
    told = commands.run("demo").stderr
    suggested = re.findall(r"^  (specsearch .+)$", told, re.MULTILINE)
    assert len(suggested) == 3
    assert "demo-simulated" in commands.run(*shlex.split(suggested[-1])[1:]).stdout


def indexed(commands: Commands, folder: Path) -> None:
    """A library and a query where the README's Python looks for them."""
    sample = simulated_sample()
    write_spectra(folder / "unknowns.mgf", sample.queries[:1])
    write_spectra(folder / "library.mgf", sample.library[:8])
    commands.run("index", folder / "library.mgf", "--library", "mylab", "--store", folder / "store")


def test_the_python_example_runs(demo: tuple[Commands, str], tmp_path: Path) -> None:
    indexed(demo[0], tmp_path)
    finished = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in finished.stdout.splitlines()]
    assert [line[1] for line in lines] == ["1", "2", "3"]
    assert lines[0][2].startswith("mylab:SIMULATED-caffeine")


def test_the_notebook_shows_what_it_should(
    demo: tuple[Commands, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cell by cell, in a shell of its own; cells are parted by empty lines."""
    indexed(demo[0], tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    try:
        shell.run_line_magic("load_ext", "specsearch")
        results = [shell.run_cell(cell) for cell in re.split(r"\n\n(?=\S)", block("notebook"))]
        for result in results:
            result.raise_error()
        *_, answer, table, for_matchms = (result.result for result in results)
        page = shell.display_formatter.format(answer)[0]["text/html"]
    finally:
        InteractiveShell.clear_instance()
    assert page.count("<svg") == 1
    assert "mylab:SIMULATED-caffeine" in page
    assert (len(answer.hits), len(table), table["rank"].tolist()) == (8, 8, list(range(1, 9)))
    assert for_matchms.get("spectrum_id") == answer.query.accession


@pytest.mark.slow
def test_demo_with_real_data(data_dir: Path, tmp_path: Path) -> None:
    commands = Commands(tmp_path, None)
    commands.env["SPECSEARCH_DATA"] = str(data_dir)
    output = commands.run("demo")
    assert "SIMULATED" not in output.stdout + output.stderr
    assert "10,000" in output.stdout
    assert output.stdout.count("Query MSBNK-") == 5
