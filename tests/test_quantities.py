"""Counts and sizes of memory against arithmetic of Python's own."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specsearch.errors import ParseError
from specsearch.store.quantities import MOST, parse_bytes, parse_count

LETTERS = {"k": 10**3, "M": 10**6, "B": 10**9}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200M", 200_000_000),
        ("1.5M", 1_500_000),
        ("10k", 10_000),
        ("10K", 10_000),
        ("2B", 2_000_000_000),
        ("2b", 2_000_000_000),
        ("2_000_000", 2_000_000),
        ("200,000,000", 200_000_000),
        (" 7 ", 7),
        ("1 M", 1_000_000),
        ("0.001k", 1),
        ("3.0", 3),
        ("1,500k", 1_500_000),
        ("10000000000", MOST),
    ],
)
def test_spellings_of_counts(text: str, value: int) -> None:
    assert parse_count(text) == value


@given(st.integers(1, MOST))
def test_every_grouping_means_the_number(value: int) -> None:
    for text in (f"{value}", f"{value:,}", f"{value:_}", f"{value}.000"):
        assert parse_count(text) == value


@given(st.integers(1, 9_999), st.integers(0, 3), st.sampled_from(sorted(LETTERS)))
def test_letters_multiply(digits: int, n_decimals: int, letter: str) -> None:
    number = Decimal(digits).scaleb(-n_decimals)
    meant = number * LETTERS[letter]
    if meant <= MOST:
        assert parse_count(f"{number:f}{letter}") == meant


@given(st.text(max_size=12))
def test_a_text_is_a_count_in_range_or_one_sentence(text: str) -> None:
    try:
        value = parse_count(text)
    except ParseError as error:
        refusal: ParseError | None = error
    else:
        refusal = None
        assert 1 <= value <= MOST
    assert refusal is None or (refusal.message.endswith(".") and "\n" not in refusal.message)


@pytest.mark.parametrize(
    "text",
    [
        *("", "M", "many", "-5", "-1M", "+5", "nan", "inf", "1e6", "0x10", "1e400"),
        *("1,5M", "1,2345", "1_00", "1,000_000", "1.", ".5M", "5 0", "10MM", "10GB"),
        *("٣M", "²", "1" * 5000, "1\n2"),
    ],
)
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(ParseError, match="is not a count") as caught:
        parse_count(text)
    assert "200M" in caught.value.next_step
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["1.5", "1.2345k", "0.0001k"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ParseError, match="not a whole number"):
        parse_count(text)


@pytest.mark.parametrize("text", ["0", "0k", "0.0M", "000"])
def test_nothing(text: str) -> None:
    with pytest.raises(ParseError, match="nothing to plan for"):
        parse_count(text)


@pytest.mark.parametrize("text", ["10000000001", "1000B", "1,000,000,000,000", "9" * 40])
def test_too_much(text: str) -> None:
    with pytest.raises(ParseError, match=r"beyond what this formula is for: at most 10\^10"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64GB", 64 * 10**9),
        ("256 GiB", 256 * 2**30),
        ("1.5TB", 15 * 10**11),
        (" 2TiB ", 2 * 2**40),
        ("0.3GB", 3 * 10**8),
    ],
)
def test_spellings_of_memory(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize(
    "text", ["", "64", "GB", "64gb", "64G", "64MB", "-1GB", "0GB", "nanGB", "1e3GB", "1,5GB"]
)
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(ParseError, match="64GB"):
        parse_bytes(text)
