"""The records of a digest: documents, key sentences, themes, report."""

from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from holdfast.jobs.errors import PlatformError

SUMMARISER_VERSION = "2"
"""Changes whenever the same bytes would give another digest, so that old digests are not reused."""


class Kind(StrEnum):
    """How the bytes of a document are to be read."""

    TEXT = "text"
    MARKDOWN = "markdown"
    RESTRUCTUREDTEXT = "restructuredtext"
    HTML = "html"
    PYTHON = "python"
    PDF = "pdf"


class SkipReason(StrEnum):
    """Why a document could not be digested."""

    EMPTY = "empty"
    BINARY = "binary"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    UNREADABLE = "unreadable"
    SPECIAL_FILE = "special_file"
    OUTSIDE_FOLDER = "outside_folder"
    NO_PDF_READER = "no_pdf_reader"
    NO_READABLE_TEXT = "no_readable_text"
    BAD_NAME = "bad_name"
    CHANGED = "changed"
    NOT_DONE = "not_done"


class Record(BaseModel):
    """A frozen value that survives a trip through JSON unchanged."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DocumentRef(Record):
    """One document: `path` is relative to the folder and always uses forward slashes."""

    path: str
    sha256: str
    size_bytes: int
    kind: Kind

    @property
    def key(self) -> str:
        """Name the work, not the file: equal for equal content read in the same way."""
        return f"digest:{SUMMARISER_VERSION}:{self.kind.value}:{self.sha256}"


class Skipped(Record):
    """A document that was found and could not be digested; `detail` says what to do about it."""

    path: str
    reason: SkipReason
    detail: str


class Scan(Record):
    """What a folder holds: documents and skipped ones by path, and how many files of other kinds.

    `other_names` are the first of the files of other kinds.
    """

    documents: tuple[DocumentRef, ...]
    skipped: tuple[Skipped, ...]
    other_files: int = 0
    other_names: tuple[str, ...] = ()

    def units(self) -> tuple[DocumentRef, ...]:
        """Return one document per distinct content: the pieces of work."""
        first = {document.key: document for document in reversed(self.documents)}
        return tuple(document for document in self.documents if first[document.key] is document)


class KeySentence(Record):
    """A sentence that stands verbatim on lines `first_line` to `last_line` (pages, in a PDF), from 1.

    `source` is what stands there; `text` is the same without inline markup
    (see `inline`). `score` compares sentences of the same document only.
    """

    text: str
    source: str
    first_line: int
    last_line: int
    score: float


class DocumentDigest(Record):
    """What one document says: three to five of its own sentences, in its own order.

    `title` is empty when the document names none. `note` is empty when there is nothing to explain.
    """

    path: str
    sha256: str
    kind: Kind
    title: str
    words: int
    sentences: tuple[KeySentence, ...]
    phrases: tuple[str, ...]
    rung: Literal["extractive"] = "extractive"
    seconds: float
    note: str = ""

    def at(self, path: str) -> "DocumentDigest":
        """Return the same digest for a copy of the content at another path."""
        return self.model_copy(update={"path": path})


class Theme(Record):
    """Terms that several documents share; `documents` are their paths."""

    title: str
    terms: tuple[str, ...]
    documents: tuple[str, ...]


class DigestReport(Record):
    """Everything that the report says. `reused` counts digests taken from a former run."""

    folder: str
    made_at: datetime
    seconds: float
    documents: tuple[DocumentDigest, ...]
    copies: dict[str, tuple[str, ...]]
    skipped: tuple[Skipped, ...]
    themes: tuple[Theme, ...]
    reused: int = 0
    other_files: int = 0
    other_names: tuple[str, ...] = ()


class NamedText(NamedTuple):
    """A document in memory: a file name with its suffix, and its text."""

    name: str
    text: str


class UnreadableDocument(PlatformError):
    """The document cannot be digested."""

    code = "unreadable_document"

    def __init__(self, skipped: Skipped) -> None:
        """Carry the record that the report needs; trying again changes nothing."""
        self.skipped = skipped
        super().__init__(detail=skipped.detail)
