"""The docstrings of Python code: modules, classes and functions, private ones left out.

The tokens of the file are read, not its syntax tree: a docstring keeps its
exact place and spelling, and code for another version of Python can be read.
"""

import io
import re
import tokenize
from collections.abc import Iterator, Sequence

from holdfast.tasks.agents.digest.blocks import Block, BlockKind, Reading
from holdfast.tasks.agents.digest.lines import SourceLine, split_lines
from holdfast.tasks.agents.digest.restructured import Conventions, dedent, restructured_blocks, section_word
from holdfast.tasks.agents.digest.sentences import spans
from holdfast.tasks.agents.digest.titles import MAX_TITLE_CHARACTERS, plain_title
from holdfast.tasks.agents.digest.words import word_set

_SECTIONS = word_set(
    "args arguments parameters params other-parameters returns return return-value return-type rtype "
    "yields yield raises raise exceptions attributes keyword-arguments keyword-args kwargs methods "
    "warns receives see-also references inputs outputs input output options todo author authors "
    "license copyright version history"
)
_EXAMPLES = word_set("example examples usage sample-usage example-usage usage-example usage-examples")
_CONVENTIONS = Conventions(fields=_SECTIONS, examples=_EXAMPLES)
_QUOTED = re.compile(r"[rRuU]{0,2}(\"\"\"|'''|\"|')(.*)\1", re.DOTALL)
_SILENT_TOKENS = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.DEDENT})


def read_python(text: str) -> Reading:
    """Read all docstrings of a module, in the order of the file."""
    blocks: list[Block] = []
    title, note = "", ""
    try:
        for is_module, lines in _docstrings("\n".join(split_lines(text))):
            found = restructured_blocks(lines, _CONVENTIONS)
            blocks.extend(_without_sections(found))
            title = _first_sentence(found) if is_module else title
    except (tokenize.TokenError, SyntaxError) as error:
        note = f"not valid Python ({error.args[0]}): only the docstrings before that place were read"
    if not blocks and not note:
        note = "the code has no docstrings"
    return Reading(title, tuple(blocks), note)


def _docstrings(text: str) -> Iterator[tuple[bool, list[SourceLine]]]:
    """Yield each docstring: whether it is the module's, and its lines without quotes and indentation."""
    expected = is_module = at_line_start = True
    named = public = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _SILENT_TOKENS:
            continue
        if token.type == tokenize.NEWLINE:
            at_line_start = True
        elif token.type == tokenize.INDENT:
            expected = public
        else:
            if expected and token.type == tokenize.STRING:
                yield is_module, _unquoted(token)
            expected = is_module = False
            public = not token.string.startswith("_") if named else public and not at_line_start
            named = at_line_start and token.string in ("class", "def")
            at_line_start = at_line_start and token.string == "async"


def _unquoted(token: tokenize.TokenInfo) -> list[SourceLine]:
    found = _QUOTED.fullmatch(token.string)
    if found is None:
        return []
    head, *rest = [
        SourceLine(token.start[0] + index, line) for index, line in enumerate(found[2].split("\n"))
    ]
    return [SourceLine(head.number, head.text.strip().removesuffix("\\")), *dedent(rest)]


def _first_sentence(blocks: Sequence[Block]) -> str:
    """What a module calls itself, when its docstring opens with a short sentence or heading."""
    text = blocks[0].text() if blocks else ""
    if blocks and blocks[0].kind is BlockKind.HEADING:
        return plain_title(text)
    start, end = next(spans(text), (0, 0))
    return plain_title(text[start:end]).rstrip(".") if end <= MAX_TITLE_CHARACTERS else ""


def _without_sections(blocks: Sequence[Block]) -> Iterator[Block]:
    """Turn what stands under headings such as `Parameters` into fields."""
    heading = ""
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            heading = section_word(block.lines[0].text)
        yield Block(BlockKind.FIELD, block.lines) if heading in _SECTIONS else block
