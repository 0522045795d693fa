"""The two tasks of `digest`: one job per document, then one job that writes the report."""

import os
import time
from datetime import datetime
from pathlib import Path

from pydantic import Field, TypeAdapter

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.codec import decode
from holdfast.jobs.errors import JobNotFound
from holdfast.jobs.state import JobState
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.agents.digest.assemble import assemble
from holdfast.tasks.agents.digest.document import (
    DigestReport,
    DocumentDigest,
    DocumentRef,
    Record,
    Scan,
    Skipped,
    SkipReason,
    UnreadableDocument,
)
from holdfast.tasks.agents.digest.report import build_report
from holdfast.tasks.agents.digest.scan import read_document
from holdfast.tasks.agents.digest.summarise import summarise
from holdfast.tasks.ambient import current_client
from holdfast.tasks.client import Client
from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import task

LONGEST_PACE_SECONDS = 60.0
Verdict = DocumentDigest | Skipped
"""What a job says of a document: its digest, or why content like this has none."""

_VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)
_PERMANENT = frozenset({SkipReason.NO_READABLE_TEXT, SkipReason.NOT_UTF8})
"""What lies in the content itself: no second run, and no other worker, would find it otherwise."""


class ReportRequest(Record):
    """What the report is made of: the scan, and the job that did the work of each document key."""

    folder: str
    output: str
    """Absolute path of the report."""
    scan: Scan
    job_ids: dict[str, str]
    """By `DocumentRef.key`."""
    reused: int = Field(0, ge=0)
    """How many of the jobs had been done by a former run."""
    started_at: datetime
    """When the whole run began."""


class ReportSummary(Record):
    """What the written report holds."""

    path: str
    documents: int
    skipped: int
    themes: int
    reused: int
    seconds: float


@task(name="digest.document", retry=RetryPolicy(give_up_on=(UnreadableDocument,)), hard_timeout_seconds=900.0)
def digest_document(folder: str, document: DocumentRef, pace_seconds: float = 0.0) -> Verdict:
    """Digest one document of a folder.

    Idempotent by the SHA-256 of the content: enqueue it with the document's
    `key`. Content that can never be digested (a PDF that is corrupt or only
    pictures) completes the job with that verdict; what another run could mend
    fails it. `pace_seconds` (at most 60) makes it take so much longer, to be
    watched at work.
    """
    data = read_document(Path(folder), document)
    time.sleep(min(max(pace_seconds, 0.0), LONGEST_PACE_SECONDS))  # noqa: TID251 -- to take time is what it is for
    try:
        return summarise(document.path, data, document.kind)
    except UnreadableDocument as error:
        if error.skipped.reason in _PERMANENT:
            return error.skipped
        raise


def verdict_of(result: str) -> Verdict:
    """Return what the result of a `digest_document` job says, as it stands in the ledger."""
    return _VERDICT.validate_python(decode(result))


@task(name="digest.report", hard_timeout_seconds=900.0)
async def digest_report(ctx: TaskContext, request: ReportRequest) -> ReportSummary:
    """Write the report over all documents of a run. Writes the same file again when it runs again."""
    client = current_client()
    digests: dict[str, DocumentDigest] = {}
    refused: list[Skipped] = []
    units = request.scan.units()
    for done, document in enumerate(units, start=1):
        found = await _digest_of(client, document, request.job_ids.get(document.key))
        if isinstance(found, DocumentDigest):
            digests[document.key] = found
        else:
            refused.append(found)
        if done % 100 == 0:
            await ctx.progress(done, len(units), "reading digests")
    report = _assembled(request, digests, refused)
    _write(Path(request.output), build_report(report))
    return ReportSummary(
        path=request.output,
        documents=len(report.documents),
        skipped=len(report.skipped),
        themes=len(report.themes),
        reused=report.reused,
        seconds=report.seconds,
    )


def _assembled(
    request: ReportRequest, digests: dict[str, DocumentDigest], refused: list[Skipped]
) -> DigestReport:
    now = SystemClock().now()
    return assemble(
        folder=request.folder,
        scan=request.scan,
        digests=digests,
        refused=refused,
        reused=request.reused,
        made_at=now,
        seconds=max((now - request.started_at).total_seconds(), 0.0),
    )


async def _digest_of(client: Client, document: DocumentRef, job_id: str | None) -> Verdict:
    if job_id is None:
        return _not_done(document, "no job was made for it")
    try:
        job = await client.status(job_id)
    except JobNotFound:
        return _not_done(document, f"its job {job_id} was pruned; run again")
    if job.state is not JobState.COMPLETED or job.result is None:
        why = job.failure.message if job.failure is not None else job.detail or ""
        return _not_done(document, f"its job {job_id} is {job.state}: {why}".rstrip(": "))
    verdict = verdict_of(job.result)
    return (
        verdict if isinstance(verdict, DocumentDigest) else verdict.model_copy(update={"path": document.path})
    )


def _not_done(document: DocumentRef, detail: str) -> Skipped:
    return Skipped(path=document.path, reason=SkipReason.NOT_DONE, detail=detail)


def _write(path: Path, text: str) -> None:
    # Whoever reads the report while it is written again sees the old one or the new one.
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
