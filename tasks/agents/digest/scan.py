"""Finding the documents of a folder, and naming every one that cannot be read.

Files are read only as far as it takes to decide: the size tells the huge ones,
the first bytes the binary ones. Nothing outside the folder is ever opened.
"""

import hashlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast.tasks.agents.digest.document import (
    DocumentRef,
    Kind,
    NamedText,
    Scan,
    Skipped,
    SkipReason,
    UnreadableDocument,
)
from holdfast.tasks.agents.digest.portable import NO_READER, has_pdf_reader

MAX_BYTES = 10 * 1024 * 1024
"""Larger documents are named, not read."""

KINDS = {
    ".txt": Kind.TEXT,
    ".md": Kind.MARKDOWN,
    ".markdown": Kind.MARKDOWN,
    ".rst": Kind.RESTRUCTUREDTEXT,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".py": Kind.PYTHON,
    ".pdf": Kind.PDF,
}
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "CVS", "venv"})
"""Beside hidden folders, virtual environments (they hold `pyvenv.cfg`) and package metadata."""
MOST_OTHERS = 50
"""So many files of other kinds are named; the rest is counted."""

_HEAD_BYTES = 8192
_PDF_MARK = b"%PDF-"
_WIDE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte-order marks, the longer ones first."""
_METADATA_SUFFIXES = (".egg-info", ".dist-info")


def scan(folder: Path) -> Scan:
    """Return what the folder holds, sorted by path.

    NotADirectoryError when it is no folder. Hidden files, caches and virtual
    environments are passed over without a word; a link is followed only to a
    file inside the folder. A folder inside that cannot be entered is named as
    skipped, and loses nothing else.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; name one that holds documents")
    root = folder.resolve()
    documents: list[DocumentRef] = []
    skipped: list[Skipped] = []
    others: list[str] = []
    for found in _walk(root, skipped):
        if found.kind is None:
            others.append(_shown(found.path))
            continue
        try:
            documents.append(examine(found.path, found.kind, _read_inside(root, found)))
        except UnreadableDocument as error:
            skipped.append(error.skipped)
    return Scan(
        documents=tuple(sorted(documents, key=lambda each: each.path)),
        skipped=tuple(sorted(skipped, key=lambda each: each.path)),
        other_files=len(others),
        other_names=tuple(sorted(others)[:MOST_OTHERS]),
    )


def scan_texts(texts: Iterable[NamedText]) -> Scan:
    """Return documents that are held in memory as if they were files of these names."""
    documents: list[DocumentRef] = []
    skipped: list[Skipped] = []
    others: list[str] = []
    for name, text in texts:
        kind = kind_of(name)
        if kind is None:
            others.append(_shown(name))
            continue
        try:
            documents.append(examine(name, kind, text.encode(errors="replace")))
        except UnreadableDocument as error:
            skipped.append(error.skipped)
    return Scan(
        documents=tuple(documents),
        skipped=tuple(skipped),
        other_files=len(others),
        other_names=tuple(sorted(others)[:MOST_OTHERS]),
    )


def read_document(folder: Path, document: DocumentRef) -> bytes:
    """Return the content that the scan saw; UnreadableDocument when it is gone or has changed since."""
    root = folder.resolve()
    data = _read_inside(root, _Found(root / document.path, document.path, document.kind))
    if hashlib.sha256(data).hexdigest() != document.sha256:
        raise _refusal(
            document.path, SkipReason.CHANGED, "the file changed after the scan; run again to digest it"
        )
    return data


def kind_of(name: str) -> Kind | None:
    """Return how a file of this name is read, None when it is not."""
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122 - a name, perhaps of no file
    return Kind.TEXT if os.path.basename(stem) == "readme" and not suffix else KINDS.get(suffix)  # noqa: PTH119 - as above


def examine(path: str, kind: Kind, data: bytes) -> DocumentRef:
    """Judge content; UnreadableDocument names what is wrong with it."""
    if not data.strip():
        raise _refusal(
            path, SkipReason.EMPTY, "the file holds nothing but blanks" if data else "the file is empty"
        )
    if len(data) > MAX_BYTES:
        raise _too_large(path, len(data))
    if kind is Kind.PDF:
        _examine_pdf(path, data)
    else:
        _examine_text(path, data)
    return DocumentRef(path=path, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), kind=kind)


class _Found(NamedTuple):
    location: Path
    path: str
    kind: Kind | None


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[_Found]:
    def unreadable(error: OSError) -> None:
        path = _shown(os.path.relpath(error.filename or root, root))
        skipped.append(Skipped(path=f"{path}/", reason=SkipReason.UNREADABLE, detail=_reason_of(error)))

    for folder, names, files in os.walk(root, onerror=unreadable):
        here = Path(folder)
        names[:] = sorted(name for name in names if _is_entered(here / name))
        for name in sorted(files):
            if name.startswith("."):
                continue
            location = here / name
            path, kind = location.relative_to(root).as_posix(), kind_of(name)
            if kind is not None and _shown(path) != path:
                detail = "the name holds control characters or is not UTF-8; rename the file"
                skipped.append(Skipped(path=_shown(path), reason=SkipReason.BAD_NAME, detail=detail))
            else:
                yield _Found(location, path, kind)


def _is_entered(folder: Path) -> bool:
    name = folder.name
    if name.startswith(".") or name in SKIPPED_FOLDERS or name.endswith(_METADATA_SUFFIXES):
        return False
    try:
        return not folder.is_symlink() and not (folder / "pyvenv.cfg").exists()
    except OSError:  # the walk meets the same error and names the folder
        return True


def _read_inside(root: Path, found: _Found) -> bytes:
    """Read a regular file below the root, up to the limit; the kind of file is judged after opening it."""
    try:
        if not found.location.resolve(strict=True).is_relative_to(root):
            raise _refusal(
                found.path, SkipReason.OUTSIDE_FOLDER, "a link to a file outside the folder; not followed"
            )
        handle = os.open(found.location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refusal(found.path, SkipReason.SPECIAL_FILE, "not a regular file; not read")
            if status.st_size > MAX_BYTES:
                raise _too_large(found.path, status.st_size)
            head = file.read(_HEAD_BYTES)
            if found.kind is not Kind.PDF:
                _refuse_binary(found.path, head)
            return head + file.read(MAX_BYTES + 1 - len(head))
    except OSError as error:
        raise _refusal(found.path, SkipReason.UNREADABLE, _reason_of(error)) from error


def _examine_pdf(path: str, data: bytes) -> None:
    if _PDF_MARK not in data[:1024]:
        raise _refusal(path, SkipReason.UNREADABLE, "the file is named like a PDF and is none")
    if not has_pdf_reader():
        raise _refusal(path, SkipReason.NO_PDF_READER, NO_READER)


def _examine_text(path: str, data: bytes) -> None:
    _refuse_binary(path, data[:_HEAD_BYTES])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = f"byte {error.start}, line {line}"
        detail = f"not UTF-8 ({place}); {_conversion(path, 'WINDOWS-1252')}, if that is its encoding"
        raise _refusal(path, SkipReason.NOT_UTF8, detail) from error
    if "\0" in text:
        raise _refusal(path, SkipReason.BINARY, "the file holds NUL bytes; it is no text")


def _refuse_binary(path: str, head: bytes) -> None:
    encoding = next((name for mark, name in _WIDE_MARKS.items() if head.startswith(mark)), None)
    if encoding is not None:
        detail = f"the file is {encoding}; {_conversion(path, encoding)}"
        raise _refusal(path, SkipReason.NOT_UTF8, detail)
    if b"\0" in head:
        raise _refusal(path, SkipReason.BINARY, "the file holds NUL bytes; it is no text")


def _conversion(path: str, encoding: str) -> str:
    """Return the command that makes a readable twin of a file."""
    stem, suffix = os.path.splitext(path)  # noqa: PTH122 - a relative path, for a shell
    source, target = shlex.quote(path), shlex.quote(f"{stem}.utf8{suffix}")
    return f"convert it: `iconv -f {encoding} -t UTF-8 {source} > {target}`"


def _too_large(path: str, size: int) -> UnreadableDocument:
    detail = f"{size / 1024 / 1024:.1f} MB; the limit is {MAX_BYTES // 1024 // 1024} MB: split it"
    return _refusal(path, SkipReason.TOO_LARGE, detail)


def _refusal(path: str, reason: SkipReason, detail: str) -> UnreadableDocument:
    return UnreadableDocument(Skipped(path=path, reason=reason, detail=detail))


def _reason_of(error: OSError) -> str:
    return f"{(error.strerror or type(error).__name__).lower()}; check that the file is there and may be read"


def _shown(path: str) -> str:
    """A path that is safe to print and to encode."""
    text = path.encode(errors="backslashreplace").decode()
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)
