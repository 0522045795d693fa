"""The report as Markdown: one section per document, each sentence with its source."""

from collections.abc import Iterator, Sequence
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


def build_report(report: DigestReport) -> str:
    """Return the whole report; what the documents say cannot change its structure."""
    parts = [
        *_head(report),
        *_themes(report.themes),
        *_documents(report),
        *_skipped(report.skipped),
        *_others(report),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def source_of(digest: DocumentDigest, sentence: KeySentence) -> str:
    """Return where a sentence stands: `path:first-last`, or path and page for a PDF."""
    first, last = sentence.first_line, sentence.last_line
    span = str(first) if first == last else f"{first}-{last}"
    return f"{digest.path} page {span}" if digest.kind == Kind.PDF else f"{digest.path}:{span}"


def _head(report: DigestReport) -> Iterator[str]:
    words = sum(digest.words for digest in report.documents)
    copies = sum(len(paths) for paths in report.copies.values())
    yield f"# Digest of {code(report.folder)}"
    yield ""
    yield f"- {_count(len(report.documents), 'document')}, {words:,} words of prose" + (
        f", {_count(copies, 'copy', 'copies')} of the same content" if copies else ""
    )
    others = _count(report.other_files, "file")
    yield f"- {_count(len(report.skipped), 'file')} skipped, {others} of other kinds"
    made_at = report.made_at.isoformat(timespec="seconds")
    yield f"- made {made_at} in {report.seconds:.1f} s, by the rung {_rungs(report.documents)}"
    if report.reused:
        total = len(report.documents)
        yield f"- {report.reused} of {total} documents were already done and were not worked on again"
    yield ""


def _rungs(documents: Sequence[DocumentDigest]) -> str:
    return ", ".join(code(rung) for rung in sorted({digest.rung for digest in documents} or {"extractive"}))


def _themes(themes: Sequence[Theme]) -> Iterator[str]:
    yield "## Themes"
    yield ""
    if not themes:
        yield "No term is shared by several documents."
    for theme in themes:
        paths = ", ".join(code(path) for path in theme.documents[:_SHOWN_PATHS])
        more = len(theme.documents) - _SHOWN_PATHS
        rest = f" and {more} more" if more > 0 else ""
        yield f"- **{escaped(theme.title)}** ({_count(len(theme.documents), 'document')}): {paths}{rest}"
    yield ""


def _documents(report: DigestReport) -> Iterator[str]:
    yield "## Documents"
    yield ""
    if not report.documents:
        yield "None."
        yield ""
    for digest in report.documents:
        yield from _section(digest, report.copies.get(digest.path, ()))


def _section(digest: DocumentDigest, copies: Sequence[str]) -> Iterator[str]:
    yield f"### {escaped(digest.title) or code(PurePosixPath(digest.path).name)}"
    yield ""
    yield f"{code(digest.path)}: {digest.words:,} words, rung {code(digest.rung)}, {digest.seconds:.3f} s"
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
        yield f"Note: {escaped(digest.note)}"
        yield ""
    if copies:
        yield "The same content stands in " + ", ".join(code(path) for path in copies)
        yield ""


def _skipped(skipped: Sequence[Skipped]) -> Iterator[str]:
    if not skipped:
        return
    yield "## Skipped"
    yield ""
    for each in skipped:
        yield f"- {code(each.path)} ({each.reason.value.replace('_', ' ')}): {escaped(each.detail)}"
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
