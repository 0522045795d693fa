"""Compressed bodies, bounded: kombu decompresses a message before anybody has looked at it.

Two megabytes of zeros, well packed, are two gigabytes. So the decoders of this
process stop at a limit; a body beyond it cannot be read, and is quarantined as
it came. Compressions without a decoder here are refused in the same way.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kombu import compression

_MAKERS: Final[dict[str, Callable[[], Any]]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}


def bound_decompression(largest_bytes: int) -> None:
    """Let kombu decompress no body of this process to more than so many bytes."""
    get_encoder: Any = compression.get_encoder  # the stubs forget the second half of its answer
    for kind in compression.encoders():
        encode, _ = get_encoder(kind)
        maker = _MAKERS.get(kind)
        decode = _refuse if maker is None else partial(_decode, maker, largest_bytes)
        compression.register(encode, decode, kind)


def _decode(make: Callable[[], Any], largest_bytes: int, body: bytes | str) -> bytes:
    decoder = make()
    data = body.encode("utf-8") if isinstance(body, str) else bytes(body)
    # One byte more than allowed, so that the limit itself is.
    clear: bytes = decoder.decompress(data, largest_bytes + 1)
    if len(clear) > largest_bytes:
        raise ValueError(f"more than {largest_bytes} bytes when decompressed")
    if not decoder.eof:
        raise ValueError("the compressed body is cut short")
    return clear


def _refuse(body: bytes | str) -> bytes:
    raise ValueError(f"{len(body)} bytes in a compression that is not read here")
