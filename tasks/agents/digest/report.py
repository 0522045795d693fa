"""The report as Markdown: an overview, then one section per document, each sentence with its source.

Verbatim means: the words and signs of a quotation stand at the lines that are
cited below it, in the same order and with nothing between them but the inline
markup that `inline.without_markup` takes away (marks of emphasis, targets of
links and the like) and blanks. `verify.check_digest` proves exactly that. What
Markdown would take for markup of its own is escaped, so a reader of the report
sees the sentence as a reader of the document does.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import PurePosixPath

from holdfast.tasks.agents.digest.document import (
    DigestReport,
    DocumentDigest,
    KeySentence,
    Kind,
    Skipped,
    Theme,
)
from holdfast.tasks.agents.digest.escaping import code, escaped

_SHOWN_PATHS = 12
_NAMED = 3
_WIDTH = 118
_NO_ANCHOR = re.compile(r"[^\w\- ]")
_KINDS = {
    Kind.TEXT: "plain text",
    Kind.MARKDOWN: "Markdown",
    Kind.RESTRUCTUREDTEXT: "reStructuredText",
    Kind.HTML: "HTML",
    Kind.PYTHON: "Python",
    Kind.PDF: "PDF",
}


def build_report(report: DigestReport) -> str:
    """Return the whole report; what the documents say cannot change its structure."""
    headings = _headings(report.documents)
    links = _links(headings)
    parts = [
        *_head(report, links),
        *_themes(report.themes, links),
        *_contents(report.documents, links),
        *_documents(report, headings),
        *_skipped(report.skipped),
        *_others(report),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def source_of(digest: DocumentDigest, sentence: KeySentence) -> str:
    """Return where a sentence stands: `path:first-last`, or path and page for a PDF."""
    first, last = sentence.first_line, sentence.last_line
    span = str(first) if first == last else f"{first}-{last}"
    return f"{digest.path} page {span}" if digest.kind == Kind.PDF else f"{digest.path}:{span}"


def _head(report: DigestReport, links: Mapping[str, str]) -> Iterator[str]:
    yield f"# Digest of {code(report.folder)}"
    yield ""
    yield f"- {_what_is_here(report.documents)}"
    if report.themes:
        subjects = [
            f"**{escaped(theme.title)}** ({len(theme.documents)})" for theme in report.themes[:_NAMED]
        ]
        yield f"- what they share: {', '.join(subjects)}; see [themes](#themes)"
    if len(report.documents) > _NAMED:
        longest = sorted(report.documents, key=lambda each: (-each.words, each.path))[:_NAMED]
        named = ", ".join(f"{links[each.path]} ({each.words:,} words)" for each in longest)
        yield f"- the longest: {named}; see [contents](#contents)"
    yield f"- {_what_was_left_out(report)}"
    if report.reused:
        total = len(report.documents)
        yield f"- {report.reused} of {total} documents were already done and were not worked on again"
    yield (
        f"- by the rung {_rungs(report.documents)}: each quotation is a sentence of the document itself, "
        "without its inline markup, at the lines named below it"
    )
    made_at = report.made_at.astimezone(UTC)
    yield f"- made on {made_at:%Y-%m-%d} at {made_at:%H:%M:%S} UTC in {report.seconds:.1f} s"
    yield ""


def _what_is_here(documents: Sequence[DocumentDigest]) -> str:
    words = sum(digest.words for digest in documents)
    text = f"{_count(len(documents), 'document')}, {words:,} words of prose"
    if not documents:
        return text
    kinds = Counter(_KINDS[digest.kind] for digest in documents).most_common()
    text += ": " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds, key=_by_number))
    folders = sorted(Counter(_folder_of(digest.path) for digest in documents).items(), key=_by_number)
    if len(folders) > 1:
        shown = ", ".join(f"{code(folder)} ({number:,})" for folder, number in folders[:_NAMED])
        text += (
            f"; in {_count(len(folders), 'folder')}{', most in' if len(folders) > _NAMED else ':'} {shown}"
        )
    return text


def _what_was_left_out(report: DigestReport) -> str:
    copies = sum(len(paths) for paths in report.copies.values())
    skipped, others = _count(len(report.skipped), "file"), _count(report.other_files, "file")
    parts = [
        f"[{skipped} skipped](#skipped)" if report.skipped else f"{skipped} skipped",
        f"[{others} of other kinds](#files-of-other-kinds)"
        if report.other_files
        else f"{others} of other kinds",
    ]
    parts += [f"{_count(copies, 'copy', 'copies')} of the same content"] if copies else []
    return ", ".join(parts)


def _by_number(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _folder_of(path: str) -> str:
    folder = PurePosixPath(path).parent.as_posix()
    return "./" if folder == "." else f"{folder}/"


def _rungs(documents: Sequence[DocumentDigest]) -> str:
    return ", ".join(code(rung) for rung in sorted({digest.rung for digest in documents} or {"extractive"}))


def _themes(themes: Sequence[Theme], links: Mapping[str, str]) -> Iterator[str]:
    yield "## Themes"
    yield ""
    if not themes:
        yield "No term is shared by several documents."
    for theme in themes:
        shown = [links[path] for path in theme.documents[:_SHOWN_PATHS]]
        more = len(theme.documents) - _SHOWN_PATHS
        rest = [f"and {more} more"] if more > 0 else []
        start = f"- **{escaped(theme.title)}** ({_count(len(theme.documents), 'document')}):"
        yield from _wrapped(start, [*shown, *rest])
    yield ""


def _contents(documents: Sequence[DocumentDigest], links: Mapping[str, str]) -> Iterator[str]:
    """Name every document once, by folder."""
    yield "## Contents"
    yield ""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for digest in documents:
        folders[_folder_of(digest.path)].append(links[digest.path])
    for folder, names in sorted(folders.items()):
        yield from _wrapped(f"- {code(folder)} ({len(names):,}):", names)
    yield "" if folders else "None.\n"


def _wrapped(start: str, items: Sequence[str]) -> Iterator[str]:
    """Yield one list item as lines that are not too long to read in an editor."""
    line = start
    for place, item in enumerate(items, start=1):
        piece = item if place == len(items) else f"{item},"
        if len(line) + 1 + len(piece) > _WIDTH and line.strip():
            yield line
            line = " "
        line = f"{line} {piece}"
    yield line


def _documents(report: DigestReport, headings: Mapping[str, str]) -> Iterator[str]:
    yield "## Documents"
    yield ""
    if not report.documents:
        yield "None."
        yield ""
    for digest in report.documents:
        yield f"### {headings[digest.path]}"
        yield ""
        yield from _section(digest, report.copies.get(digest.path, ()))


def _section(digest: DocumentDigest, copies: Sequence[str]) -> Iterator[str]:
    words = _count(digest.words, "word")
    took = _duration(digest.seconds)
    yield f"{code(digest.path)}: {words}, read in {took} (rung {code(digest.rung)})"
    yield ""
    for sentence in digest.sentences:
        yield f"> {escaped(sentence.text)}"
        yield ">"
        yield f"> {code(source_of(digest, sentence))}"
        yield ""
    if digest.phrases:
        yield "Key phrases: " + ", ".join(escaped(phrase) for phrase in digest.phrases)
        yield ""
    if digest.note:
        yield escaped(digest.note[:1].upper() + digest.note[1:]) + "."
        yield ""
    if copies:
        yield "The same content stands in " + ", ".join(code(path) for path in copies)
        yield ""


def _duration(seconds: float) -> str:
    if seconds < 0.001:  # noqa: PLR2004 - what people call no time
        return "less than 1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _headings(documents: Sequence[DocumentDigest]) -> dict[str, str]:
    """Return the heading of each document by its path, with a number that makes it the only one."""
    return {
        digest.path: f"{number}. {escaped(digest.title) or code(PurePosixPath(digest.path).name)}"
        for number, digest in enumerate(documents, start=1)
    }


def _links(headings: Mapping[str, str]) -> dict[str, str]:
    """Return a link to the section of each document, under the name of its file."""
    return {
        path: f"[{escaped(PurePosixPath(path).name)}](#{anchor_of(heading)})"
        for path, heading in headings.items()
    }


def anchor_of(heading: str) -> str:
    """Return the anchor that the usual readers of Markdown give a heading."""
    return _NO_ANCHOR.sub("", heading).strip().lower().replace(" ", "-")


def _skipped(skipped: Sequence[Skipped]) -> Iterator[str]:
    if not skipped:
        return
    yield "## Skipped"
    yield ""
    for each in skipped:
        reason = each.reason.value.replace("_", " ").replace("utf8", "UTF-8")
        yield f"- {code(each.path)} {escaped(f'({reason}): {each.detail}')}"
    yield ""


def _others(report: DigestReport) -> Iterator[str]:
    if not report.other_files:
        return
    yield "## Files of other kinds"
    yield ""
    yield "Not read: " + _listed(report.other_names, report.other_files)
    yield ""


def _listed(paths: Sequence[str], total: int) -> str:
    more = total - len(paths)
    return ", ".join(map(code, paths)) + (f" and {more:,} more" if more else "")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
