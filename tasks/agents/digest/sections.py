"""Which parts of a document are about its subject, and which about its making."""

import re
from collections.abc import Iterable, Iterator, Sequence

from holdfast.tasks.agents.digest.blocks import READABLE, Block, BlockKind

_POOR = re.compile(
    r"\bchange(?:s|log)\b|\bhistory\b|\breleases?\b|^news\b|what'?s new|licen[sc]|copyright|"
    r"\bauthors?\b|\bcredits?\b|contribut|sponsor|acknowledg|\bthanks\b|^install|\binstallation\b|"
    r"^references$|bibliography|^(?:\w+ )?links$|^support$|(?:commercial|professional|"
    r"enterprise) support|\bget(?:ting)? (?:help|support)|badges|\bbugs?\b|^(?:known )?issues|"
    r"mailing list|^community|tidelift|funding|^requirements?$|^prerequisites|\bdevelopment\b|"
    r"^(?:running )?(?:the )?tests?(?:ing)?$|code of conduct|^contact|\bdownloads?\b|^(?:project |"
    r"build |current )?status|\bdonat|backers|^upgrad|^see also|^related|footnotes?|^citation|"
    r"^citing|warranty|\blegal\b|disclaimer|^\W*v?\d+\.\d+\.\d|^\W*v\d|^\W*version \d|"
    r"\d{4}-\d\d-\d\d|appendix|end of terms|unreleased|^to-?do\b",
    re.IGNORECASE,
)


def by_worth(blocks: Sequence[Block]) -> Iterator[tuple[Block, bool]]:
    """Yield each readable block and whether it stands under a heading like `Changes` or `License`.

    The heading of the whole document is not counted: all of it stands under that.
    """
    top = _document_heading(blocks)
    headings: dict[int, str] = {}
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            headings = {level: text for level, text in headings.items() if level < block.level}
            headings[block.level] = "" if block is top else block.text()
        elif block.kind in READABLE:
            yield block, any(_POOR.search(text) for text in headings.values())


def title_heading(blocks: Sequence[Block]) -> Block | None:
    """Return the heading that names the document: the only one of its rank, or one above all text."""
    top = _document_heading(blocks)
    if top is not None:
        return top
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            return None if _POOR.search(block.text()) else block
        if block.kind is BlockKind.PROSE:
            return None
    return None


def _document_heading(blocks: Iterable[Block]) -> Block | None:
    headings = [block for block in blocks if block.kind is BlockKind.HEADING]
    top = min((block.level for block in headings), default=0)
    highest = [block for block in headings if block.level == top]
    return highest[0] if len(highest) == 1 and highest[0] is headings[0] else None
