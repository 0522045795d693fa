"""One run of `digest`: scan, enqueue, follow, report. No printing."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from holdfast.cli.connection import Connected
from holdfast.cli.errors import Interrupted, NotRunning
from holdfast.jobs.errors import JobNotFound, PlatformError
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.tasks.agents.digest import scan
from holdfast.tasks.agents.digest.document import DocumentDigest, DocumentRef, Scan, Skipped
from holdfast.tasks.agents.digest.jobs import (
    ReportRequest,
    ReportSummary,
    digest_document,
    digest_report,
    verdict_of,
)

LOOK_SECONDS: Final = 0.15
WORKER_LOOK_SECONDS: Final = 3.0
MOST_TRIES: Final = 20
Pause = Callable[[float], bool]
"""Waits so many seconds and tells whether somebody wants us to stop."""


class NoFolder(PlatformError):
    """The folder cannot be digested."""

    code = "no_folder"
    hint = "Name a folder that holds text, Markdown, reStructuredText, HTML, Python or PDF files."


@dataclass(slots=True)
class Piece:
    """One document's work as we see it."""

    document: DocumentRef
    job_id: JobId
    is_reused: bool
    """Whether a former run has ordered the same work."""
    state: JobState
    attempt: int = 0
    digest: DocumentDigest | None = None
    refusal: Skipped | None = None
    """Why content like this has no digest; trying again would change nothing."""
    problem: str = ""
    """Why the job failed; another run orders it anew."""

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return self.state.is_final


@dataclass(slots=True)
class DigestRun:
    """The state of a run; the steps are called in the order in which they stand here."""

    connected: Connected
    folder: Path
    output: Path
    pace_seconds: float
    started_at: datetime
    scan: Scan = field(default_factory=lambda: Scan(documents=(), skipped=()))
    pieces: list[Piece] = field(default_factory=list[Piece])
    workers: int = 1
    _workers_seen_at: float = 0.0

    @property
    def done(self) -> int:
        """How many pieces have ended."""
        return sum(piece.is_done for piece in self.pieces)

    @property
    def reused(self) -> int:
        """How many pieces a former run had done."""
        return sum(piece.is_reused and piece.state is JobState.COMPLETED for piece in self.pieces)

    @property
    def digested(self) -> int:
        """How many pieces have their digest."""
        return sum(piece.digest is not None for piece in self.pieces)

    @property
    def refused(self) -> list[Piece]:
        """The pieces whose content cannot be digested, now or later."""
        return [piece for piece in self.pieces if piece.refusal is not None]

    @property
    def failed(self) -> list[Piece]:
        """The pieces whose job failed: a second run may mend it."""
        return [
            piece for piece in self.pieces if piece.is_done and piece.digest is None and piece.refusal is None
        ]

    def look_around(self) -> None:
        """Find the documents. Raises NoFolder. An old report of ours is not read as a document."""
        require_folder(self.folder)
        found = scan(self.folder)
        output = self.output.resolve()
        root = self.folder.resolve()
        kept = tuple(each for each in found.documents if root / each.path != output)
        self.scan = found.model_copy(update={"documents": kept})

    def enqueue(self, pause: Pause) -> Iterator[None]:
        """Order one job per distinct content; gives after each. Work of former runs is found again.

        The first jobs are running while the last are ordered. Raises Interrupted.
        """
        looked_at = time.monotonic()
        for document in self.scan.units():
            self.pieces.append(self._order(document))
            if time.monotonic() - looked_at > LOOK_SECONDS:
                self._look()
                looked_at = time.monotonic()
            yield
            if pause(0.0):
                raise Interrupted(detail=f"{len(self.pieces)} documents are ordered")

    def follow(self, pause: Pause) -> Iterator[None]:
        """Look at the jobs until all have ended; gives after each look. Raises Interrupted."""
        while True:
            self._look()
            self._look_at_workers()
            yield
            if self.done == len(self.pieces):
                return
            if pause(LOOK_SECONDS):
                raise Interrupted(detail=f"{self.done} of {len(self.pieces)} documents are done")

    def report(self, pause: Pause) -> ReportSummary:
        """Have the report written. Raises Interrupted, or what failed."""
        request = ReportRequest(
            folder=str(self.folder),
            output=str(self.output.absolute()),
            scan=self.scan,
            job_ids={piece.document.key: str(piece.job_id) for piece in self.pieces},
            reused=sum(piece.is_reused and piece.digest is not None for piece in self.pieces),
            started_at=self.started_at,
        )
        handle = digest_report.options(client=self.connected.client).enqueue_sync(request)
        while not handle.status_sync().state.is_final:
            if pause(LOOK_SECONDS / 2):
                raise Interrupted(detail="the report is being written")
        return handle.result_sync()

    def _order(self, document: DocumentRef) -> Piece:
        """Order a document's work, or find it done. What ended without a digest is ordered anew."""
        key, known = document.key, JobId("")
        for _ in range(MOST_TRIES):
            handle = digest_document.options(key=key, client=self.connected.client).enqueue_sync(
                str(self.folder.resolve()), document, self.pace_seconds
            )
            if handle.created:
                return Piece(document, handle.id, is_reused=False, state=JobState.AVAILABLE)
            try:
                job = handle.status_sync()
            except JobNotFound:  # pruned: its key is remembered longer than its row
                job = None
            if job is not None and job.state not in (JobState.QUARANTINED, JobState.CANCELLED):
                piece = Piece(document, job.id, is_reused=True, state=job.state)
                _update(piece, job)
                return piece
            # The key names the job that it replaces, so two runs side by side order the same one.
            known = handle.id
            key = f"{document.key}:after:{known}"
        gave_up = f"{MOST_TRIES} runs failed"
        return Piece(document, known, is_reused=True, state=JobState.QUARANTINED, problem=gave_up)

    def _look(self) -> None:
        waiting = {piece.job_id: piece for piece in self.pieces if not piece.is_done}
        if not waiting:
            return
        for job_id, job in self.connected.ledger.find(list(waiting)).items():
            _update(waiting[job_id], job)

    def _look_at_workers(self) -> None:
        if time.monotonic() - self._workers_seen_at > WORKER_LOOK_SECONDS:
            self._workers_seen_at = time.monotonic()
            self.workers = len(self.connected.ledger.workers())


def _update(piece: Piece, job: Job) -> None:
    piece.state, piece.attempt = job.state, job.attempt
    if job.state is JobState.COMPLETED and job.result is not None:
        verdict = verdict_of(job.result)
        if isinstance(verdict, DocumentDigest):
            piece.digest = verdict
        else:
            piece.refusal = verdict
    elif job.state.is_final:
        piece.problem = job.failure.message if job.failure is not None else job.detail or str(job.state)


def require_folder(folder: Path) -> None:
    """Refuse what is missing, no folder, or closed to us. Raises NoFolder."""
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise NoFolder(detail=f"{folder} is not a folder that can be read ({reason})") from error


def require_worker(ledger: Ledger) -> None:
    """Refuse to begin where nobody works. Raises NotRunning."""
    if not ledger.workers():
        raise NotRunning(
            detail="the jobs would wait for ever",
            hint="Start `holdfast up` in this folder, or use `holdfast demo FOLDER`: it starts all.",
        )
