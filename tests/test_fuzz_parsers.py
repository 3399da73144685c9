"""Every parser on damaged texts: a value, or an error in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_targets import PARSERS
from fuzz_words import PARSER_SEEDS
from fuzzing import fuzz

N_MUTANTS, N_MUTANTS_SLOW = 2_000, 10_000


def _fuzz(parser: str, tmp_path: Path, numbers: range) -> dict[str, int]:
    (tmp_path / "seeds").mkdir()
    for number, text in enumerate(PARSER_SEEDS[parser]):
        (tmp_path / "seeds" / f"{number:02d}").write_text(text, encoding="utf-8")
    return fuzz(parser, tmp_path / "seeds", numbers)


@pytest.mark.parametrize("parser", PARSERS)
def test_damaged_texts_are_read_or_refused(parser: str, tmp_path: Path) -> None:
    counts = _fuzz(parser, tmp_path, range(N_MUTANTS))
    assert counts["read"] > 0
    assert counts["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
def test_ten_thousand_damaged_texts(parser: str, tmp_path: Path) -> None:
    counts = _fuzz(parser, tmp_path, range(N_MUTANTS, N_MUTANTS + N_MUTANTS_SLOW))
    assert counts["read"] > 0
    assert counts["refused"] > 0
