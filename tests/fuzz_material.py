"""Damaged texts and files: mutants of whole ones, each made again from its number."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable, Sequence

_NUMBERS = tuple(
    word.encode()
    for word in (
        *("nan", "inf", "-inf", "1e309", "-1e309", "1e-320", "-1", "0", "-0.0", "1e99", "0x10", "1_0", "1e"),
        *("2147483648", "-2147483649", "18446744073709551616", "9" * 400, "9" * 5000, "0." + "3" * 400),
        *("1,5", "+", "-", ".", "1.2.3", "٣", "½", "", " ", "1 2"),
    )
)
_ODDITIES = (
    *(
        b"\0",
        b"\0" * 40,
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xf4\x90\x80\x80",
    ),
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\t", b"\x0b", b"\x0c", b"\x1a", b"\x85", b" " * 300, b"\n" * 300),
    *("\u2028".encode(), "\u202e".encode(), "\U0001f9ea".encode(), "İ".encode(), b"%s", b"\\", b"\\ud800"),
    *(b'"', b"'", b"<", b">", b"&", b"[" * 3000, b"(" * 3000, b"{", b"}", b"]", b")", b"A" * 9000),
)
_NUMBER = re.compile(rb"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MOST_BYTES = 1 << 18

Mutator = Callable[[random.Random, bytearray, Sequence[bytes]], bytearray]


def mutant(number: int, seeds: Sequence[bytes], tokens: Sequence[bytes], zipped: bool = False) -> bytes:
    """The mutant of that number: a seed with one to five faults; gzipped now and then, faults included.

    Parameters
    ----------
    number : int
    seeds : sequence of bytes
        Whole files.
    tokens : sequence of bytes
        Words that mean something in the format.
    zipped : bool
        Whether the format may also come gzipped.
    """
    rng = random.Random(number)
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        content = rng.choice(MUTATORS)(rng, content, tokens)[:_MOST_BYTES]
    if not zipped or rng.random() > 0.05:
        return bytes(content)
    packed = bytearray(gzip.compress(content, 1, mtime=0))
    return bytes(rng.choice((_flip_bits, _cut_off, _as_it_is))(rng, packed, tokens))


def _as_it_is(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    return content


def _flip_bits(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    for _ in range(rng.choice((1, 1, 4, 32))):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def _set_bytes(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    """A few bytes in a row become extreme ones, as lengths and counts in binary files would."""
    start = rng.randrange(len(content) + 1)
    for place in range(start, min(len(content), start + rng.choice((1, 2, 4, 8)))):
        content[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return content


def _cut_off(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    return content[: rng.randrange(len(content) + 1)]


def _cut_out(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    start, stop = _piece(rng, content)
    return content[:start] + content[stop:]


def _repeat(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    start, stop = _piece(rng, content)
    return content[:stop] + content[start:stop] * rng.choice((1, 1, 2, 50)) + content[stop:]


def _move(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    start, stop = _piece(rng, content)
    rest = content[:start] + content[stop:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + content[start:stop] + rest[place:]


def _insert_oddity(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    return _insert(rng, content, rng.choice(_ODDITIES))


def _insert_token(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    return _insert(rng, content, rng.choice(tokens) if tokens else b"")


def _swap_token(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    """One of the format's words in the place of another."""
    there = [token for token in tokens if token in content]
    if not there:
        return content
    token = rng.choice(there)
    places = [match.start() for match in re.finditer(re.escape(token), content)]
    place = rng.choice(places)
    return content[:place] + rng.choice(tokens) + content[place + len(token) :]


def _swap_number(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(_NUMBERS) + content[match.end() :]


def _swap_lines(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    lines = content.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return bytearray(b"\n").join(lines)


def _put_first(rng: random.Random, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    return bytearray(rng.choice(_ODDITIES)) + content


def _insert(rng: random.Random, content: bytearray, what: bytes) -> bytearray:
    place = rng.randrange(len(content) + 1)
    return content[:place] + what + content[place:]


def _piece(rng: random.Random, content: bytearray) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    length = rng.choice((1, 8, 64, 1024))
    return start, min(len(content), start + rng.randrange(1, length + 1))


MUTATORS: tuple[Mutator, ...] = (
    *(_flip_bits, _set_bytes, _cut_off, _cut_out, _repeat, _move, _insert_oddity, _insert_token),
    *(_swap_token, _swap_number, _swap_number, _swap_lines, _put_first),
)
