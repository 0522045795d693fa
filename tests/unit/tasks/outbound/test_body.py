"""A body is read up to its limit."""

import gzip
import itertools
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.tasks.outbound.body import BoundedBody


def read(data: bytes, *, largest: int, coding: str = "", step: int = 100) -> tuple[bytes, bool]:
    """Take it in chunks, as long as more is wanted."""
    body = BoundedBody(largest, coding)
    for at in range(0, len(data), step):
        if not body.take(data[at : at + step]):
            break
    return body.end(), body.is_truncated


@given(st.binary(max_size=2_000), st.integers(0, 2_000), st.integers(1, 500), st.booleans())
def test_it_is_the_beginning_of_what_was_sent(data, largest, step, is_packed):
    """However it is cut; and nothing is missing unless it says so."""
    wire = gzip.compress(data) if is_packed else data
    got, is_truncated = read(wire, largest=largest, coding="gzip" if is_packed else "", step=step)
    assert data.startswith(got)
    assert len(got) <= largest
    assert is_truncated or got == data


def test_a_body_of_exactly_the_limit_is_whole():
    """One byte more is not."""
    assert (b"abc", False) == read(b"abc", largest=3)
    assert (b"abc", True) == read(b"abcd", largest=3)
    assert (b"", False) == read(b"", largest=0)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP ", "deflate"])
def test_codings_that_are_read(coding):
    """Though none was asked for."""
    pack = zlib.compress if coding == "deflate" else gzip.compress
    assert (b"hello", False) == read(pack(b"hello"), largest=100, coding=coding, step=3)


def test_a_bomb_takes_no_more_memory_than_the_limit():
    """Half a megabyte that would be half a gigabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(512)) + packer.flush()
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        got, is_truncated = read(bomb, largest=1_000_000, coding="gzip", step=65_536)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert (1_000_000, True) == (len(got), is_truncated)


def test_what_gives_nothing_is_not_read_for_ever():
    """Compressed data may be endless and empty; what came over the wire is counted."""
    empty_block = b"\x00\x00\x00\xff\xff"  # RFC 1951, 3.2.4
    nothing = gzip.compress(b"")[:10] + empty_block * 10_000
    body = BoundedBody(1_000, "gzip")
    chunks = (nothing[at : at + 100] for at in range(0, len(nothing), 100))
    assert 10 == sum(1 for _ in itertools.takewhile(body.take, chunks))
    assert body.is_truncated


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "nonsense"])
def test_a_coding_that_is_not_known_leaves_the_body_out(coding):
    """It says so, and the rest of the answer stands."""
    assert (b"", True) == read(b"data", largest=100, coding=coding)


HELLO = gzip.compress(b"hello", mtime=0)
"""Without the time: it is in the test's name, and two processes that collect the tests would disagree."""


@pytest.mark.parametrize("data", [b"no gzip", HELLO[:-4], HELLO + b"more"])
def test_a_broken_body_is_truncated(data):
    """Up to where it could be read."""
    got, is_truncated = read(data, largest=100, coding="gzip")
    assert is_truncated
    assert b"hello".startswith(got)
