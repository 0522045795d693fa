"""The text of PDF pages through pypdf; importing this module fails where the extra `pdf` is not installed."""

import logging
from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import PyPdfError

_DEFECTS = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    OSError,
)
"""What pypdf lets through when a file is malformed, besides its own errors."""

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs a line for every oddity of a file


def extract_pages(data: bytes, most: int) -> list[str]:
    """Return the text of each page, up to `most`; ValueError says why a file cannot be read."""
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it is encrypted; save it without a password")
        return [page.extract_text() for page in reader.pages[:most]]
    except (PyPdfError, *_DEFECTS) as error:
        raise ValueError(f"the PDF cannot be read: {str(error) or type(error).__name__}") from error
