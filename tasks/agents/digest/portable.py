"""PDF as blocks, where the optional library is installed; a page counts as a line."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence

from holdfast.tasks.agents.digest.blocks import Block, Reading
from holdfast.tasks.agents.digest.lines import SourceLine, numbered
from holdfast.tasks.agents.digest.plain import plain_blocks

_PAGES_MODULE = "holdfast.tasks.agents.digest.pdf_pages"
MAX_PAGES = 500
"""Of a longer PDF the first pages are read."""

NO_READER = "reading PDF needs a library: install holdfast[pdf]"
_SHORT = 0.75


class NoPdfReader(ValueError):
    """The extra `pdf` is not installed here; elsewhere it may be."""


def has_pdf_reader() -> bool:
    """Whether the extra `pdf` is installed."""
    return importlib.util.find_spec("pypdf") is not None


def page_texts(data: bytes) -> list[str]:
    """Return the text of each page; ValueError says why a file cannot be read."""
    if not has_pdf_reader():
        raise NoPdfReader(NO_READER)
    # Loaded with the first PDF: it costs 12 MB, and most workers never see one.
    extract: Callable[[bytes, int], list[str]] = importlib.import_module(_PAGES_MODULE).extract_pages
    return extract(data, MAX_PAGES)


def read_portable(pages: Sequence[str]) -> Reading:
    """Read the texts of a PDF's pages; ValueError when there is none."""
    if not any(page.strip() for page in pages):
        raise ValueError("the PDF holds no text (scanned pages need text recognition first)")
    blocks = [block for number, page in enumerate(pages, start=1) for block in _page_blocks(number, page)]
    note = f"only the first {len(pages)} pages were read" if len(pages) == MAX_PAGES else ""
    return Reading("", tuple(blocks), note)


def _page_blocks(number: int, page: str) -> Iterator[Block]:
    """Cut a page into paragraphs: a PDF has no blank lines, but the last line of a paragraph is short."""
    lines = numbered(page)
    lengths = sorted(len(line.text) for line in lines)
    full = lengths[len(lengths) * 4 // 5]
    spaced: list[SourceLine] = []
    for line in lines:
        spaced.append(SourceLine(number, line.text))
        if len(line.text) < _SHORT * full:
            spaced.append(SourceLine(number, ""))
    return plain_blocks(spaced)
