"""Compressed bodies are read up to a limit."""

import bz2
import lzma
import zlib

import pytest
from kombu import compression
from kombu.message import Message

from holdfast.workers.decompression import bound_decompression

LIMIT = 10_000
PACKERS = {"gzip": zlib.compress, "bzip2": bz2.compress, "lzma": lzma.compress}


@pytest.fixture(autouse=True)
def _bounded(monkeypatch):
    """The decoders are the process's: they are given back."""
    monkeypatch.setattr(compression, "_decoders", dict(compression._decoders))  # noqa: SLF001 -- kombu has no other way
    bound_decompression(LIMIT)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_within_the_limit(name, size):
    """It is read, also where it came as text, under each of kombu's names."""
    assert b"x" * size == compression.decompress(PACKERS[name](b"x" * size), name)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("size", [LIMIT + 1, 50_000_000])
def test_a_bomb(name, size):
    """It is refused before it has been unpacked."""
    with pytest.raises(ValueError, match="10000"):
        compression.decompress(PACKERS[name](b"0" * size), name)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("body", [b"", b"nonsense", "ü", PACKERS["gzip"](b"whole")[:-3]])
def test_a_body_that_is_not_compressed(name, body):
    """It is refused, whatever it is."""
    with pytest.raises((ValueError, OSError, EOFError, zlib.error, lzma.LZMAError)):
        compression.decompress(body, name)


def test_a_compression_that_we_cannot_bound(monkeypatch):
    """A decoder that some other package brought is not used at all."""
    compression.register(bytes, bytes, "application/x-other", aliases=["other"])
    bound_decompression(LIMIT)
    with pytest.raises(ValueError, match="not read here"):
        compression.decompress(b"x", "other")


def test_a_message_with_a_bomb_is_one_that_cannot_be_read():
    """It reaches its consumer with an error, and with the bytes as they came."""
    bomb = zlib.compress(b"0" * 50_000_000)
    message = Message(body=bomb, headers={"compression": "gzip"})
    assert (1, bomb) == (len(message.errors), message.body)
